"""Latency of a call: warm-up until it is steady, then a plain timed loop.

The terms are those of MLPerf Inference's single-stream scenario (one request after the other, over
a minimum duration and a minimum count; Reddi et al. 2020) and of ``onnxruntime_perf_test``.
"""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable
from typing import NamedTuple, TypeVar

_Argument = TypeVar("_Argument")

#: A warm-up takes at least this long: the first calls fault pages in, pack weights and wake the
#: cores, and a quarter of a second outlasts the ramp of a governor.
LEAST_SECONDS = 0.25

#: It ends when the medians of this many windows in a row differ by no more than this share ...
WINDOWS = 3
TOLERANCE = 0.03

#: ... or after so long, steady or not.
MOST_SECONDS = 3.0

#: A window lasts so long, and holds so many calls, at least.
WINDOW_SECONDS = 0.04
WINDOW_CALLS = 3

_NS = 1e9
_NS_PER_MS = 1e6


class WarmUp(NamedTuple):
    """How a warm-up went."""

    runs: int
    steady: bool  #: whether the calls took the same time in the end


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
    keep = samples.append
    end = clock() + round(min_seconds * _NS)
    while True:
        start = clock()
        call(argument)
        stop = clock()
        keep(stop - start)
        if stop >= end and len(samples) >= min_runs:
            return samples


def warm_up(
    call: Callable[[_Argument], object], argument: _Argument, most_seconds: float = MOST_SECONDS
) -> WarmUp:
    """Call until it takes the same time again and again; nothing is recorded.

    Args:
        call: What will be timed.
        argument: Its only argument.
        most_seconds: When to give up waiting for it; :data:`WINDOWS` windows are made all the same.
    """
    start = time.perf_counter_ns()
    medians: list[float] = []
    runs = 0
    while True:
        window = sorted(time_calls(call, argument, WINDOW_SECONDS, WINDOW_CALLS))
        runs += len(window)
        medians.append(window[len(window) // 2])
        seconds, last = (time.perf_counter_ns() - start) / _NS, medians[-WINDOWS:]
        if len(last) < WINDOWS:
            continue
        steady = max(last) <= min(last) * (1 + TOLERANCE)
        if (steady and seconds >= LEAST_SECONDS) or seconds >= most_seconds:
            return WarmUp(runs, steady)


def to_ms(nanoseconds: float) -> float:
    """Milliseconds, to 0.1 microseconds (what the clocks of small boards resolve)."""
    return round(nanoseconds / _NS_PER_MS, 4)
