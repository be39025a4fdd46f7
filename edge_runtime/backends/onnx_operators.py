"""Operators and opsets of an ONNX file, read without onnxruntime.

Fields are those of ``onnx.proto``, see :mod:`.onnx_graph`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ..errors import ModelError
from .onnx_graph import GRAPH, NODE, OWN_DOMAIN, messages, own_or, read_node
from .operators import UsedOperator, most_frequent_first
from .protobuf import VARINT, fields, signed, text

# Fields of ModelProto, OperatorSetIdProto, FunctionProto.
_IR_VERSION, _OPSET_IMPORT, _FUNCTIONS = 1, 8, 25
_DOMAIN, _VERSION = 1, 2
_FUNCTION_NODE = 7

#: Graphs inside of graphs: more of them is no model, but a file that means harm.
_DEPTH = 32


@dataclass(frozen=True)
class OnnxOperators:
    """What a file asks of onnxruntime.

    Attributes:
        operators: The most frequent first.
        opsets: Domain to version; ONNX's own is ``ai.onnx``.
        ir_version: Of the file format.
    """

    operators: tuple[UsedOperator, ...]
    opsets: Mapping[str, int]
    ir_version: int


def read_onnx_operators(data: bytes | memoryview, where: str) -> OnnxOperators:
    """The operators of all graphs and functions of a file.

    Args:
        data: The file, or a map of it; weights are stepped over.
        where: Its name, for messages.

    Raises:
        ModelError: It is damaged, or no ONNX file.
    """
    used: Counter[tuple[str, str]] = Counter()
    opsets: dict[str, int] = {}
    ir_version, graphs = 0, 0
    try:
        for number, wire, value in fields(data):
            if number == _IR_VERSION and wire == VARINT and isinstance(value, int):
                ir_version = signed(value)
            elif isinstance(value, int):
                continue
            elif number == GRAPH:
                graphs += 1
                used.update(_nodes(value, NODE))
            elif number == _FUNCTIONS:
                used.update(_nodes(value, _FUNCTION_NODE))
            elif number == _OPSET_IMPORT:
                domain, version = _opset(value)
                opsets[domain] = version
    except ModelError as error:
        raise ModelError(f"{where}: {error} Export or copy it again.") from error
    if not graphs:
        raise ModelError(f"{where}: no ONNX file (it holds no graph). Export it again.")
    found = [
        UsedOperator(
            name if domain == OWN_DOMAIN else f"{domain}:{name}",
            opsets.get(domain, 0),
            count,
        )
        for (domain, name), count in used.items()
    ]
    return OnnxOperators(tuple(most_frequent_first(found)), opsets, ir_version)


def _opset(message: memoryview) -> tuple[str, int]:
    domain, version = "", 0
    for number, _, value in fields(message):
        if number == _DOMAIN:
            domain = text(value)
        elif number == _VERSION and isinstance(value, int):
            version = signed(value)
    return own_or(domain), version


def _nodes(graph: memoryview, field: int, depth: int = 0) -> Iterator[tuple[str, str]]:
    """Domain and name of each node of a graph, and of the graphs in its attributes."""
    if depth > _DEPTH:
        raise ModelError(f"damaged: more than {_DEPTH} graphs inside of each other.")
    for _, message in messages(graph, field):
        node = read_node(message)
        for inner in node.graphs:
            yield from _nodes(inner, NODE, depth + 1)
        yield node.domain, node.name
