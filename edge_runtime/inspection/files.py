"""What is read off a model file itself: its inputs, outputs and types of weights.

A ``.tflite`` file is read without an interpreter, a ``.onnx`` file with onnxruntime; the tensors of
a SavedModel need TensorFlow.
"""

from __future__ import annotations

import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..engine import Engine
from ..errors import MissingComponent, ModelError
from ..files import size_of
from ..manifest import ModelInfo
from ..opening import kind_of

if TYPE_CHECKING:
    from ..backends.tflite_graph import Graph

#: Constants smaller than this, or of one axis, are biases, axes and shapes: no weights.
_WEIGHT_ELEMENTS = 1024

#: onnxruntime's names of types where they are not numpy's.
_DTYPES = {"float": "float32", "double": "float64"}


def read_file(path: Path) -> tuple[ModelInfo | None, dict[str, Any]]:
    """The description inside a model file, and what is read off the file itself.

    Raises:
        ModelError: It is no model, or damaged.
        MissingComponent: onnxruntime is not installed.
    """
    readers = {"tflite": _tflite, "onnx": _onnx, "keras": _keras, "saved_model": _saved_model}
    return readers[kind_of(path)](path)


def unread(path: Path, note: str | None) -> dict[str, Any]:
    """The entries of a file that was not read, and why."""
    nothing = dict.fromkeys(
        ("inputs", "outputs", "weights", "activations", "attached", "no_heatmap")
    )
    return {"file": path.name, "bytes": size_of(path), **nothing, "note": note}


def tensor(name: str, dtype: str, shape: Any, scale: float = 0.0, zero: int = 0) -> dict[str, Any]:
    """An input or output; null for a dimension without a fixed size."""
    sides = [n if isinstance(n, int) and n >= 0 else None for n in shape]
    quantization = {"scale": scale, "zero_point": zero} if scale else dict.fromkeys(_QUANTIZED)
    return {"name": name, "dtype": dtype, "shape": sides, **quantization}


_QUANTIZED = ("scale", "zero_point")


def _tflite(path: Path) -> tuple[ModelInfo | None, dict[str, Any]]:
    from ..backends.litert import check_header, read_embedded
    from ..backends.tflite_graph import Graph
    from .heatmap import tflite_heatmap

    check_header(str(path))
    graph = Graph(path.read_bytes(), str(path))

    def tensors(indices: tuple[int, ...]) -> list[dict[str, Any]]:
        found = [graph.tensor(index) for index in indices]
        return [
            tensor(
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
    own = unread(path, None) | {
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
    from ..backends.onnx import OnnxBackend
    from ..tried import probed
    from .heatmap import onnx_heatmap

    probed(path, Engine(threads=1))  # it is loaded here, too

    backend = OnnxBackend(path, Engine(threads=1))
    own = unread(path, None)
    for side, values in zip(("inputs", "outputs"), backend.tensors(), strict=True):
        own[side] = [tensor(name, _DTYPES.get(kind, kind), shape) for name, kind, shape in values]
    return backend.embedded, own | onnx_heatmap(backend, str(path))


def _keras(path: Path) -> tuple[ModelInfo | None, dict[str, Any]]:
    from .keras import keras_ends

    given, last = keras_ends(path)
    own = unread(path, None) | {"inputs": [tensor(*given)]}
    # How many scores it gives is known once Keras has built it.
    return None, own | {"outputs": [tensor(last, "float32", (None, None))]}


def _saved_model(path: Path) -> tuple[ModelInfo | None, dict[str, Any]]:
    from ..backends.full_model import SERVE_SIGNATURE, load_saved_model, read_embedded, signature

    own = unread(path, None)
    try:
        serve = signature(load_saved_model(path), SERVE_SIGNATURE, str(path))
    except MissingComponent as error:
        return read_embedded(path), own | {"note": str(error)}
    sides = {
        "inputs": serve.structured_input_signature[1],
        "outputs": serve.structured_outputs,
    }
    for side, specs in sides.items():
        own[side] = [tensor(n, s.dtype.name, s.shape.as_list()) for n, s in specs.items()]
    return read_embedded(path), own
