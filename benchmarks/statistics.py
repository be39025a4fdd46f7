"""Percentiles, histograms, and confidence intervals that know of rounds.

Samples of one process are alike: where its memory lies, and what the machine does meanwhile, touches
all of them. An interval that took them for independent would be far too narrow, so it is taken from
the rounds, each a process of its own (Kalibera & Jones 2013, "Rigorous Benchmarking in Reasonable
Time"): a hierarchical bootstrap (Efron & Tibshirani 1993, "An Introduction to the Bootstrap") draws
rounds with replacement, and in each of them blocks of samples that followed each other. Few rounds
make the bootstrap's own percentiles too narrow (Hesterberg 2015, "What Teachers Should Know About
the Bootstrap"), so its standard error goes into Student's t with one degree of freedom less than
rounds, on the logarithm, because latency is a matter of factors.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from .result import Histogram, Interval

#: Two-sided 95 % quantiles of Student's t for 1 to 30 degrees of freedom.
_T = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
    2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
    2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip
_Z = 1.960

#: Draws of the bootstrap: its standard error is then off by 2 % (1 / sqrt(2 n)).
_DRAWS = 1000

#: Blocks of a round, long enough that neighbours in time stay together.
_BLOCKS = 20

#: Samples that stand for a block, its evenly spaced order statistics: a median moves by nothing that
#: matters, and 100,000 samples are drawn from as fast as 500.
_KEPT = 25

#: Values that are drawn at a time, 8 MB and some copies: all draws of a thousand rounds would be 4 GB,
#: on boards that have 1.
_HELD = 1_000_000

#: Bins of a histogram.
_BINS = 40

_SEED = 20130616

Floats = np.ndarray


def percentile(ordered: Sequence[float] | Floats, percent: float) -> float:
    """The smallest sample that at least ``percent`` % of the samples do not exceed.

    That is the nearest-rank percentile: always a measured value, never an interpolated one, and the
    same as ``numpy.percentile(..., method="inverted_cdf")``. Of fewer than 100 samples p99 is
    therefore the largest, of fewer than 1000 p99.9 is.

    Args:
        ordered: Samples in ascending order, at least one.
        percent: Above 0, at most 100; with at most one decimal.
    """
    rank = -(-round(percent * 10) * len(ordered) // 1000)  # ceil, in whole numbers
    return float(ordered[rank - 1])


def histogram(samples: Floats) -> Histogram:
    """Counts between edges that grow by one factor, from the least sample to the largest.

    Args:
        samples: Milliseconds, float (n,), above 0, n at least 1.
    """
    least, most = float(samples.min()), float(samples.max())
    if most <= least * (1 + 1e-6):  # all alike: one bin that holds them
        return {"edges_ms": [least * 0.999, most * 1.001], "counts": [len(samples)]}
    edges = np.geomspace(least, most, _BINS + 1)
    edges[0], edges[-1] = least, most  # rounding must lose no sample
    counts, _ = np.histogram(samples, edges)
    return {
        "edges_ms": [round(float(edge), 6) for edge in edges],
        "counts": [int(count) for count in counts],
    }


def interval_of_median(rounds: Sequence[Floats], seed: int = _SEED) -> Interval:
    """The 95 % interval of the median of all samples.

    With one round it tells of that process alone, and is too narrow for what another would give.

    Args:
        rounds: Of each round its samples in the order of their taking, float (n,), above 0.
        seed: Of the draws.

    Returns:
        Lower and upper end, around ``numpy.median`` of the samples.
    """
    blocks = _blocks(rounds)
    medians = _drawn(blocks, lambda drawn: np.median(drawn, axis=1), seed)
    return _around(float(np.median(np.concatenate(rounds))), medians, _groups(blocks))


def interval_of_mean(rounds: Sequence[Floats], seed: int = _SEED) -> Interval:
    """The same of the mean; for rates, of which each round has some in a row.

    Args:
        rounds: Of each round its values, float (n,), of equal spans of time, 0 or above.
        seed: Of the draws.
    """
    size = min(len(values) for values in rounds)
    blocks = np.stack([values[:size] for values in rounds])[:, :, None]
    means = _drawn(blocks, lambda drawn: drawn.mean(axis=1), seed)
    return _around(float(blocks.mean()), means, _groups(blocks))


def interval_of_rounds(
    rounds: Floats, figure: Callable[[Floats], Floats], seed: int = _SEED
) -> Interval | None:
    """The 95 % interval of a figure of which each round has one value, or one row of them.

    Args:
        rounds: float (rounds, ...).
        figure: From (draws, rounds, ...) to (draws,), float; above 0.
        seed: Of the draws.

    Returns:
        None of fewer than three rounds, of which nothing can be said.
    """
    count = len(rounds)
    if count < 3:
        return None
    choices = np.random.default_rng(seed).integers(0, count, (_DRAWS, count))
    point = float(figure(rounds[None])[0])
    step = _at_once(rounds)
    drawn = [figure(rounds[choices[start : start + step]]) for start in range(0, _DRAWS, step)]
    return _around(point, np.concatenate(drawn), count)


def median_of_rounds(values: Sequence[float], seed: int = _SEED) -> Interval | None:
    """:func:`interval_of_rounds` of the median of one value a round."""
    return interval_of_rounds(
        np.asarray(values, float), lambda drawn: np.median(drawn, axis=1), seed
    )


def width(interval: Interval, point: float) -> float:
    """Width of an interval as a share of its figure; infinite where that is 0."""
    return (interval[1] - interval[0]) / point if point else math.inf


def _blocks(rounds: Sequence[Floats]) -> Floats:
    """What stands for the samples, float (rounds, blocks, samples)."""
    least = min(len(samples) for samples in rounds)
    blocks = min(_BLOCKS, least)
    kept = max(1, min(_KEPT, least // blocks))
    places = (np.arange(kept) + 0.5) / kept
    result = np.empty((len(rounds), blocks, kept))
    for number, samples in enumerate(rounds):
        for place, block in enumerate(np.array_split(np.asarray(samples, float), blocks)):
            result[number, place] = np.sort(block)[(places * len(block)).astype(int)]
    return result


def _drawn(blocks: Floats, figure: Callable[[Floats], Floats], seed: int) -> Floats:
    """A figure of rounds with replacement, in each its blocks: from (draws, n) to (draws,), float."""
    generator = np.random.default_rng(seed)
    rounds, count = blocks.shape[:2]
    step, found = _at_once(blocks), []
    for start in range(0, _DRAWS, step):
        draws = min(step, _DRAWS - start)
        chosen = generator.integers(0, rounds, (draws, rounds, 1))
        drawn = blocks[chosen, generator.integers(0, count, (draws, rounds, count))]
        found.append(figure(drawn.reshape(draws, -1)))
    return np.concatenate(found)


def _at_once(values: Floats) -> int:
    """How many draws of so many values are held at a time."""
    return max(1, _HELD // values.size)


def _groups(blocks: Floats) -> int:
    """What the interval's degrees of freedom are counted by: rounds; of one round its blocks."""
    rounds, blocks_each = int(blocks.shape[0]), int(blocks.shape[1])
    return rounds if rounds > 1 else blocks_each


def _around(point: float, drawn: Floats, groups: int) -> Interval:
    if point <= 0 or groups < 2 or not (drawn > 0).all():
        return (float(min(point, drawn.min())), float(max(point, drawn.max())))
    # The bootstrap divides by n where an unbiased variance divides by n - 1.
    error = float(np.log(drawn).std()) * math.sqrt(groups / (groups - 1))
    factor = math.exp((_T[groups - 2] if groups - 2 < len(_T) else _Z) * error)
    return (point / factor, point * factor)
