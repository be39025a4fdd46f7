"""From a path to a loaded model and its description: the one place that tells models apart."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from .backends.base import Backend
from .bundle import Bundle, is_bundle
from .engine import Engine
from .errors import ModelError, UsageError
from .manifest import AUTO, ModelInfo, check_format
from .meanwhile import FirstPhoto, meanwhile
from .records import dataclass, replace

if TYPE_CHECKING:
    from pathlib import Path

    from .settings import ModelSettings, Stated

#: Endings of the name of a file beside a model, in the order in which they are looked for.
_BESIDE = (".yaml", ".yml", ".json")


@dataclass(frozen=True)
class Opened:
    """A loaded model and what is known of it."""

    backend: Backend
    info: ModelInfo
    format: str  #: format name; ``keras`` for a run, ``tflite`` or ``onnx`` for a single file
    where: str  #: the file, for messages


def open_model(
    path: str | os.PathLike[str],
    fmt: str | None = None,
    engine: Engine | None = None,
    settings: ModelSettings | None = None,
    probe: bool = False,
    first: FirstPhoto | None = None,
) -> Opened:
    """Open a bundle, a ``.tflite`` or ``.onnx`` file, a SavedModel or a run directory.

    Args:
        path: The model; a SavedModel and a run directory need TensorFlow.
        fmt: Which artifact of a bundle; None for its default, ``auto`` for what was measured to be
            best on this board, with its threads unless ``engine`` has some, else for the fastest
            that passed (of a model that is no bundle, itself).
        engine: Interpreter, threads, delegate; None for the defaults.
        settings: What the caller knows of the model and the file does not say.
        probe: Whether a .tflite or .onnx file that this board has not run yet is tried in a
            child process first, see :mod:`edge_runtime.tried`.
        first: The photo that will be classified; decoded while the model loads, where the
            description of a bundle says how.

    Raises:
        UsageError: No such path or format.
        ModelError: The model is damaged or contradicts its description.
        MissingComponent: Its interpreter is not installed.
    """
    where = os.fspath(path)
    engine = engine or Engine()
    if not os.path.exists(where):
        raise UsageError(f"{where}: no such model.")
    stated = stated_by(settings)
    if is_bundle(where):
        bundle = Bundle.open(where)
        choice = bundle.choice() if fmt == AUTO else None
        artifact, file = bundle.located(fmt if choice is None else choice.format)
        info = bundle.manifest.info_of(artifact)
        _refuse_contradictions(stated, info, where)
        engine = engine if choice is None else choice.engine(engine)
        engine = _probed(file, engine) if probe else engine
        with meanwhile(first, info.preprocess):
            backend = open_backend(file, engine=engine)
        backend.feed(info.input)
        return Opened(backend, info, artifact.format, file)
    if fmt not in (None, AUTO):
        check_format(fmt)
        raise UsageError(f"{where}: --format chooses from a bundle, and this is none.")
    if os.path.isdir(where) or where.endswith(".keras"):
        from .rundir import MODEL, RunDir, looks_like_run

        folder, name = os.path.split(where)
        if os.path.isdir(where) and looks_like_run(where):
            run = RunDir.open(where)
            _refuse_contradictions(stated, run.info, where)
            return Opened(open_backend(run.model_path, engine=engine), run.info, "keras", where)
        if name == MODEL and looks_like_run(folder):
            return open_model(folder or ".", None, engine, settings, probe)
    engine = _probed(where, engine) if probe else engine
    with meanwhile():
        backend = open_backend(where, engine=engine)
    stated = stated_by(settings, where)
    if backend.embedded is not None:
        _refuse_contradictions(stated, backend.embedded, where)
        backend.feed(backend.embedded.input)
        return Opened(backend, backend.embedded, kind_of(where), where)
    from pathlib import Path

    from .foreign.describing import describe
    from .foreign.traits import traits_of

    info = describe(traits_of(Path(where), backend, stated), stated, where, lambda: backend)
    backend.feed(info.input)
    return Opened(backend, info, kind_of(where), where)


def stated_by(settings: ModelSettings | None, file: str | os.PathLike[str] | None = None) -> Stated:
    """What is said of a model beside itself: by the caller first, then by a file beside it.

    Args:
        settings: Of the caller.
        file: A model file; None for a bundle or a run, which need no file beside them.

    Raises:
        UsageError: The file beside it has a key or a value that is not allowed.
        ModelError: It cannot be read.
    """
    stated = [("option", settings)] if settings is not None and settings.stated else []
    if file is not None:
        beside = find_beside(file)
        if beside is not None:
            from .foreign.sidecar import read_beside

            stated.append((beside.name, read_beside(beside)))
    return stated


def _refuse_contradictions(stated: Stated, info: ModelInfo, where: str) -> None:
    if stated:  # rarely, and only then is its module loaded
        from .settings import refuse_contradictions

        refuse_contradictions(stated, info, where)


def find_beside(model: str | os.PathLike[str]) -> Path | None:
    """The file beside a model file; ``model.tflite.yaml`` is nearer to it than ``model.yaml``."""
    where = os.fspath(model).rstrip("/")
    for stem in (where, os.path.splitext(where)[0]):
        for suffix in _BESIDE:
            if os.path.isfile(stem + suffix):
                from pathlib import Path

                return Path(stem + suffix)
    return None


def open_backend(
    path: str | os.PathLike[str], threads: int | None = None, engine: Engine | None = None
) -> Backend:
    """Load a model file or folder with the interpreter that its name asks for.

    Args:
        path: ``.tflite``, ``.onnx`` or ``.keras`` file, or a SavedModel folder.
        threads: Interpreter threads; None for the usable cores, at most 4.
        engine: Interpreter and delegate, see :class:`Engine`; its ``threads`` count where the
            argument is None.

    Raises:
        ModelError: It is none of these, or damaged.
        MissingComponent: Its interpreter is not installed.
    """
    engine = engine or Engine()
    if threads:
        engine = replace(engine, threads=threads)
    engine.check_for(path)
    kind = kind_of(path)
    if kind == "tflite":
        from .backends.litert import LiteRtBackend

        return LiteRtBackend(path, engine)
    if kind == "onnx":
        from .backends.onnx import OnnxBackend

        return OnnxBackend(path, engine)
    if kind == "keras":
        from .backends.full_model import KerasBackend

        return KerasBackend(path, engine.threads)
    from .backends.full_model import SavedModelBackend

    return SavedModelBackend(path, engine.threads)


def kind_of(path: str | os.PathLike[str]) -> str:
    """What a model file or folder is: ``tflite``, ``onnx``, ``keras`` or ``saved_model``.

    Raises:
        ModelError: It is none of these.
    """
    suffix = os.path.splitext(path)[1]
    kind = {".tflite": "tflite", ".onnx": "onnx", ".keras": "keras"}.get(suffix)
    if kind is not None:
        return kind
    if os.path.isfile(os.path.join(path, "saved_model.pb")):
        return "saved_model"
    raise ModelError(
        f"{os.fspath(path)}: not a model. Expected a bundle, a .tflite, .onnx or .keras file, "
        "a SavedModel folder or a run directory."
    )


def _probed(file: str, engine: Engine) -> Engine:
    engine.check_for(file)
    if os.path.splitext(file)[1] not in (".tflite", ".onnx"):
        return engine
    from .tried import probed

    return probed(file, engine)
