"""The figures of a row, out of what its processes answered in each round."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..conditions import Span
from ..result import EndToEnd, Latency, Measured, Memory, Throughput
from ..statistics import (
    histogram,
    interval_of_mean,
    interval_of_median,
    interval_of_rounds,
    median_of_rounds,
    percentile,
)
from .worker import samples_of


def latency_of(answers: Sequence[dict[str, Any]], spans: Sequence[Span]) -> Latency:
    """Single-stream latency; percentiles by nearest rank, over the samples of all rounds.

    Args:
        answers: Of the process of each round, at least one.
        spans: The machine meanwhile.
    """
    rounds = [samples_of(answer) for answer in answers]
    ordered = np.sort(np.concatenate(rounds))
    low, high = interval_of_median(rounds)
    return {
        "runs": len(ordered),
        "min_ms": _ms(ordered[0]),
        "mean_ms": _ms(ordered.mean()),
        "p50_ms": _ms(percentile(ordered, 50)),
        "p50_ci_ms": (_ms(low), _ms(high)),
        "p90_ms": _ms(percentile(ordered, 90)),
        "p95_ms": _ms(percentile(ordered, 95)),
        "p99_ms": _ms(percentile(ordered, 99)),
        "p99_9_ms": _ms(percentile(ordered, 99.9)),
        "max_ms": _ms(ordered[-1]),
        "histogram": histogram(ordered),
        "rounds": [
            {
                "p50_ms": _ms(percentile(np.sort(samples), 50)),
                "p90_ms": _ms(percentile(np.sort(samples), 90)),
                "runs": len(samples),
                "warm_up_runs": answer["warm_up_runs"],
                "steady": answer["steady"],
                "seconds": answer["seconds"],
                "other_load": None if span.other_load is None else round(span.other_load, 3),
            }
            for samples, answer, span in zip(rounds, answers, spans, strict=True)
        ],
    }


def measured(values: Sequence[float]) -> Measured | None:
    """A figure that each round has once; None without any."""
    if not values:
        return None
    interval = median_of_rounds(values)
    return {
        "median_ms": _ms(float(np.median(values))),
        "min_ms": _ms(min(values)),
        "ci_ms": None if interval is None else (_ms(interval[0]), _ms(interval[1])),
    }


def throughput_of(rates: Sequence[dict[str, Any]]) -> list[Throughput]:
    """Inferences a second of each mode, mean over the rounds."""
    if not rates:
        return []
    found: list[Throughput] = []
    for number, mode in enumerate(rates[0]["modes"]):
        rounds = [np.asarray(each["modes"][number]["per_second"], float) for each in rates]
        low, high = interval_of_mean(rounds)
        found.append(
            {
                "streams": mode["streams"],
                "batch": mode["batch"],
                "per_second": round(float(np.concatenate(rounds).mean()), 3),
                "ci_per_second": (round(low, 3), round(high, 3)),
            }
        )
    return found


def end_to_end_of(rounds: Sequence[Sequence[Sequence[float]]]) -> EndToEnd | None:
    """From file to answer: of each photo the median of the rounds, then the median over photos.

    The interval is of the machine, not of the photos: they are the same in each round.

    Args:
        rounds: Of each round, of each photo, what :func:`.stages.time_stages` gave.
    """
    if not rounds or not rounds[0]:
        return None
    times = np.asarray(rounds, float)  # rounds, photos, stages

    def median(drawn: np.ndarray) -> np.ndarray:
        middle: np.ndarray = np.median(np.median(drawn, axis=1), axis=1)
        return middle

    of_photo = np.median(times, axis=0)
    totals = np.sort(of_photo[:, 0])
    p50 = float(np.median(totals))
    interval = interval_of_rounds(times[:, :, 0], median)
    decode, preprocess, infer, postprocess = (float(n) for n in np.median(of_photo[:, 1:], axis=0))
    return {
        "photos": times.shape[1],
        "p50_ms": _ms(p50),
        "p50_ci_ms": None if interval is None else (_ms(interval[0]), _ms(interval[1])),
        "p90_ms": _ms(percentile(totals, 90)),
        "decode_ms": _ms(decode),
        "preprocess_ms": _ms(preprocess),
        "infer_ms": _ms(infer),
        "postprocess_ms": _ms(postprocess),
    }


def memory_of(answers: Sequence[dict[str, Any]]) -> Memory:
    """Largest peak, and the median of what stayed."""

    def over(key: str, combine: Callable[[list[int]], float]) -> int | None:
        values = [answer[key] for answer in answers if answer[key] is not None]
        return round(combine(values)) if values else None

    return {
        "peak_bytes": over("peak_bytes", max),
        "steady_bytes": over("steady_bytes", lambda values: float(np.median(values))),
    }


def _ms(value: float) -> float:
    return round(float(value), 4)
