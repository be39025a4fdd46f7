"""Compare two results, row by row."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import Literal, TypedDict

from edge_runtime.errors import UsageError

from ..result import Interval, Result, Row
from .machines import differences, other_machine
from .matching import match_rows
from .ratio import LEVEL, difference_of_shares, ratio_of_medians

#: Version of the layout of :class:`Comparison`.
COMPARISON_VERSION = 1

#: Peaks of two processes that do the same differ by less, in bytes; there is no interval of them.
_MEMORY_NOISE = 2_000_000

#: Confidence in a change of p90, and how much more than the median it may grow by. Of eight equal
#: configurations some tail is slower by 5 % in one of twelve comparisons, a median in one of thirty.
_TAIL_LEVEL, _TAIL_SHARE = 0.99, 1.5

#: ``uncertain``: no regression is seen, and one that is not allowed cannot be excluded either.
Finding = Literal["regression", "slower", "faster", "same", "uncertain", "worse", "better"]


class Figure(TypedDict):
    """One figure of a row in both runs."""

    before: float
    after: float
    change: float  #: as a share of before; of accuracy the difference of the shares
    interval: Interval | None  #: of the change, 95 % (p90: 99 %); None where its noise is not known
    finding: Finding


class RowComparison(TypedDict):
    """A configuration that both runs measured."""

    name: str
    p50_ms: Figure
    p90_ms: Figure | None  #: None where a run does not say it round by round
    memory_bytes: Figure | None
    size_bytes: Figure
    accuracy: Figure | None
    regressions: list[str]  #: names of the figures that have regressed


class Side(TypedDict):
    """One of the two runs."""

    path: str
    date: str
    subject: str


class Comparison(TypedDict):
    """All that was found."""

    comparison_version: int
    before: Side
    after: Side
    max_regression: float  #: percent
    max_accuracy_drop: float  #: percentage points
    notes: list[str]  #: what else differs between the runs
    rows: list[RowComparison]
    broken: dict[str, str]  #: rows that were measured before and failed after, with the reason
    not_compared: dict[str, str]  #: rows of both runs, with the reason
    only_before: list[str]
    only_after: list[str]
    passed: bool
    summary: str  #: one sentence


@dataclass(frozen=True)
class Allowed:
    """What may change."""

    max_regression: float = 5.0  #: percent
    max_accuracy_drop: float = 0.5  #: percentage points
    force: bool = False  #: whether other machines are compared, too


def compare_results(
    before: Result, after: Result, allowed: Allowed, names: tuple[str, str] = ("before", "after")
) -> Comparison:
    """Compare two results.

    Args:
        before: The one that counts.
        after: The one that is judged.
        allowed: What may change.
        names: What messages call them.

    Raises:
        UsageError: They come from different machines and ``force`` is false.
    """
    machine = other_machine(before["machine"], after["machine"])
    if machine and not allowed.force:
        raise UsageError(
            f"{names[0]} and {names[1]} were measured on different machines ({'; '.join(machine)}), "
            "whose figures say nothing of each other. Measure both on one, or compare with --force."
        )
    first = {row["name"]: row for row in before["rows"]}
    second = match_rows(before, after)
    broken: dict[str, str] = {}
    not_compared: dict[str, str] = {}
    rows = []
    for name, row in first.items():
        other = second.get(name)
        if other is None:
            continue
        if row["status"] in ("ok", "invalid") and other["status"] == "failed":
            broken[name] = _reason(other)
        elif (reason := _why_not(row, other)) is not None:
            not_compared[name] = reason
        else:
            same_photos = before["settings"].get("data") == after["settings"].get("data")
            rows.append(_compare_rows(row, other, allowed, same_photos))
    notes = [f"another machine: {text}" for text in machine] + differences(before, after)
    notes += _drift(rows)
    passed = not broken and bool(rows) and not any(row["regressions"] for row in rows)
    return {
        "comparison_version": COMPARISON_VERSION,
        "before": _side(before, names[0]),
        "after": _side(after, names[1]),
        "max_regression": allowed.max_regression,
        "max_accuracy_drop": allowed.max_accuracy_drop,
        "notes": notes,
        "rows": rows,
        "broken": broken,
        "not_compared": not_compared,
        "only_before": [name for name in first if name not in second],
        "only_after": [name for name in second if name not in first],
        "passed": passed,
        "summary": _summary(rows, broken, not_compared, allowed),
    }


def _why_not(row: Row, other: Row) -> str | None:
    for when, one in (("before", row), ("after", other)):
        if one["status"] == "invalid":
            return f"INVALID {when}: {_reason(one)}"
        if one["status"] != "ok":
            return f"{one['status']} {when}: {_reason(one)}"
        if one["latency"] is None:
            return f"has no latency {when}"
    return None


def _reason(row: Row) -> str:
    return row["reasons"][0].rstrip(".") if row["reasons"] else "no reason was given"


def _compare_rows(row: Row, other: Row, allowed: Allowed, same_photos: bool) -> RowComparison:
    if row["latency"] is None or other["latency"] is None:
        raise ValueError(f"{row['name']} has no latency")
    rounds = row["latency"]["rounds"], other["latency"]["rounds"]
    p50 = [[one["p50_ms"] for one in side] for side in rounds]
    p90 = [[one["p90_ms"] for one in side if "p90_ms" in one] for side in rounds]
    whole = all(len(side) == len(known) for side, known in zip(rounds, p90, strict=True))
    percent = allowed.max_regression
    figures: dict[str, Figure | None] = {
        "p50_ms": _latency(p50[0], p50[1], percent),
        "p90_ms": _latency(p90[0], p90[1], _TAIL_SHARE * percent, _TAIL_LEVEL) if whole else None,
        "memory_bytes": _memory(row, other, allowed),
        "size_bytes": _exact(row["artifact"]["bytes"], other["artifact"]["bytes"], 0, allowed),
        "accuracy": _accuracy(row, other, allowed) if same_photos else None,
    }
    found = {"name": row["name"], **figures}
    found["regressions"] = [  # type: ignore[assignment]  # one object of several kinds
        name for name, figure in figures.items() if figure and figure["finding"] == "regression"
    ]
    return found  # type: ignore[return-value]


def _latency(
    before: list[float], after: list[float], percent: float, level: float = LEVEL
) -> Figure:
    change = ratio_of_medians(before, after, level)
    first = statistics.median(before)
    limit = 1 + percent / 100
    finding: Finding = "uncertain"
    interval = None
    if change.interval is not None:
        low, high = change.interval
        interval = (low - 1, high - 1)
        if low > 1:
            finding = "regression" if change.ratio > limit else "slower"
        elif high < 1:
            finding = "faster"
        else:
            finding = "same" if high <= limit else "uncertain"
    return {
        "before": first,
        "after": first * change.ratio,
        "change": change.ratio - 1,
        "interval": interval,
        "finding": finding,
    }


def _memory(row: Row, other: Row, allowed: Allowed) -> Figure | None:
    peaks = [m["peak_bytes"] if (m := one["memory"]) is not None else None for one in (row, other)]
    if peaks[0] is None or peaks[1] is None:
        return None
    return _exact(peaks[0], peaks[1], _MEMORY_NOISE, allowed)


def _exact(before: float, after: float, noise: float, allowed: Allowed) -> Figure:
    """A figure without an interval: below ``noise`` nothing has changed."""
    change = (after - before) / before if before else 0.0
    finding: Finding = "same"
    if abs(after - before) > noise:
        grown: Finding = "regression" if 100 * change > allowed.max_regression else "worse"
        finding = grown if after > before else "better"
    return {
        "before": before,
        "after": after,
        "change": change,
        "interval": None,
        "finding": finding,
    }


def _accuracy(row: Row, other: Row, allowed: Allowed) -> Figure | None:
    first, second = row["accuracy"], other["accuracy"]
    if first is None or second is None or first["photos"] != second["photos"]:
        return None
    counts = [(one["correct"], one["photos"]) for one in (first, second)]
    change = second["accuracy"] - first["accuracy"]
    low, high = difference_of_shares(counts[0], counts[1])
    finding: Finding = "same"
    if low > 0:
        finding = "better"
    elif -100 * change > allowed.max_accuracy_drop:
        finding = "regression" if high < 0 else "uncertain"
    elif high < 0:
        finding = "worse"
    return {
        "before": first["accuracy"],
        "after": second["accuracy"],
        "change": change,
        "interval": (low, high),
        "finding": finding,
    }


def _drift(rows: list[RowComparison]) -> list[str]:
    """A word of warning where everything moved alike, which files seldom do."""
    changes = [row["p50_ms"]["change"] for row in rows]
    findings = {row["p50_ms"]["finding"] for row in rows}
    if len(rows) < 3 or not (findings <= {"regression", "slower"} or findings <= {"faster"}):
        return []
    low, high = 100 * min(changes), 100 * max(changes)
    return [
        f"every configuration changed, by {low:+.1f} to {high:+.1f} %: perhaps the machine did, and "
        "not the files"
    ]


def _side(result: Result, path: str) -> Side:
    return {"path": path, "date": result["date"], "subject": str(result["subject"].get("path"))}


def _summary(
    rows: list[RowComparison],
    broken: dict[str, str],
    not_compared: dict[str, str],
    allowed: Allowed,
) -> str:
    regressed = [row["name"] for row in rows if row["regressions"]]
    left = f" {_count(len(not_compared), 'row')} could not be compared." if not_compared else ""
    if not rows and not broken:
        return f"Nothing could be compared.{left}"
    if regressed or broken:
        parts = []
        if regressed:
            parts.append(f"regressed: {'; '.join(regressed)}")
        if broken:
            parts.append(f"failing now: {'; '.join(broken)}")
        total = len(rows) + len(broken)
        return (
            f"{len(regressed) + len(broken)} of {_count(total, 'configuration')} "
            f"{', '.join(parts)}.{left}"
        )
    open_ones = sum(row["p50_ms"]["finding"] == "uncertain" for row in rows)
    percent = f"{allowed.max_regression:g} %"
    doubt = f" Of {_count(open_ones, 'configuration')} the runs are too noisy to exclude {percent}."
    left = f"{doubt}{left}" if open_ones else left
    return f"No regression in {_count(len(rows), 'configuration')}.{left}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
