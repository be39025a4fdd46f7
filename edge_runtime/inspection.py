"""What a model says about itself: the description that it carries, and its own tensors.

A ``.tflite`` file is read without an interpreter, a ``.onnx`` file with onnxruntime, a run
directory as the files that it is; of a SavedModel the tensors need TensorFlow.
"""

from __future__ import annotations

import os
import zipfile
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .bundle import Bundle, is_bundle
from .engine import Engine
from .errors import MissingComponent, ModelError, UsageError
from .files import size_of
from .inspection_keras import keras_ends
from .manifest import AUTO, Artifact, Manifest, ModelInfo, check_format
from .opening import stated_by
from .rundir import MODEL, RunDir, looks_like_run
from .settings import ModelSettings, Stated, refuse_contradictions

if TYPE_CHECKING:
    from .backends.tflite_graph import Graph

#: Constants smaller than this, or of one axis, are biases, axes and shapes: no weights.
_WEIGHT_ELEMENTS = 1024


#: onnxruntime's names of types where they are not numpy's.
_DTYPES = {"float": "float32", "double": "float64"}


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
        ``artifacts``, ``default``, ``versions``, ``source``, ``calibration``, too; with an
        ``engine`` what :func:`~edge_runtime.inspection_engine.inspect_engine` tells (null of
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
    info, own = _file(root)
    stated = stated_by(settings, root)
    known: dict[str, Any] = {}
    if info is not None:
        refuse_contradictions(stated, info, os.fspath(path))
    elif root.suffix in (".tflite", ".onnx", ".keras"):
        from .inspection_foreign import inspect_foreign

        info, known = inspect_foreign(root, stated, os.fspath(path))
    own |= _engine(root, engine)  # last: it takes time, and settings may be wrong
    return report | {"kind": _kind(root), **_described(info), **known, **_named(info), **own}


def _engine(file: Path, engine: Engine | None) -> dict[str, Any]:
    if engine is None:
        return {}
    engine.check_for(file)
    if file.suffix not in (".tflite", ".onnx"):
        return dict.fromkeys(("operators", "opsets", "ir_version", "interpreters"))
    from .inspection_engine import inspect_engine

    return inspect_engine(file, engine)


def _bundle(bundle: Bundle, fmt: str | None, stated: Stated) -> dict[str, Any]:
    artifact, file = bundle.file(fmt)
    manifest = bundle.manifest
    info = manifest.info_of(artifact)
    refuse_contradictions(stated, info, str(bundle.source))
    try:
        embedded, own = _file(file)
    except MissingComponent as error:
        embedded, own = None, _unread(file, str(error))
    if embedded is not None and not info.about:
        info = replace(info, about=embedded.about)
    return {
        "kind": "bundle",
        **_described(info),
        "format": artifact.format,
        "quantization": artifact.quantization,
        **own,
        "default": manifest.default,
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
        **_unread(path, None),
        "inputs": [_tensor(*given)],
        "outputs": [_tensor(last, "float32", scores)],
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


def _kind(path: Path) -> str:
    return {".tflite": "tflite", ".onnx": "onnx", ".keras": "keras"}.get(path.suffix, "saved_model")


def _file(path: Path) -> tuple[ModelInfo | None, dict[str, Any]]:
    """The description inside a model file, and what is read off the file itself."""
    if path.suffix == ".tflite":
        return _tflite(path)
    if path.suffix == ".onnx":
        return _onnx(path)
    if path.suffix == ".keras":
        return None, _keras(path)
    if (path / "saved_model.pb").is_file():
        return _saved_model(path)
    raise ModelError(
        f"{path}: not a model. Expected a bundle, a .tflite, .onnx or .keras file, "
        "a SavedModel folder or a run directory."
    )


def _keras(path: Path) -> dict[str, Any]:
    given, last = keras_ends(path)
    own = _unread(path, None) | {"inputs": [_tensor(*given)]}
    # How many scores it gives is known once Keras has built it.
    return own | {"outputs": [_tensor(last, "float32", (None, None))]}


def _unread(path: Path, note: str | None) -> dict[str, Any]:
    nothing = dict.fromkeys(
        ("inputs", "outputs", "weights", "activations", "attached", "no_heatmap")
    )
    return {"file": path.name, "bytes": size_of(path), **nothing, "note": note}


def _tensor(name: str, dtype: str, shape: Any, scale: float = 0.0, zero: int = 0) -> dict[str, Any]:
    sides = [n if isinstance(n, int) and n >= 0 else None for n in shape]
    quantization = {"scale": scale, "zero_point": zero} if scale else dict.fromkeys(_QUANTIZED)
    return {"name": name, "dtype": dtype, "shape": sides, **quantization}


_QUANTIZED = ("scale", "zero_point")


def _tflite(path: Path) -> tuple[ModelInfo | None, dict[str, Any]]:
    from .backends.litert import check_header, read_embedded
    from .backends.tflite_graph import Graph
    from .inspection_heatmap import tflite_heatmap

    check_header(str(path))
    graph = Graph(path.read_bytes(), str(path))

    def tensors(indices: tuple[int, ...]) -> list[dict[str, Any]]:
        found = [graph.tensors[index] for index in indices]
        return [
            _tensor(
                t.name,
                "unknown" if t.dtype is None else t.dtype.name,
                t.signature,
                *((float(t.scales[0]), int(t.zero_points[0])) if t.scales.size == 1 else ()),
            )
            for t in found
        ]

    weights: Counter[str] = Counter()
    constants = graph.constants()
    for constant in constants:
        size = int(np.prod(constant.shape))
        if size >= _WEIGHT_ELEMENTS and constant.dtype is not None and len(constant.shape) > 1:
            channels = " per-channel" if constant.scales.size > 1 else ""
            weights[constant.dtype.name + channels] += size * constant.dtype.itemsize
    kept = {id(constant) for constant in constants}
    types = Counter(
        t.dtype.name for t in graph.tensors if t.dtype is not None and id(t) not in kept
    )
    info = read_embedded(path)
    named = None if info is None else info.output.heatmap
    own = _unread(path, None) | {
        **_ends(path, graph, tensors),
        "weights": dict(weights.most_common()),
        "activations": dict(types.most_common()),
        "attached": _attached(path),
    }
    return info, own | tflite_heatmap(graph, named, str(path))


def _ends(
    path: Path, graph: Graph, tensors: Callable[[tuple[int, ...]], list[dict[str, Any]]]
) -> dict[str, Any]:
    try:
        return {"inputs": tensors(graph.inputs), "outputs": tensors(graph.outputs)}
    except IndexError as error:
        raise ModelError(
            f"{path}: damaged, its graph names a tensor or a zero point that is not there. "
            "Copy the file again."
        ) from error


def _attached(path: Path) -> list[str]:
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.namelist()
    except zipfile.BadZipFile:
        return []


def _onnx(path: Path) -> tuple[ModelInfo | None, dict[str, Any]]:
    from .backends.onnx import OnnxBackend
    from .inspection_heatmap import onnx_heatmap
    from .probe import probed

    probed(path, Engine(threads=1))  # it is loaded here, too

    backend = OnnxBackend(path, Engine(threads=1))
    own = _unread(path, None)
    for side, values in zip(("inputs", "outputs"), backend.tensors(), strict=True):
        own[side] = [_tensor(name, _DTYPES.get(kind, kind), shape) for name, kind, shape in values]
    return backend.embedded, own | onnx_heatmap(backend, str(path))


def _saved_model(path: Path) -> tuple[ModelInfo | None, dict[str, Any]]:
    from .backends.full_model import SERVE_SIGNATURE, load_saved_model, read_embedded, signature

    own = _unread(path, None)
    try:
        serve = signature(load_saved_model(path), SERVE_SIGNATURE, str(path))
    except MissingComponent as error:
        return read_embedded(path), own | {"note": str(error)}
    sides = {
        "inputs": serve.structured_input_signature[1],
        "outputs": serve.structured_outputs,
    }
    for side, specs in sides.items():
        own[side] = [_tensor(n, s.dtype.name, s.shape.as_list()) for n, s in specs.items()]
    return read_embedded(path), own
