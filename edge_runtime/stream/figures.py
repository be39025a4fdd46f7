"""Figures of a run without an end, in memory that does not grow: histograms, a quantile, a rate."""

from __future__ import annotations

import math
import time
from bisect import bisect_left
from collections import Counter, deque
from typing import Any

#: Upper bounds of the buckets of every time, in milliseconds: one that a camera of 100 frames a
#: second needs, up to one that a stalled source needs.
BUCKETS_MS = (1, 2, 5, 10, 20, 35, 50, 75, 100, 150, 200, 350, 500, 1000, 2000, 5000, 10000)

#: Neighbouring bins of the quantiles differ by this factor, so that a quantile is right to 2.5 %.
_FACTOR = math.log(1.05)

#: Milliseconds; whatever is shorter counts as this.
_LEAST = 0.001


class Histogram:
    """How often a time was how long.

    Two sets of bins: the few fixed ones that a metrics endpoint shows (Prometheus: cumulative, an
    upper bound each), and logarithmic ones of which quantiles are read with a bounded relative error
    (Masson et al. 2019, "DDSketch").
    """

    def __init__(self) -> None:
        """Begin with nothing."""
        self.sum, self.count, self.last, self.most = 0.0, 0, 0.0, 0.0
        self._fixed = [0] * (len(BUCKETS_MS) + 1)
        self._fine: Counter[int] = Counter()

    def add(self, milliseconds: float) -> None:
        """Count one."""
        self.sum += milliseconds
        self.count += 1
        self.last = milliseconds
        self.most = max(self.most, milliseconds)
        self._fixed[bisect_left(BUCKETS_MS, milliseconds)] += 1
        self._fine[math.floor(math.log(max(milliseconds, _LEAST)) / _FACTOR)] += 1

    def quantile(self, share: float) -> float | None:
        """The time that ``share`` (0..1) of all are not above, to 2.5 %; None without any."""
        wanted = share * self.count
        passed = 0
        for place in sorted(self._fine):
            passed += self._fine[place]
            if passed >= wanted:
                return min(math.exp((place + 0.5) * _FACTOR), self.most)
        return None

    def to_dict(self) -> dict[str, Any]:
        """A JSON object.

        Returns:
            ``le`` (upper bounds in milliseconds, null for infinity), ``counts`` (as many are not
            above each, cumulative), ``sum``, ``count``, ``p50``, ``p95`` and ``max`` (null without
            any).
        """
        counts, total = [], 0
        for count in self._fixed:
            total += count
            counts.append(total)
        return {
            "le": [*BUCKETS_MS, None],
            "counts": counts,
            "sum": round(self.sum, 3),
            "count": self.count,
            "p50": _rounded(self.quantile(0.5)),
            "p95": _rounded(self.quantile(0.95)),
            "max": _rounded(self.most) if self.count else None,
        }


class Rate:
    """Events a second over the last seconds."""

    def __init__(self, seconds: float = 5.0, parts: int = 10) -> None:
        """Begin now.

        Args:
            seconds: How far it looks back.
            parts: In how many steps old events are forgotten.
        """
        self._seconds, self._part = seconds, seconds / parts
        self._begun = time.monotonic()
        self._counts: deque[list[float]] = deque()  # [beginning, count]

    def add(self) -> None:
        """Count one."""
        now = time.monotonic()
        if not self._counts or now - self._counts[-1][0] >= self._part:
            self._forget(now)
            self._counts.append([now, 0])
        self._counts[-1][1] += 1

    def value(self) -> float:
        """How many a second."""
        now = time.monotonic()
        self._forget(now)
        span = min(self._seconds, now - self._begun)
        return sum(count for _, count in self._counts) / span if span > 0 else 0.0

    def _forget(self, now: float) -> None:
        while self._counts and now - self._counts[0][0] > self._seconds:
            self._counts.popleft()


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
