"""A region of interest as it is typed."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ..errors import UsageError

if TYPE_CHECKING:
    from ..preprocess import Roi


def parse_roi(text: str) -> Roi:
    """Read ``left,top,right,bottom`` as fractions 0..1 or, each with a ``%``, as percent.

    Pixels are refused: the photos of a folder differ in size, and so would what is looked at.

    Raises:
        UsageError: It is none of these, or empty.
    """
    parts = [part.strip() for part in text.split(",")]
    try:
        values = [float(p[:-1]) / 100 if p.endswith("%") else float(p) for p in parts]
    except ValueError:
        values = []
    if len(values) != 4 or not all(math.isfinite(value) for value in values):
        raise UsageError(
            f"--roi {text}: expected left,top,right,bottom as fractions or percent of the photo, "
            "such as 0.25,0,0.75,1 or 25%,0%,75%,100%."
        )
    left, top, right, bottom = values
    if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
        raise UsageError(
            f"--roi {text}: expected left < right and top < bottom, from 0 to 1 (or 0% to 100%)."
        )
    return left, top, right, bottom
