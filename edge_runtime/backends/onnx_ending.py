"""The end of an ONNX classifier's graph, read off the file without the package ``onnx``.

Numbers of fields are those of ``onnx.proto`` (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto),
which are the same in every version of the format.
"""

from __future__ import annotations

import mmap
import os
from dataclasses import dataclass, field

from ..errors import ModelError
from .ending import Ending, find_ending
from .protobuf import contents, fields, text

_MODEL_GRAPH = 7
_GRAPH_NODE, _GRAPH_INITIALIZER = 1, 5
_NODE_INPUT, _NODE_OUTPUT, _NODE_OPERATOR = 1, 2, 4
_TENSOR_NAME = 8


@dataclass
class _Node:
    operator: str = ""
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)


def onnx_ending(path: str | os.PathLike[str], output: str) -> Ending:
    """What the scores of an ONNX file are.

    Args:
        path: The file.
        output: Name of the output with the scores.

    Returns:
        An open ending where the file cannot be read; an interpreter has loaded it, so it is no
        damage for the user to hear of.
    """
    with open(path, "rb") as stream:  # mapped, so that weights are passed over, not read
        model = memoryview(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ))
    try:
        return _find(model, output)
    except ModelError:
        return Ending(None, "")


def _find(model: memoryview, output: str) -> Ending:
    makers: dict[str, _Node] = {}
    constants: set[str] = set()
    for number, _, graph in fields(model):
        if number != _MODEL_GRAPH:
            continue
        for part, _, value in fields(contents(graph)):
            if part == _GRAPH_NODE:
                node = _node(contents(value))
                makers.update(dict.fromkeys(node.outputs, node))
                if node.operator == "Constant":
                    constants.update(node.outputs)
            elif part == _GRAPH_INITIALIZER:
                constants.update(
                    text(name) for key, _, name in fields(contents(value)) if key == _TENSOR_NAME
                )

    def is_constant(name: str) -> bool:
        # Quantised files keep their constants behind an operator of their own.
        node = makers.get(name)
        if node is not None and node.operator in ("DequantizeLinear", "Cast", "Identity"):
            return bool(node.inputs) and node.inputs[0] in constants
        return name in constants

    def maker(name: str) -> tuple[str, list[str]] | None:
        node = makers.get(name)
        if node is None:
            return None
        return node.operator, [n for n in node.inputs if n and not is_constant(n)]

    return find_ending(output, maker)


def _node(message: memoryview) -> _Node:
    node = _Node()
    for number, _, value in fields(message):
        if number == _NODE_INPUT:
            node.inputs.append(text(value))
        elif number == _NODE_OUTPUT:
            node.outputs.append(text(value))
        elif number == _NODE_OPERATOR:
            node.operator = text(value)
    return node
