"""The end of an ONNX classifier's graph, read off the file without an interpreter."""

from __future__ import annotations

import os

from ..errors import ModelError
from .ending import Ending, find_ending
from .onnx_graph import OnnxGraph, mapped


def onnx_ending(path: str | os.PathLike[str], output: str) -> Ending:
    """What the scores of an ONNX file are.

    Args:
        path: The file.
        output: Name of the output with the scores.

    Returns:
        An open ending where the file cannot be read; an interpreter has loaded it, so it is no
        damage for the user to hear of.
    """
    try:
        graph = OnnxGraph(mapped(path), os.fspath(path))
    except ModelError:
        return Ending(None, "")

    def is_constant(name: str) -> bool:
        # Quantised files keep their constants behind an operator of their own.
        node = graph.maker.get(name)
        if node is not None and node.name in ("DequantizeLinear", "Cast", "Identity"):
            return bool(node.inputs) and graph.is_constant(node.inputs[0])
        return graph.is_constant(name)

    def maker(name: str) -> tuple[str, list[str]] | None:
        node = graph.maker.get(name)
        if node is None:
            return None
        return node.name, [n for n in node.inputs if n and not is_constant(n)]

    return find_ending(output, maker)
