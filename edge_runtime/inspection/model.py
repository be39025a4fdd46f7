"""What a model says about itself: the description that it carries, and its own tensors.

Model files are read by :mod:`.files`, a run directory as the files that it is.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from ..bundle import Bundle, is_bundle
from ..engine import Engine
from ..errors import MissingComponent, UsageError
from ..manifest import AUTO, Artifact, Manifest, ModelInfo, check_format
from ..opening import kind_of, stated_by
from ..rundir import MODEL, RunDir, looks_like_run
from ..settings import ModelSettings, Stated, refuse_contradictions
from .files import read_file, tensor, unread
from .keras import keras_ends


def inspect_model(
    path: str | os.PathLike[str],
    fmt: str | None = None,
    settings: ModelSettings | None = None,
    engine: Engine | None = None,
) -> dict[str, Any]:
    """Everything that a model tells.

    Args:
        path: Bundle, ``.tflite``, ``.onnx`` or ``.keras`` file, SavedModel or run directory.
        fmt: Which artifact of a bundle; None for its default.
        settings: What the caller says of a model of others.
        engine: What is asked of the interpreters, each of which then tries a .tflite or .onnx
            file in a child process; None to run nothing.

    Returns:
        JSON object: ``path``, ``kind`` (bundle, tflite, onnx, keras, saved_model or run), ``file``,
        ``bytes``; ``described`` (whether enough is known to classify with it), ``class_names``,
        ``preprocess``, ``input`` (mean, std, layout, color), ``output``, ``about`` (all null
        without one); ``sources`` (of a model of others, where each part comes from) and ``lacking``
        (what is not known, and what to give); ``format``,
        ``quantization`` (the scheme as its maker calls it), ``weights`` (bytes of each type) and
        ``activations`` (tensors of each type; both null where the file does not tell); ``inputs``
        and ``outputs`` (``name``, ``dtype``, ``shape``, ``scale``, ``zero_point``), null with the
        reason in ``note``; ``heatmap`` (names of the tensors that one is made of; null for none) and
        ``no_heatmap`` (why a .tflite or .onnx file has none); ``attached`` (names of files inside a .tflite). Of a bundle
        ``artifacts``, ``default``, ``choice`` (of this board; null for none), ``versions``,
        ``source``, ``calibration``, too; with an
        ``engine`` what :func:`~edge_runtime.inspection.engines.inspect_engine` tells (null of
        other files).

    Raises:
        UsageError: No such path or format, or a setting contradicts the model.
        ModelError: It is no model, or damaged, or the settings do not fit.
        MissingComponent: onnxruntime is not installed, and nothing is known without it.
    """
    root = Path(path)
    if not root.exists():
        raise UsageError(f"{os.fspath(path)}: no such model.")
    report: dict[str, Any] = {"path": os.fspath(path)}
    stated = stated_by(settings)
    if is_bundle(root):
        bundle = Bundle.open(root)
        return report | _bundle(bundle, fmt, stated) | _engine(bundle.file(fmt)[1], engine)
    if fmt not in (None, AUTO):
        check_format(fmt)
        raise UsageError(f"{root}: --format chooses from a bundle, and this is none.")
    if root.is_dir() and looks_like_run(root):
        return report | _run(RunDir.open(root), stated) | _engine(root / MODEL, engine)
    if root.name == MODEL and looks_like_run(root.parent):
        return report | _run(RunDir.open(root.parent), stated) | _engine(root, engine)
    info, own = read_file(root)
    stated = stated_by(settings, root)
    known: dict[str, Any] = {}
    if info is not None:
        refuse_contradictions(stated, info, os.fspath(path))
    elif root.suffix in (".tflite", ".onnx", ".keras"):
        from .foreign import inspect_foreign

        info, known = inspect_foreign(root, stated, os.fspath(path))
    own |= _engine(root, engine)  # last: it takes time, and settings may be wrong
    return report | {"kind": kind_of(root), **_described(info), **known, **_named(info), **own}


def _engine(file: Path, engine: Engine | None) -> dict[str, Any]:
    if engine is None:
        return {}
    engine.check_for(file)
    if file.suffix not in (".tflite", ".onnx"):
        return dict.fromkeys(("operators", "opsets", "ir_version", "interpreters"))
    from .engines import inspect_engine

    return inspect_engine(file, engine)


def _bundle(bundle: Bundle, fmt: str | None, stated: Stated) -> dict[str, Any]:
    artifact, file = bundle.file(fmt)
    manifest, choice = bundle.manifest, bundle.choice()
    info = manifest.info_of(artifact)
    refuse_contradictions(stated, info, str(bundle.source))
    try:
        embedded, own = read_file(file)
    except MissingComponent as error:
        embedded, own = None, unread(file, str(error))
    if embedded is not None and not info.about:
        info = replace(info, about=embedded.about)
    return {
        "kind": "bundle",
        **_described(info),
        "format": artifact.format,
        "quantization": artifact.quantization,
        **own,
        "default": manifest.default,
        "choice": None if choice is None else asdict(choice),
        "artifacts": [_artifact(entry, manifest) for entry in manifest.artifacts],
        "versions": dict(manifest.versions),
        "source": dict(manifest.source),
        "calibration": dict(manifest.calibration),
    }


def _artifact(artifact: Artifact, manifest: Manifest) -> dict[str, Any]:
    fields = asdict(artifact)
    fields["output"] = asdict(manifest.info_of(artifact).output)
    return fields | {"default": artifact.format == manifest.default}


def _run(run: RunDir, stated: Stated) -> dict[str, Any]:
    """A run's tensors are those that its Keras configuration names."""
    refuse_contradictions(stated, run.info, str(run.path))
    path = run.model_path
    given, last = keras_ends(path)
    scores = [None, len(run.class_names)]
    environment = run.environment()
    return {
        "kind": "run",
        **_described(run.info),
        "format": "keras",
        "quantization": None,
        **unread(path, None),
        "inputs": [tensor(*given)],
        "outputs": [tensor(last, "float32", scores)],
        "versions": environment.get("versions", {}),
        "source": {"run": run.path.resolve().name, "metrics": run.metrics()},
    }


def _described(info: ModelInfo | None) -> dict[str, Any]:
    if info is None:
        names = (
            "class_names", "preprocess", "input", "output", "about", "heatmap", "sources", "lacking",
        )  # fmt: skip
        return {"described": False} | dict.fromkeys(names)
    output = asdict(info.output)
    heatmap = output.pop("heatmap")
    about = dict(info.about)
    return {
        "described": True,
        "class_names": list(info.class_names),
        "preprocess": asdict(info.preprocess),
        "input": asdict(info.input),
        "output": output,
        "sources": about.pop("sources", None),
        "lacking": None,
        "about": about,
        "heatmap": heatmap,
    }


def _named(info: ModelInfo | None) -> dict[str, Any]:
    about: Mapping[str, Any] = {} if info is None else info.about
    return {"format": about.get("format"), "quantization": about.get("quantization")}
