"""Which file, and how many threads: the verdict over the rows of a result.

The rule, which ``docs/bench/showing.md`` states too:

1. Rows that failed parity, or are invalid, skipped or failed, are left out, each with its reason. A
   run that is invalid as a whole, because something disturbed it at some time, is judged by the rows
   that were not disturbed.
2. The limits that were given must hold, for the measured figures themselves.
3. Without ``--min-accuracy`` the rows stay that are as accurate as the best one: their interval
   overlaps its, and they are at most one point below it.
4. The fastest of these wins. Where others are as fast (their interval overlaps, or they are within
   5 %), the one with fewer threads does, then with less memory, then with the smaller file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Literal

from .pareto import AccuracyOf, figures_of, front
from .result import Figures, Result, Row, Verdict

Percentile = Literal["p50", "p90", "p95", "p99"]

#: MLPerf Inference's single-stream scenario is judged by the 90th (Reddi et al. 2020).
PERCENTILES: tuple[Percentile, ...] = ("p50", "p90", "p95", "p99")
DEFAULT_PERCENTILE: Percentile = "p90"

#: Accuracy that is given up for speed without being asked for: a point, as a fraction.
NEAR_ACCURACY = 0.01

#: A share of the latency that is not worth another thread.
NEAR_LATENCY = 0.05
#: A percentile in words.
_SHARES = {"p50": "half of the", "p90": "9 of 10", "p95": "19 of 20", "p99": "99 of 100"}

#: Rounding of decimals in binary must not make a limit miss by nothing.
_EPSILON = 1e-9


@dataclass(frozen=True)
class Limits:
    """What a board has to hold; each None where nothing is asked."""

    max_latency_ms: float | None = None
    min_accuracy: float | None = None  #: 0..1
    max_memory_mb: float | None = None  #: 1,000,000 bytes
    max_size_mb: float | None = None  #: 1,000,000 bytes
    percentile: Percentile = DEFAULT_PERCENTILE  #: of the latency that is compared

    def given(self) -> dict[str, float]:
        """Those that were asked for, by option name."""
        names = (field.name for field in fields(self) if field.name != "percentile")
        return {
            f"--{name.replace('_', '-')}": float(value)
            for name in names
            if (value := getattr(self, name)) is not None
        }


def decide(result: Result, limits: Limits, stated: AccuracyOf | None = None) -> Verdict:
    """The verdict over a result.

    Args:
        result: It; its own ``verdict`` is not looked at.
        limits: What the board has to hold.
        stated: Accuracy that a bundle states of its files, for rows without labelled photos, see
            :func:`benchmarks.choosing.stated_accuracy`.
    """
    percentile = limits.percentile
    measured = any(row["accuracy"] is not None for row in result["rows"])
    accuracy_from: Literal["data", "bundle"] | None = "data" if measured else None
    if not measured and stated:
        accuracy_from = "bundle"
    left_out: dict[str, str] = {}
    rows: dict[str, Row] = {}
    compared: dict[str, Figures] = {}
    for row in result["rows"]:
        reason = _why_not(row)
        if reason is not None:
            left_out[row["name"]] = reason
            continue
        rows[row["name"]] = row
        compared[row["name"]] = figures_of(row, percentile, None if measured else stated)
    found: Verdict = {
        "limits": limits.given(),
        "percentile": percentile,
        "accuracy_from": accuracy_from,
        "compared": compared,
        "pareto": front(compared),
        "recommended": None,
        "nearest": None,
        "reason": "No row can be recommended: none was measured without a fault.",
        "left_out": left_out,
    }
    if not compared:
        return found
    holding = {name: f for name, f in compared.items() if not misses(f, limits)}
    if not holding:
        found["nearest"], found["reason"] = _nearest(compared, limits)
        return found
    found["recommended"], found["reason"] = _best(holding, rows, limits, accuracy_from)
    return found


def misses(figures: Figures, limits: Limits) -> dict[str, str]:
    """The limits that a row does not hold, by option name, each with the figure in words."""
    found = {}
    for option, (excess, words) in _excesses(figures, limits).items():
        if excess > _EPSILON:
            found[option] = words
    return found


def _excesses(figures: Figures, limits: Limits) -> dict[str, tuple[float, str]]:
    """By option: by which share a limit is missed (negative: held), and the figure in words."""
    accuracy, memory = figures["accuracy"], figures["memory_bytes"]
    latency, size = figures["latency_ms"], figures["size_bytes"] / 1e6
    infinite = float("inf")
    found: dict[str, tuple[float, str]] = {}
    if (most := limits.max_latency_ms) is not None:
        found["--max-latency-ms"] = latency / most - 1, f"{limits.percentile} {ms(latency)}"
    if (least := limits.min_accuracy) is not None:
        found["--min-accuracy"] = (
            (infinite, "accuracy unknown")
            if accuracy is None
            else (least - accuracy, f"accuracy {accuracy:.1%}")
        )
    if (most := limits.max_memory_mb) is not None:
        found["--max-memory-mb"] = (
            (infinite, "memory unknown")
            if memory is None
            else (memory / 1e6 / most - 1, f"memory {memory / 1e6:.1f} MB")
        )
    if (most := limits.max_size_mb) is not None:
        found["--max-size-mb"] = size / most - 1, f"size {size:.1f} MB"
    return found


def _why_not(row: Row) -> str | None:
    """Why a row is not considered; None if it is."""
    first = _clause(row["reasons"][0]) if row["reasons"] else "no reason was given"
    if row["status"] != "ok":
        return f"{row['status']}: {first}"
    if row["artifact"]["parity_passed"] is False:
        return "failed its parity check: it does not answer as the model does"
    if row["latency"] is None:
        return "its latency was not measured"
    return None


def _best(
    holding: Mapping[str, Figures],
    rows: Mapping[str, Row],
    limits: Limits,
    accuracy_from: str | None,
) -> tuple[str, str]:
    """The row that wins by the rule of the module, and the sentence that says why."""
    accurate = dict(holding)
    known = {name: a for name, f in holding.items() if (a := f["accuracy"]) is not None}
    if limits.min_accuracy is None and known:
        top = holding[max(known, key=lambda name: known[name])]
        accurate = {name: f for name, f in holding.items() if _as_accurate(f, top)}
    first = min(accurate.values(), key=lambda f: f["latency_ms"])
    fast = {name: f for name, f in accurate.items() if _as_fast(f, first)}

    def burden(name: str) -> tuple[float, float, int, float, str]:
        figures, threads = fast[name], rows[name]["engine"]["threads"]
        memory = figures["memory_bytes"]
        return (
            threads if threads is not None else float("inf"),
            memory if memory is not None else float("inf"),
            figures["size_bytes"],
            figures["latency_ms"],
            name,
        )

    chosen = min(fast, key=burden)
    found = fast[chosen]
    among = "hold the limits" if limits.given() else "can be trusted"
    if len(accurate) < len(holding):
        among += " and are as accurate as the best"
    if len(accurate) == 1:
        singular = among.replace("hold", "holds").replace("are", "is")
        why = f"is the only one of the configurations that {singular}"
    elif found["latency_ms"] <= first["latency_ms"]:
        why = f"is the fastest of the {len(accurate)} configurations that {among}"
    else:
        quicker = next(name for name, figures in accurate.items() if figures is first)
        why = (
            f"is about as fast as the fastest of the {len(accurate)} configurations that {among} "
            f"({quicker}, {ms(first['latency_ms'])}) and needs "
            f"{_spared(rows[chosen], rows[quicker])}"
        )
    share = _SHARES[limits.percentile]
    speed = f"{share} inferences take at most {ms(found['latency_ms'])}"
    return chosen, f"{chosen} {why}: {speed}{_accuracy(found, accuracy_from)}."


def _spared(row: Row, other: Row) -> str:
    """What the first row needs less of than the second."""
    if row["engine"]["threads"] != other["engine"]["threads"]:
        return "fewer threads"
    mine, theirs = row["memory"], other["memory"]
    peaks = [memory["peak_bytes"] if memory else None for memory in (mine, theirs)]
    return "less memory" if peaks[0] != peaks[1] else "less space"


def _accuracy(found: Figures, accuracy_from: str | None) -> str:
    accuracy = found["accuracy"]
    if accuracy is None:
        return "; its accuracy is not known, give --data to count it"
    where = "" if accuracy_from == "data" else ", as the bundle states"
    return f", and {accuracy:.1%} of the photos are right{where}"


def _as_accurate(figures: Figures, top: Figures) -> bool:
    mine, best = figures["accuracy"], top["accuracy"]
    interval, other = figures["accuracy_ci"], top["accuracy_ci"]
    if mine is None or best is None:
        return False
    overlapping = interval is None or other is None or interval[1] >= other[0]
    return overlapping and mine >= best - NEAR_ACCURACY - _EPSILON


def _as_fast(figures: Figures, first: Figures) -> bool:
    near = figures["latency_ms"] <= first["latency_ms"] * (1 + NEAR_LATENCY)
    return near or figures["latency_ci_ms"][0] <= first["latency_ci_ms"][1]


def _nearest(compared: Mapping[str, Figures], limits: Limits) -> tuple[str, str]:
    """The row that misses the limits by least: by the smallest share of its worst one."""

    def worst(name: str) -> tuple[float, float]:
        excesses = [excess for excess, _ in _excesses(compared[name], limits).values()]
        return max(excesses), compared[name]["latency_ms"]

    name = min(compared, key=worst)
    missed = misses(compared[name], limits)
    wanted = limits.given()
    words = " and ".join(
        f"{figure} where {option} is {wanted[option]:g}" for option, figure in missed.items()
    )
    hint = (
        " (give --data to count it)"
        if any(figure == "accuracy unknown" for figure in missed.values())
        else ""
    )
    return name, f"No row holds the limits; {name} comes nearest, with {words}{hint}."


def ms(value: float) -> str:
    """Milliseconds for a reader, three digits of them."""
    return f"{value:.{0 if value >= 100 else 1 if value >= 10 else 2}f} ms"


def _clause(text: str) -> str:
    return text.rstrip().rstrip(".")
