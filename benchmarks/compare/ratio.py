"""Intervals of what changed between two runs.

A run's rounds are processes of their own, so the medians of the rounds are what varies from one to
the next (Kalibera & Jones 2013, "Rigorous Benchmarking in Reasonable Time"). The interval of the ratio
of two runs comes from a bootstrap of these medians (Efron & Tibshirani 1993): its standard errors of
both logarithms go into Student's t with the degrees of freedom of Welch and Satterthwaite, since the
bootstrap's own percentiles are too narrow for so few rounds (Hesterberg 2015).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from ..result import Interval

#: Draws of the bootstrap: its standard error is then off by 2 % (1 / sqrt(2 n)).
_DRAWS = 2000

_SEED = 20130616

#: Confidence of an interval.
LEVEL = 0.95


class Change(NamedTuple):
    """What a figure is after, as a multiple of what it was before."""

    ratio: float
    interval: Interval | None  #: None where one of the runs has a single round


def ratio_of_medians(
    before: Sequence[float], after: Sequence[float], level: float = LEVEL
) -> Change:
    """The ratio of two medians of rounds.

    Args:
        before: One value a round, above 0.
        after: The same of the other run.
        level: Confidence of the interval, 0..1.
    """
    first, second = np.asarray(before, float), np.asarray(after, float)
    ratio = float(np.median(second) / np.median(first))
    if min(len(first), len(second)) < 2:
        return Change(ratio, None)
    parts = [_variance(values, seed) for seed, values in enumerate((first, second), _SEED)]
    error = math.sqrt(sum(parts))
    if error == 0:
        return Change(ratio, (ratio, ratio))
    degrees = error**4 / sum(
        part**2 / (len(values) - 1)
        for part, values in zip(parts, (first, second), strict=True)
    )  # fmt: skip
    factor = math.exp(student(level, degrees) * error)
    return Change(ratio, (ratio / factor, ratio * factor))


def difference_of_shares(before: tuple[int, int], after: tuple[int, int]) -> Interval:
    """The 95 % interval of the difference of two shares, after minus before.

    Both are taken for independent samples (Newcombe 1998, method 10, of Wilson's intervals). Runs on
    the same photos are not, which makes the interval wider than it need be; McNemar's test would use
    it, and needs to know which photos changed, not only how many.

    Args:
        before: Photos that were right, and all.
        after: The same of the other run.
    """
    from edge_runtime.confidence import wilson

    (low1, high1), (low2, high2) = wilson(*before), wilson(*after)
    share1, share2 = before[0] / before[1], after[0] / after[1]
    change = share2 - share1
    return (
        change - math.hypot(share2 - low2, high1 - share1),
        change + math.hypot(high2 - share2, share1 - low1),
    )


def student(level: float, degrees: float) -> float:
    """Two-sided quantile of Student's t for any degrees of freedom from 1.

    The expansion around the normal quantile of Abramowitz & Stegun 1964, 26.7.5; from two degrees
    of freedom it is within 1 % of the true one at 95 %.
    """
    z = NormalDist().inv_cdf((1 + level) / 2)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum(term / degrees**power for power, term in enumerate(terms, 1))


def _variance(values: np.ndarray, seed: int) -> float:
    """Of the logarithm of the median of values, by the bootstrap."""
    count = len(values)
    draws = np.random.default_rng(seed).integers(0, count, (_DRAWS, count))
    logs = np.log(np.median(values[draws], axis=1))
    # The bootstrap divides by n where an unbiased variance divides by n - 1.
    return float(logs.var()) * count / (count - 1)
