"""Which range of an activation the 256 steps of int8 cover.

The smallest and the largest value that was ever seen waste the steps on outliers. A narrower range
clips those and resolves the rest better: the best one has the smallest mean squared error
(Sung et al. 2015, arXiv:1511.06488; TensorRT and others choose by cross-entropy, Migacz 2017). In
front of a swish, hard-swish or GELU the error is taken behind it, since most of the negative side
ends near zero whatever its exact value.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from .graph import Graph, activations
from .measure import BINS, inside

#: Ways to choose a range, from the widest.
RULES = ("min-max", "mean of extremes", "least squared error", "least error to the power of 1.5")

_POWERS = {RULES[2]: 2.0, RULES[3]: 1.5}

#: Places that each end of a range is tried at.
_GRID = 40

_STEPS = 255

#: name of a tensor -> (smallest, largest) value that is represented
Ranges = Mapping[str, tuple[float, float]]


@dataclass
class Histogram:
    """Values of one activation over all calibration photos."""

    low: float  #: smallest value
    high: float  #: largest value
    counts: np.ndarray  #: int (BINS,), evenly from ``low`` to ``high``
    extremes: np.ndarray  #: float (photos, 2), smallest and largest value of each


def histograms(model: bytes, pixels: np.ndarray) -> dict[str, Histogram]:
    """Histograms of a float32 network's input and activations.

    Args:
        model: The flatbuffer.
        pixels: uint8 (n, height, width, 3).

    Returns:
        One for each tensor that is no constant, by its name.
    """
    graph = Graph(model)
    names = [graph.name(graph.input), *(graph.result(o) for o in graph.operators)]

    def ends(_: str, __: int, values: np.ndarray) -> list[tuple[float, float]]:
        return [(float(values.min()), float(values.max()))]

    extremes = {
        name: np.array(seen)
        for name, seen in inside(model, pixels, names, ends, operator.add).items()
    }

    def count(name: str, _: int, values: np.ndarray) -> np.ndarray:
        low, high = extremes[name][:, 0].min(), extremes[name][:, 1].max()
        places = ((values.ravel() - low) * (BINS / ((high - low) or 1.0))).astype(np.int32)
        return np.bincount(np.minimum(places, BINS - 1), minlength=BINS)

    counts = inside(model, pixels, names, count, operator.add)
    return {
        name: Histogram(float(seen[:, 0].min()), float(seen[:, 1].max()), counts[name], seen)
        for name, seen in extremes.items()
    }


def choose(
    model: bytes, seen: Mapping[str, Histogram], rule: str
) -> dict[str, tuple[float, float]]:
    """A range for every activation.

    Args:
        model: The float32 flatbuffer that ``seen`` is of.
        seen: Of :func:`histograms`.
        rule: One of :data:`RULES`.
    """
    graph = Graph(model)
    behind = {graph.result(maker): _FUNCTIONS[kind] for maker, kind in activations(graph)}
    ranges = {name: _range(one, rule, behind.get(name)) for name, one in seen.items()}
    # Pixels are 0 to 255, whatever the calibration photos held: one step a grey level.
    ranges[graph.name(graph.input)] = (0.0, 255.0)
    return ranges


def _range(
    seen: Histogram, rule: str, behind: Callable[[np.ndarray], np.ndarray] | None
) -> tuple[float, float]:
    if rule == RULES[0]:
        return seen.low, seen.high
    if rule == RULES[1]:
        return float(seen.extremes[:, 0].mean()), float(seen.extremes[:, 1].mean())
    return _least_error(seen, _POWERS[rule], behind)


def _least_error(
    seen: Histogram, power: float, behind: Callable[[np.ndarray], np.ndarray] | None
) -> tuple[float, float]:
    """The range with the smallest mean error to a power; it always holds zero."""
    used = seen.counts > 0
    centres = (seen.low + (np.arange(BINS) + 0.5) * (seen.high - seen.low) / BINS)[used]
    weights = seen.counts[used] / seen.counts.sum()
    target = centres if behind is None else behind(centres)
    best, chosen = np.inf, (min(seen.low, 0.0), max(seen.high, 0.0))
    # All upper ends at once: (upper ends, bins).
    highs = np.linspace(max(seen.high, 0.0), 0.0, _GRID, endpoint=False)[:, None]
    if seen.high <= 0:
        highs = np.zeros((1, 1))
    lows = np.linspace(seen.low, 0.0, _GRID, endpoint=False) if seen.low < 0 else [0.0]
    for low in lows:
        step = np.maximum((highs - low) / _STEPS, 1e-12)
        steps = np.round((np.clip(centres, low, highs) - low) / step)
        values = steps * step + low
        error = np.abs((values if behind is None else behind(values)) - target) ** power @ weights
        place = int(error.argmin())
        if error[place] < best:
            best, chosen = float(error[place]), (float(low), float(highs[place, 0]))
    return chosen


def _swish(x: np.ndarray) -> np.ndarray:
    value: np.ndarray = x / (1 + np.exp(-np.clip(x, -60, 60)))
    return value


def _hard_swish(x: np.ndarray) -> np.ndarray:
    value: np.ndarray = x * np.clip(x + 3, 0, 6) / 6
    return value


def _gelu(x: np.ndarray) -> np.ndarray:
    """The tanh form (Hendrycks and Gimpel 2016, arXiv:1606.08415): close enough for a range."""
    value: np.ndarray = 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))
    return value


_FUNCTIONS = {"swish": _swish, "hard_swish": _hard_swish, "gelu": _gelu}
