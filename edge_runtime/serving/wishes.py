"""What a request to classify asks for, in its query or in fields of its form."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import UsageError
from .problems import Problem

if TYPE_CHECKING:
    from ..preprocess import Roi

#: Names that there are.
NAMES = ("model", "top_k", "heatmap", "threshold", "roi")

#: More classes than any model has.
MAX_TOP_K = 100_000

#: Spellings of ``heatmap``.
_HEATMAPS = {
    "": None, "false": None, "0": None, "none": None,
    "true": "overlay", "1": "overlay", "overlay": "overlay", "map": "map",
}  # fmt: skip

#: Characters of a value that an error repeats.
_SHOWN = 60


@dataclass(frozen=True)
class Wishes:
    """All of it, checked.

    Attributes:
        model: Name; None for the only or first one.
        k: Classes that each answer lists.
        heatmap: None, ``overlay`` or ``map``.
        threshold: In place of the model's own, 0..1.
        roi: The part of each photo that is looked at.
    """

    model: str | None = None
    k: int = 5
    heatmap: str | None = None
    threshold: float | None = None
    roi: Roi | None = None


def read_wishes(pairs: Iterable[tuple[str, str]]) -> Wishes:
    """Read names and values.

    Args:
        pairs: Of the query and of the form.

    Raises:
        Problem: 422 for a name that is not known or stands twice, or a value that cannot be.
    """
    found: dict[str, str] = {}
    for name, value in pairs:
        if name not in NAMES:
            raise Problem(
                422, f"{name[:_SHOWN]!r}: is not known here. There are: {', '.join(NAMES)}."
            )
        if name in found:
            raise Problem(422, f"{name}: stands there twice.")
        found[name] = value
    heatmap = found.get("heatmap", "").lower()
    if heatmap not in _HEATMAPS:
        raise _wrong("heatmap", found["heatmap"], "true or overlay, map, or false")
    return Wishes(
        found.get("model"),
        _top_k(found.get("top_k")),
        _HEATMAPS[heatmap],
        _threshold(found.get("threshold")),
        _roi(found.get("roi")),
    )


def _top_k(text: str | None) -> int:
    if text is None:
        return Wishes.k
    if not (text.isascii() and text.isdecimal() and len(text) < 9 and 1 <= int(text) <= MAX_TOP_K):
        raise _wrong("top_k", text, f"a whole number from 1 to {MAX_TOP_K}")
    return int(text)


def _threshold(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise _wrong("threshold", text, "a number from 0 to 1")
    return value


def _roi(text: str | None) -> Roi | None:
    if text is None:
        return None
    from ..photos.roi import parse_roi

    try:
        return parse_roi(text)
    except UsageError as error:
        expected = str(error).rpartition("expected ")[2].rstrip(".")
        raise _wrong("roi", text, expected) from error


def _wrong(name: str, value: str, expected: str) -> Problem:
    return Problem(422, f"{name}: expected {expected}, found {value[:_SHOWN]!r}.")
