"""What the loop and the warm-up promise, on a clock that moves as told."""

from __future__ import annotations

import itertools

import pytest

from benchmarks.measuring.timing import time_calls, warm_up


class Clock:
    """Advances by what the timed call says that it took."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0
        self.calls = 0
        monkeypatch.setattr("time.perf_counter_ns", lambda: self.now)

    def call(self, nanoseconds: int) -> None:
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


def test_warm_up_of_a_steady_call_lasts_a_quarter_of_a_second(monkeypatch):
    clock = Clock(monkeypatch)
    warmed = warm_up(clock.call, 1_000_000)
    assert warmed.steady
    assert clock.now == 280_000_000  # the first whole number of windows of 40 ms above 0.25 s
    assert warmed.runs == clock.calls == 280


def test_warm_up_of_a_slow_call_makes_three_windows_of_three(monkeypatch):
    clock = Clock(monkeypatch)
    assert warm_up(clock.call, 500_000_000) == (9, True)


def test_warm_up_waits_until_the_calls_are_steady(monkeypatch):
    """Latency falls for half a second, window by window, then stays."""
    clock = Clock(monkeypatch)

    def cooling(_: None) -> None:
        clock.call(max(10_000_000 - clock.now // 100, 5_000_000))

    warmed = warm_up(cooling, None)
    assert warmed.steady
    # It is below 5.15 ms, 3 % above its end, from 0.485 s on; three windows of 40 ms follow.
    assert 485_000_000 < clock.now < 700_000_000


def test_warm_up_gives_up_on_a_call_that_never_settles(monkeypatch):
    clock = Clock(monkeypatch)
    # Windows of 40 ms: eight calls of 5 ms, then four of 10 ms, and again.
    pattern = itertools.cycle([5_000_000] * 8 + [10_000_000] * 4)
    warmed = warm_up(lambda _: clock.call(next(pattern)), None, most_seconds=1.0)
    assert not warmed.steady
    assert 1.0 <= clock.now / 1e9 < 1.05
