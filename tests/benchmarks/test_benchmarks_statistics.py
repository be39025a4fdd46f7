"""Percentiles whose answers are known, and intervals that cover what they claim to."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from benchmarks.statistics import (
    histogram,
    interval_of_mean,
    interval_of_median,
    interval_of_rounds,
    median_of_rounds,
    percentile,
    width,
)


@pytest.mark.parametrize(
    ("samples", "percent", "expected"),
    [
        ([7], 50, 7),
        ([7], 99.9, 7),
        ([1, 2], 50, 1),  # half of the samples do not exceed 1
        ([1, 2, 3], 50, 2),
        (list(range(1, 101)), 90, 90),
        (list(range(1, 101)), 99, 99),
        (list(range(1, 102)), 99, 100),  # ceil(0.99 * 101) = 100
        (list(range(1, 51)), 99, 50),  # fewer than 100 samples: the largest
        (list(range(1, 1001)), 99.9, 999),
        (list(range(1, 1000)), 99.9, 999),  # fewer than 1000: the largest
        (list(range(1, 11)), 100, 10),
    ],
)
def test_percentile_is_nearest_rank(samples, percent, expected):
    assert percentile(samples, percent) == expected


def test_percentile_equals_numpys_inverted_cdf():
    random = np.random.default_rng(0)
    for size in (1, 2, 3, 49, 50, 99, 100, 101, 1000):
        ordered = np.sort(random.integers(0, 10**9, size))
        for percent in (1, 50, 90, 95, 99, 100):
            # 95 % of 100 is 95.00000000000001 in floats, so numpy's q is given exactly there
            expected = np.quantile(ordered, percent / 100, method="inverted_cdf")
            assert percentile(ordered, percent) == expected, (size, percent)


def test_histogram_loses_no_sample():
    samples = np.random.default_rng(0).lognormal(1, 0.5, 5000)
    made = histogram(samples)
    assert sum(made["counts"]) == 5000
    assert len(made["edges_ms"]) == len(made["counts"]) + 1
    ratios = np.diff(np.log(made["edges_ms"]))
    assert np.allclose(ratios, ratios[0], rtol=1e-3)  # edges are rounded to a nanosecond


def test_histogram_of_equal_samples():
    made = histogram(np.full(9, 4.0))
    assert made["counts"] == [9]
    assert made["edges_ms"][0] < 4 < made["edges_ms"][1]


def rounds_of(random, rounds, between, within, size=100):
    """Rounds of true median 5: a factor of their own, and noise of which neighbours share half."""
    noise = random.normal(0, 1, (rounds, size))
    for place in range(1, size):
        noise[:, place] = 0.5 * noise[:, place - 1] + np.sqrt(0.75) * noise[:, place]
    own = random.normal(0, between, (rounds, 1))
    return list(5 * np.exp(own + within * noise))


@pytest.mark.parametrize("rounds", [3, 5])
@pytest.mark.parametrize(("between", "within"), [(0.02, 0.05), (0.05, 0.02)])
def test_interval_covers_the_true_median(rounds, between, within):
    """95 % is claimed; of 200 simulated runs 0.95 +- 0.03 (two standard errors) is chance."""
    random = np.random.default_rng(1)
    covered = 0
    for _ in range(200):
        low, high = interval_of_median(rounds_of(random, rounds, between, within))
        covered += low <= 5 <= high
    assert covered / 200 >= 0.92


def test_rounds_that_differ_widen_the_interval():
    """What one process would call exact is not, if the next process gives another figure."""
    random = np.random.default_rng(2)
    alike = rounds_of(random, 5, 0.0, 0.02)
    apart = rounds_of(random, 5, 0.05, 0.02)
    narrow, wide = (width(interval_of_median(rounds), 5) for rounds in (alike, apart))
    assert narrow < 0.03  # samples scatter by 2 %, of 500 of them the median by far less
    assert wide > 2 * narrow


def test_interval_is_the_same_each_time_and_holds_the_median():
    rounds = rounds_of(np.random.default_rng(3), 5, 0.02, 0.05)
    low, high = interval_of_median(rounds)
    assert (low, high) == interval_of_median(rounds)
    assert low < np.median(np.concatenate(rounds)) < high


def test_many_rounds_take_little_memory():
    """All draws at once would be 80 MB of each, and as much again for what sorts them."""
    rounds = rounds_of(np.random.default_rng(5), 20, 0.02, 0.05, size=500)
    photos = np.stack(rounds)
    tracemalloc.start()
    try:
        interval_of_median(rounds)
        interval_of_mean(rounds)
        interval_of_rounds(photos, lambda drawn: np.median(drawn, axis=(1, 2)))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 50e6


def test_a_sample_a_round_and_a_round_alone():
    assert median_of_rounds([3.0, 4.0]) is None  # of two nothing can be said
    low, high = median_of_rounds([3.0, 4.0, 5.0])
    assert low < 4 < high
    low, high = interval_of_median([np.array([3.0, 4.0, 5.0, 4.0])])
    assert low < 4 < high
    assert interval_of_median([np.array([3.0])]) == (3.0, 3.0)


def test_interval_of_a_rate():
    random = np.random.default_rng(4)
    covered = 0
    for _ in range(200):
        rounds = 100 * np.exp(random.normal(0, 0.03, (5, 1)) + random.normal(0, 0.03, (5, 10)))
        low, high = interval_of_mean(list(rounds))
        covered += low <= 100 * np.exp(0.0009) <= high  # mean of a lognormal of variance 0.0018
    assert covered / 200 >= 0.92


def test_streams_that_stand_still_have_a_rate_of_nothing():
    low, high = interval_of_mean([np.array([0.0, 0.0]), np.array([0.0, 2.0])])
    assert low == 0
    assert high > 0.5
