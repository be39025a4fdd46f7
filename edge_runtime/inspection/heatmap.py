"""Whether a model file gives a heat map, as ``edge-classify info`` says it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from ..backends.onnx import OnnxBackend
from ..backends.tflite_graph import Graph
from ..errors import ModelError
from ..manifest import HeatmapSpec


def tflite_heatmap(graph: Graph, named: HeatmapSpec | None, where: str) -> dict[str, Any]:
    """What the heat map of a TFLite file is made of.

    Args:
        graph: The file.
        named: What its description names; None for a search.
        where: Its name, for messages.

    Returns:
        Keys of the report: ``heatmap`` (of a layer that was found ``features`` alone, whose name
        others may share); or ``no_heatmap``, why there is none.
    """
    from ..backends.tflite_head import find_heatmap, read_head

    if named is not None:
        return {"heatmap": asdict(named)}
    spec = find_heatmap(graph)
    if spec is not None:
        return {"heatmap": asdict(spec)}
    try:
        features = read_head(graph, where).features
    except ModelError as error:
        return _none(error, where)
    return _found(graph.tensor(features).name)


def onnx_heatmap(backend: OnnxBackend, where: str) -> dict[str, Any]:
    """:func:`tflite_heatmap` of an open ONNX file."""
    if backend.heatmap is not None:
        return {"heatmap": asdict(backend.heatmap)}
    try:
        return _found(backend.feature_map())
    except ModelError as error:
        return _none(error, where)


def _found(features: str) -> dict[str, Any]:
    return {"heatmap": {"output": None, "features": features, "weights": None}}


def _none(error: ModelError, where: str) -> dict[str, Any]:
    return {"no_heatmap": str(error).removeprefix(f"{where}: ")}
