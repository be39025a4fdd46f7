"""How sure a figure is that was counted on few photos: an interval and the paired test."""

from __future__ import annotations

import math

#: Two-sided normal quantile of 95 %.
_Z = 1.959963984540054


def wilson(count: int, n: int) -> list[float]:
    """The 95 % score interval of a share (Wilson 1927), which holds for few photos and near 1.

    Args:
        count: Photos that count.
        n: All photos, at least 1.

    Returns:
        [low, high], 0..1.
    """
    share, spread = count / n, _Z * _Z / n
    middle = share + spread / 2
    half = _Z * math.sqrt(share * (1 - share) / n + spread / (4 * n))
    return [max(0.0, (middle - half) / (1 + spread)), min(1.0, (middle + half) / (1 + spread))]


def mcnemar(lost: int, gained: int) -> float:
    """Two-sided p-value of the exact McNemar test (McNemar 1947, binomial form).

    Args:
        lost: Photos that only the first classifier gets right.
        gained: Photos that only the second one gets right.
    """
    n = lost + gained
    tail = sum(math.comb(n, k) for k in range(min(lost, gained) + 1))
    return float(min(1.0, 2 * tail / 2**n))
