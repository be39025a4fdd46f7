"""Latency of a call: warm-up, a plain timed loop, percentiles.

The terms are those of MLPerf Inference's single-stream scenario (one request after the other,
over a minimum duration and a minimum count; Reddi et al. 2020) and of ``onnxruntime_perf_test``.
"""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable, Sequence
from typing import TypeVar

_Argument = TypeVar("_Argument")

#: Warm-up before anything is recorded: both must be reached. The first calls fault pages in,
#: pack weights and wake the cores; a quarter of a second outlasts the ramp of a governor.
WARM_UP_SECONDS = 0.25
WARM_UP_RUNS = 3

_NS_PER_MS = 1e6


def time_calls(
    call: Callable[[_Argument], object], argument: _Argument, min_seconds: float, min_runs: int
) -> array[int]:
    """Time a call again and again, until both minima are reached.

    Args:
        call: What is timed.
        argument: Its only argument.
        min_seconds: Least duration of the whole loop.
        min_runs: Least number of calls; at least one is made.

    Returns:
        Nanoseconds of each call, in order.
    """
    clock = time.perf_counter_ns
    samples = array("q")  # 8 bytes a sample: a list of ints would show in the peak memory
    end = clock() + round(min_seconds * 1e9)
    while True:
        start = clock()
        call(argument)
        stop = clock()
        samples.append(stop - start)
        if stop >= end and len(samples) >= min_runs:
            return samples


def warm_up(call: Callable[[_Argument], object], argument: _Argument) -> None:
    """Call until the first, slower calls are over; nothing is recorded."""
    time_calls(call, argument, WARM_UP_SECONDS, WARM_UP_RUNS)


def percentile(ordered: Sequence[float], percent: int) -> float:
    """The smallest sample that at least ``percent`` % of the samples do not exceed.

    That is the nearest-rank percentile: always a measured value, never an interpolated one,
    and the same as ``numpy.percentile(..., method="inverted_cdf")``. Of fewer than 100 samples
    p99 is therefore the largest.

    Args:
        ordered: Samples in ascending order, at least one.
        percent: 1 to 100.
    """
    rank = -(-percent * len(ordered) // 100)  # ceil, in whole numbers
    return ordered[rank - 1]


def summarize(samples: Sequence[int]) -> dict[str, float]:
    """Count and latency figures of samples.

    Args:
        samples: Nanoseconds, at least one, in any order.

    Returns:
        ``runs`` (a count), and ``min_ms``, ``mean_ms``, ``p50_ms``, ``p90_ms``, ``p99_ms``,
        ``max_ms`` in milliseconds; the percentiles by nearest rank, see :func:`percentile`.
    """
    ordered = sorted(samples)
    return {
        "runs": len(ordered),
        "min_ms": to_ms(ordered[0]),
        "mean_ms": to_ms(sum(ordered) / len(ordered)),
        "p50_ms": to_ms(percentile(ordered, 50)),
        "p90_ms": to_ms(percentile(ordered, 90)),
        "p99_ms": to_ms(percentile(ordered, 99)),
        "max_ms": to_ms(ordered[-1]),
    }


def to_ms(nanoseconds: float) -> float:
    """Milliseconds, to 0.1 microseconds (what the clocks of small boards resolve)."""
    return round(nanoseconds / _NS_PER_MS, 4)
