"""From a path to a loaded model and its description: the one place that tells models apart."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

from .backends.base import Backend
from .bundle import Bundle, is_bundle
from .engine import Engine
from .errors import ModelError, UsageError
from .manifest import ModelInfo, check_format
from .rundir import MODEL, RunDir, looks_like_run
from .settings import ModelSettings


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
) -> Opened:
    """Open a bundle, a ``.tflite`` or ``.onnx`` file, a SavedModel or a run directory.

    Args:
        path: The model; a SavedModel and a run directory need TensorFlow.
        fmt: Which artifact of a bundle; None for its default.
        engine: Interpreter, threads, delegate; None for the defaults.
        settings: What the caller knows of the model and the file does not say.
        probe: Whether a .tflite or .onnx file that this board has not run yet is tried in a
            child process first, see :mod:`edge_runtime.probe`.

    Raises:
        UsageError: No such path or format.
        ModelError: The model is damaged or contradicts its description.
        MissingComponent: Its interpreter is not installed.
    """
    where = os.fspath(path)
    engine = engine or Engine()
    root = Path(path)
    if not root.exists():
        raise UsageError(f"{where}: no such model.")
    if is_bundle(root):
        bundle = Bundle.open(root)
        artifact, file = bundle.file(fmt)
        backend = open_backend(file, engine=_probed(file, engine) if probe else engine)
        return Opened(backend, bundle.manifest.info_of(artifact), artifact.format, str(file))
    if fmt is not None:
        check_format(fmt)
        raise UsageError(f"{where}: --format chooses from a bundle, and this is none.")
    if root.is_dir() and looks_like_run(root):
        run = RunDir.open(root)
        return Opened(open_backend(run.model_path, engine=engine), run.info, "keras", where)
    if root.name == MODEL and looks_like_run(root.parent):
        return open_model(root.parent, None, engine, settings, probe)
    backend = open_backend(root, engine=_probed(root, engine) if probe else engine)
    if backend.embedded is None:
        raise ModelError(
            f"{where}: carries no labels and preprocessing of edge-export, so any answer "
            "would be a guess. Export it with edge-export, or use its whole bundle."
        )
    return Opened(backend, backend.embedded, _format_of(root), where)


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
    root = Path(path)
    engine.check_for(root)
    if root.suffix == ".tflite":
        from .backends.litert import LiteRtBackend

        return LiteRtBackend(root, engine)
    if root.suffix == ".onnx":
        from .backends.onnx import OnnxBackend

        return OnnxBackend(root, engine)
    if root.suffix == ".keras":
        from .backends.full_model import KerasBackend

        return KerasBackend(root, engine.threads)
    if (root / "saved_model.pb").is_file():
        from .backends.full_model import SavedModelBackend

        return SavedModelBackend(root, engine.threads)
    raise ModelError(
        f"{root}: not a model. Expected a bundle, a .tflite or .onnx file, "
        "a SavedModel folder or a run directory."
    )


def _probed(file: Path, engine: Engine) -> Engine:
    engine.check_for(file)
    if file.suffix not in (".tflite", ".onnx"):
        return engine
    from .probe import probed

    return probed(file, engine)


def _format_of(path: Path) -> str:
    return {".tflite": "tflite", ".onnx": "onnx", ".keras": "keras"}.get(path.suffix, "saved_model")
