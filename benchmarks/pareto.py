"""The Pareto front of rows in latency, accuracy, memory and size, as far as they can be told apart.

One row beats another if it is better in at least one of the four and worse in none. Better and worse
mean that the intervals of latency or accuracy do not overlap, that the memory differs by more than
a process's own varies, or that the size differs at all: what noise may have made is a tie, and a row
that is only behind by noise stays on the front.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from .result import Figures, Interval, Row

#: Accuracy by (subject, format) of an artifact, with its interval.
AccuracyOf = Mapping[tuple[str, str], tuple[float, Interval]]

#: Peaks of two processes that do the same differ by so much: a share, and bytes.
_MEMORY_SHARE = 0.02
_MEMORY_BYTES = 1_000_000


def figures_of(row: Row, percentile: str, stated: AccuracyOf | None = None) -> Figures:
    """What is compared of a row that has a latency.

    Args:
        row: It.
        percentile: ``p50``, ``p90``, ``p95`` or ``p99``.
        stated: Accuracies for rows without one of their own.

    Returns:
        Its figures. Only the median has an interval of its own; that of another percentile is as
        wide in proportion.
    """
    latency, accuracy, memory = row["latency"], row["accuracy"], row["memory"]
    if latency is None:
        raise ValueError(f"{row['name']} has no latency")
    value = float(latency[f"{percentile}_ms"])  # type: ignore[literal-required]  # of four names
    low, high = latency["p50_ci_ms"]
    scale = value / latency["p50_ms"] if latency["p50_ms"] > 0 else 1.0
    share: float | None = None
    interval: Interval | None = None
    if accuracy is not None:
        share, interval = accuracy["accuracy"], (accuracy["ci"][0], accuracy["ci"][1])
    elif stated is not None:
        key = (row["artifact"]["subject"], row["artifact"]["format"])
        share, interval = stated.get(key, (None, None))
    return {
        "latency_ms": value,
        "latency_ci_ms": (low * scale, high * scale),
        "accuracy": share,
        "accuracy_ci": interval,
        "memory_bytes": None if memory is None else memory["peak_bytes"],
        "size_bytes": row["artifact"]["bytes"],
    }


def front(compared: Mapping[str, Figures]) -> list[str]:
    """Names of the rows that no row of the front beats, fastest first.

    Since ties are not transitive, rows may beat each other in a circle; what only such rows beat
    stays on the front.
    """
    beaten_by = {
        name: {other for other, theirs in compared.items() if _beats(theirs, mine)}
        for name, mine in compared.items()
    }
    unbeaten = {name for name, others in beaten_by.items() if not others}
    found = [name for name, others in beaten_by.items() if not others & unbeaten]
    return sorted(found, key=lambda name: (compared[name]["latency_ms"], name))


def _beats(one: Figures, other: Figures) -> bool:
    signs = [compare(one, other) for compare in _COMPARISONS]
    return max(signs) > 0 and min(signs) >= 0


def _latency(one: Figures, other: Figures) -> int:
    return -_apart(one["latency_ci_ms"], other["latency_ci_ms"])


def _accuracy(one: Figures, other: Figures) -> int:
    mine, theirs = one["accuracy_ci"], other["accuracy_ci"]
    return 0 if mine is None or theirs is None else _apart(mine, theirs)


def _memory(one: Figures, other: Figures) -> int:
    mine, theirs = one["memory_bytes"], other["memory_bytes"]
    if mine is None or theirs is None:
        return 0
    allowed = max(_MEMORY_BYTES, _MEMORY_SHARE * max(mine, theirs))
    return 0 if abs(mine - theirs) <= allowed else _sign(theirs - mine)


def _size(one: Figures, other: Figures) -> int:
    return _sign(other["size_bytes"] - one["size_bytes"])


_COMPARISONS: tuple[Callable[[Figures, Figures], int], ...] = (_latency, _accuracy, _memory, _size)


def _apart(one: Interval, other: Interval) -> int:
    """1 if one interval lies above the other, -1 below it, 0 where they overlap."""
    return int(one[0] > other[1]) - int(one[1] < other[0])


def _sign(value: float) -> int:
    return (value > 0) - (value < 0)
