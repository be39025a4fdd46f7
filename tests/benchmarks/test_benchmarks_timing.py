"""The statistics on arrays whose answers are known, and what the loop promises."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.timing import percentile, summarize, time_calls, warm_up


@pytest.mark.parametrize(
    ("samples", "percent", "expected"),
    [
        ([7], 50, 7),
        ([7], 99, 7),
        ([1, 2], 50, 1),  # half of the samples do not exceed 1
        ([1, 2, 3], 50, 2),
        (list(range(1, 101)), 50, 50),
        (list(range(1, 101)), 90, 90),
        (list(range(1, 101)), 99, 99),
        (list(range(1, 102)), 99, 100),  # ceil(0.99 * 101) = 100
        (list(range(1, 51)), 99, 50),  # fewer than 100 samples: the largest
        (list(range(1, 11)), 90, 9),
        (list(range(1, 11)), 100, 10),
    ],
)
def test_percentile_is_nearest_rank(samples, percent, expected):
    assert percentile(samples, percent) == expected


def test_percentile_equals_numpys_inverted_cdf():
    random = np.random.default_rng(0)
    for size in (1, 2, 3, 49, 50, 99, 100, 101, 1000):
        ordered = sorted(random.integers(0, 10**9, size).tolist())
        for percent in (1, 50, 90, 95, 99, 100):
            # 95 % of 100 is 95.00000000000001 in floats, so numpy's q is given exactly there
            expected = np.quantile(ordered, percent / 100, method="inverted_cdf")
            assert percentile(ordered, percent) == expected, (size, percent)


def test_summary_of_known_samples():
    samples = [n * 1_000_000 for n in range(100, 0, -1)]  # 100 ms down to 1 ms
    assert summarize(samples) == {
        "runs": 100,
        "min_ms": 1.0,
        "mean_ms": 50.5,
        "p50_ms": 50.0,
        "p90_ms": 90.0,
        "p99_ms": 99.0,
        "max_ms": 100.0,
    }


class Clock:
    """Advances by what the timed call says that it took."""

    def __init__(self, monkeypatch):
        self.now = 0
        self.calls = 0
        monkeypatch.setattr("time.perf_counter_ns", lambda: self.now)

    def call(self, nanoseconds):
        self.calls += 1
        self.now += nanoseconds


def test_loop_goes_on_until_the_minimum_duration(monkeypatch):
    clock = Clock(monkeypatch)
    samples = time_calls(clock.call, 10_000_000, min_seconds=1.0, min_runs=5)
    assert list(samples) == [10_000_000] * 100  # 1 s of 10 ms


def test_loop_goes_on_until_the_minimum_count(monkeypatch):
    clock = Clock(monkeypatch)
    samples = time_calls(clock.call, 10_000_000, min_seconds=0.02, min_runs=7)
    assert len(samples) == clock.calls == 7


def test_loop_runs_at_least_once():
    assert len(time_calls(lambda _: None, None, 0, 0)) == 1


def test_warm_up_lasts_for_both_minima(monkeypatch):
    slow, fast = Clock(monkeypatch), Clock(monkeypatch)
    monkeypatch.setattr("time.perf_counter_ns", lambda: slow.now)
    warm_up(slow.call, 500_000_000)
    assert slow.calls == 3  # WARM_UP_RUNS, though the first reached WARM_UP_SECONDS
    monkeypatch.setattr("time.perf_counter_ns", lambda: fast.now)
    warm_up(fast.call, 1_000_000)
    assert fast.calls == 250  # WARM_UP_SECONDS of 1 ms
