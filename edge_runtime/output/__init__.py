"""How answers are written: one module a format, and the place that they go to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from ..manifest import ModelInfo
    from ..prediction import Prediction

#: Names of the formats.
FORMATS = ("text", "table", "csv", "jsonl")

#: What the extension of a file asks for where no format was named.
BY_EXTENSION = {".csv": "csv", ".json": "jsonl", ".jsonl": "jsonl", ".ndjson": "jsonl"}

#: What a run did with a photo beside classifying it: name of the key or column to a path or None.
Extra = Mapping[str, "str | None"]


class Format(Protocol):
    """Turns answers into text, one at a time, so that they can be read as they come."""

    def head(self) -> str:
        """What stands in front of the first answer."""

    def row(self, prediction: Prediction, extra: Extra) -> str:
        """One answer, with the end of its line."""


def make_format(
    name: str, info: ModelInfo, k: int, extra: Sequence[str] = (), width: int | None = None
) -> Format:
    """The format of a name.

    Args:
        name: One of :data:`FORMATS`.
        info: The model's labels and thresholds.
        k: How many classes each answer lists.
        extra: Keys that every ``Extra`` will have.
        width: Columns of the terminal; None where lines may be of any length.
    """
    if name == "jsonl":
        from .jsonl import JsonLines

        return JsonLines()
    if name == "csv":
        from .rows import CommaSeparated

        return CommaSeparated(min(k, len(info.class_names)), extra)
    if name == "table":
        from .table import Table

        return Table(info, k, extra, width)
    from .text import Lines

    return Lines(info.output.unknown_threshold)
