"""How sure a figure is that was counted on few photos, as ``metrics.json`` says it."""

from __future__ import annotations

import math
from typing import Any

from edge_runtime import confidence

#: Of all intervals.
LEVEL = 0.95

#: Two-sided normal quantile of :data:`LEVEL`.
_Z = 1.959963984540054


def wilson(right: int, n: int) -> dict[str, Any]:
    """The score interval of a share (Wilson 1927), which holds for few photos and shares near 1.

    Args:
        right: Photos that count.
        n: All photos, at least 1.

    Returns:
        ``low`` and ``high`` (0..1), ``level`` (0.95) and ``method`` (``wilson``).
    """
    low, high = confidence.wilson(right, n)
    return {"low": low, "high": high, "level": LEVEL, "method": "wilson"}


def paired_difference(better: int, worse: int, n: int) -> dict[str, Any]:
    """Interval of the difference of two accuracies on the same photos.

    The adjusted Wald interval of Bonett and Price 2012, "Adjusted Wald Confidence Interval for a
    Difference of Binomial Proportions Based on Paired Data": one photo is added to both counts.

    Args:
        better: Photos that only the second classifier gets right.
        worse: Photos that only the first one gets right.
        n: All photos, at least 1.

    Returns:
        ``value`` (second minus first, -1..1), ``low``, ``high``, ``level`` and ``method``.
    """
    gained, lost = (better + 1) / (n + 2), (worse + 1) / (n + 2)
    middle = gained - lost
    half = _Z * math.sqrt((gained + lost - middle * middle) / (n + 2))
    return {
        "value": (better - worse) / n,
        "low": max(middle - half, -1.0),
        "high": min(middle + half, 1.0),
        "level": LEVEL,
        "method": "bonett-price",
    }
