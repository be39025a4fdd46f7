"""Intervals and the paired test, against published and independently computed values."""

from __future__ import annotations

import math

import pytest

from edge_runtime.confidence import mcnemar
from trainer.evaluation.intervals import paired_difference, wilson


def test_wilson_against_published_values():
    """Newcombe 1998, "Two-sided confidence intervals for the single proportion", table I."""
    for right, n, low, high in ((81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605),
                                (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)):  # fmt: skip
        found = wilson(right, n)
        # The table has four decimals.
        assert (found["low"], found["high"]) == pytest.approx((low, high), abs=5e-5)


def test_wilson_agrees_with_scipy_and_stays_inside():
    stats = pytest.importorskip("scipy.stats")
    for right, n in ((0, 1), (1, 1), (7, 9), (319, 375), (375, 375)):
        expected = stats.binomtest(right, n).proportion_ci(0.95, "wilson")
        found = wilson(right, n)
        assert (found["low"], found["high"]) == pytest.approx((expected.low, expected.high))
        assert 0 <= found["low"] <= right / n <= found["high"] <= 1
    assert (found["level"], found["method"]) == (0.95, "wilson")


def test_paired_difference_by_hand():
    """Bonett and Price 2012: (b+1)/(n+2) and (c+1)/(n+2), here 13/102 and 4/102."""
    found = paired_difference(12, 3, 100)
    middle, both = 9 / 102, 17 / 102
    half = 1.959964 * math.sqrt((both - middle**2) / 102)
    assert found["value"] == 0.09
    assert (found["low"], found["high"]) == pytest.approx((middle - half, middle + half), abs=1e-6)
    assert paired_difference(5, 0, 5)["high"] == 1.0, "no difference is above 1"
    assert paired_difference(0, 0, 50)["value"] == 0


def test_mcnemar_is_the_binomial_test_of_the_changed_photos():
    # 1 of 9: 2 * (1 + 9) / 2**9.
    assert mcnemar(1, 8) == pytest.approx(20 / 512)
    assert mcnemar(8, 1) == pytest.approx(20 / 512)
    assert mcnemar(0, 0) == mcnemar(3, 3) == 1.0
