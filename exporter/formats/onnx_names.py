"""One order and one set of names for the same ONNX graph, whatever order it was made in.

tf2onnx walks sets of nodes, whose order depends on where they lie in memory, and numbers what it
adds; so two runs give the same graph under other names.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

#: What tf2onnx puts behind a name to make it unique.
_NUMBER = re.compile(r"__\d+")


def canonical(model: Any) -> None:
    """Order nodes and constants by the way from the outputs, and number names in that order.

    Args:
        model: The ``onnx.ModelProto``, changed in place. Inputs and outputs keep their names.
    """
    graph = model.graph
    nodes = _in_order(graph)
    constants = {constant.name: constant for constant in graph.initializer}
    names = _Names()
    for value in (*graph.input, *graph.output):
        names.keep(value.name)
    node_names = _Names()
    copies, kept = [], []
    for node in nodes:
        copy = type(node).FromString(node.SerializeToString())
        copy.name = node_names.give(node.name)
        for place, name in enumerate(node.input):
            if name in constants and name not in names.known:
                # Of equal constants tf2onnx keeps any one, so its name says nothing.
                names.give(name, f"{copy.name}/constant_{place}")
                kept.append(_renamed_constant(constants[name], names))
        copy.input[:] = [names.give(name) for name in node.input]
        copy.output[:] = [names.give(name) for name in node.output]
        copies.append(copy)
    del graph.node[:], graph.initializer[:]
    graph.node.extend(copies)
    graph.initializer.extend(kept)


def _in_order(graph: Any) -> list[Any]:
    """The nodes behind the outputs, each after what it needs; depth first, inputs in order."""
    makers = {name: node for node in graph.node for name in node.output if name}
    done: set[int] = set()
    ordered = []
    waiting = [makers[value.name] for value in reversed(graph.output) if value.name in makers]
    while waiting:
        node = waiting[-1]
        needed = [makers[name] for name in node.input if name in makers]
        missing = [maker for maker in needed if id(maker) not in done]
        if missing:
            waiting += reversed(missing)
            continue
        waiting.pop()
        if id(node) not in done:
            done.add(id(node))
            ordered.append(node)
    return ordered


def _renamed_constant(constant: Any, names: _Names) -> Any:
    copy = type(constant).FromString(constant.SerializeToString())
    copy.name = names.known[constant.name]
    return copy


class _Names:
    """New names for old ones, in the order in which they are asked for."""

    def __init__(self) -> None:
        self.known: dict[str, str] = {"": ""}
        self._taken: Counter[str] = Counter()

    def keep(self, name: str) -> None:
        """Leave a name as it is."""
        self.known[name] = name
        self._taken[name] += 1

    def give(self, name: str, wish: str | None = None) -> str:
        """The new name of an old one: ``wish``, else its own without numbers; numbered if taken."""
        if name not in self.known:
            plain = new = _NUMBER.sub("", name) if wish is None else wish
            while self._taken[new]:
                new = f"{plain}_{self._taken[plain]}"
                self._taken[plain] += 1
            self._taken[new] += 1
            self.known[name] = new
        return self.known[name]
