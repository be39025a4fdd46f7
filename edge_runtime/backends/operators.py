"""How often a model uses which operators, of any kind of file."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class UsedOperator:
    """A kind of operator in a model.

    Attributes:
        name: Of a TFLite file its name in the schema (of a custom operator, its maker's); of an
            ONNX file its name, of other domains than ONNX's own ``domain:name``.
        version: Of a TFLite file its own, which grows with what it may be asked for; of an ONNX
            file that of its domain's opset, 0 where the file names none.
        count: How often the graphs hold it.
    """

    name: str
    version: int
    count: int


def most_frequent_first(found: Iterable[UsedOperator]) -> list[UsedOperator]:
    """Operators in the order in which people read them."""
    return sorted(found, key=lambda o: (-o.count, o.name, o.version))
