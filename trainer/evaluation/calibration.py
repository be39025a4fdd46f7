"""How far a score can be trusted: reliability, temperature, and thresholds fitted on photos.

All functions take the network's probabilities; their logarithm is the logits up to a constant,
which a softmax does not see. Calibrated probabilities are those of
:func:`edge_runtime.postprocess.calibrated`, which the device computes too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from edge_runtime import confidence
from edge_runtime.confidence import BINS, HIGHEST_TEMPERATURE, LOWEST_TEMPERATURE
from edge_runtime.manifest import OutputSpec
from edge_runtime.postprocess import calibrated

from ..packages import import_module

#: Half of the 0.95 quantile of chi-squared with one degree of freedom: how much the summed log
#: loss may rise inside the likelihood interval of one parameter.
_LIKELIHOOD_DROP = 3.841458820694124 / 2

#: Smallest probability whose logarithm is taken, as on the device.
_FLOOR = 1e-7


def scaled(probabilities: np.ndarray, temperature: float | None) -> np.ndarray:
    """Probabilities at a temperature, float (n, classes); unchanged without one."""
    found = calibrated(probabilities, OutputSpec(temperature=temperature))
    return probabilities if found is None else found


def fit_temperature(labels: np.ndarray, probabilities: np.ndarray) -> dict[str, Any]:
    """Fit the temperature that makes the log loss least.

    Guo et al. 2017, "On Calibration of Modern Neural Networks": one number divides the logits, so
    the answers stay as they are. The log loss is convex in 1/T, so there is one minimum.

    Without a single mistake the log loss falls for ever as T goes to 0: the photos say nothing
    about how unsure to be, and the temperature stays 1. Where the answers say nothing about the
    classes it rises to its upper bound, 10, and stays there.

    Args:
        labels: int (n,), class indices; n at least 1.
        probabilities: float (n, classes).

    Returns:
        ``value``; ``identifiable`` (whether a minimum was found within 0.1..10); ``interval``, the
        95 % likelihood interval as [low, high], an end None where it lies beyond the bounds; ``n``
        and ``mistakes`` of the photos; ``log_loss_before`` and ``log_loss_after``; ``note``, for
        people, None where all is well.

    Raises:
        MissingComponent: scipy is not installed.
    """
    logits = _logits(probabilities)
    value, note = confidence.fit_temperature(labels, logits)
    return {
        "value": value,
        "identifiable": note is None,
        "interval": [None, None] if note else _interval(labels, logits, value),
        "n": len(labels),
        "mistakes": int((probabilities.argmax(axis=1) != labels).sum()),
        "log_loss_before": confidence.log_loss(labels, logits),
        "log_loss_after": confidence.log_loss(labels, logits, value),
        "note": note,
    }


def reliability(labels: np.ndarray, probabilities: np.ndarray) -> dict[str, Any]:
    """How well scores match the share of right answers.

    Args:
        labels: int (n,), class indices; n at least 1.
        probabilities: float (n, classes).

    Returns:
        - ``ece``: expected calibration error of the top-1 score over 15 equal-width bins (Guo et
          al. 2017; Naeini et al. 2015), 0..1: mean distance of a bin's mean score from its share
          of right answers, weighted by its photos;
        - ``brier``: multi-class Brier score (Brier 1950), mean over the photos of the summed
          squared distance of the probabilities from 1 for the right class and 0 for the others,
          0..2;
        - ``log_loss``: mean negative natural logarithm of the right class's probability;
        - ``bins``: for each, ``low`` and ``high`` (a score above low up to high), ``n``, and the
          mean ``score`` and ``accuracy`` of its photos, None where it has none.
    """
    counts, score_sums, right_sums = confidence.calibration_bins(labels, probabilities)
    edges = np.linspace(0, 1, BINS + 1)
    targets = np.zeros(probabilities.shape, np.float64)
    targets[np.arange(len(labels)), labels] = 1
    return {
        "ece": confidence.expected_calibration_error(labels, probabilities),
        "brier": float(np.square(probabilities - targets).sum(axis=1).mean()),
        "log_loss": confidence.log_loss(labels, _logits(probabilities)),
        "bins": [
            {
                "low": float(edges[b]),
                "high": float(edges[b + 1]),
                "n": int(counts[b]),
                "score": float(score_sums[b] / counts[b]) if counts[b] else None,
                "accuracy": float(right_sums[b] / counts[b]) if counts[b] else None,
            }
            for b in range(BINS)
        ],
    }


def known_answers(
    labels: np.ndarray, probabilities: np.ndarray, threshold: float
) -> dict[str, Any]:
    """What an "unknown" threshold does to labelled photos.

    Args:
        labels: int (n,), class indices; n at least 1.
        probabilities: float (n, classes), calibrated.
        threshold: A score below it is "unknown".

    Returns:
        ``n``; ``coverage``, the share of photos that get an answer; ``accuracy``, of those (None
        where there are none); ``right_lost`` and ``mistakes_caught``, the shares of the right and
        of the wrong answers that become "unknown" (None where there are none).
    """
    known = probabilities.max(axis=1) >= threshold
    right = probabilities.argmax(axis=1) == labels
    return {
        "n": len(labels),
        "coverage": float(known.mean()),
        "accuracy": _mean(right[known]),
        "right_lost": _mean(~known[right]),
        "mistakes_caught": _mean(~known[~right]),
    }


def class_thresholds(
    labels: np.ndarray, probabilities: np.ndarray, class_names: Sequence[str], precision: float
) -> dict[str, dict[str, Any]]:
    """For each class the smallest score from which its answers are precise enough.

    Args:
        labels: int (n,), class indices.
        probabilities: float (n, classes), calibrated.
        class_names: Names in index order.
        precision: Wanted share of right ones among the answers that name the class, 0..1.

    Returns:
        By name: ``threshold`` (0 where all answers are precise enough, None where no score is or
        the class was never answered), ``answers`` (that name the class), ``kept`` (of those, from
        the threshold up), ``precision`` (of the kept ones, None without any) and ``support``
        (photos of the class).
    """
    sklearn = import_module("sklearn.metrics", "scikit-learn", "fit thresholds")
    answers, scores = probabilities.argmax(axis=1), probabilities.max(axis=1)
    found = {}
    for index, name in enumerate(class_names):
        chosen = answers == index
        right, own = labels[chosen] == index, scores[chosen]
        threshold = None
        if right.any():
            precisions, _, cuts = sklearn.precision_recall_curve(right, own)
            enough = np.flatnonzero(precisions[: len(cuts)] >= precision - 1e-12)
            if len(enough):
                threshold = 0.0 if enough[0] == 0 else float(cuts[enough[0]])
        found[name] = answers_above(labels, probabilities, index, threshold)
    return found


def apply_thresholds(
    labels: np.ndarray,
    probabilities: np.ndarray,
    class_names: Sequence[str],
    rows: Mapping[str, Mapping[str, Any]],
) -> dict[str, dict[str, Any]]:
    """What the thresholds of :func:`class_thresholds` do to other photos.

    Args:
        labels: int (n,), class indices.
        probabilities: float (n, classes), calibrated.
        class_names: Names in index order.
        rows: By name, with their ``threshold``.

    Returns:
        Rows of the same kind.
    """
    return {
        name: answers_above(labels, probabilities, index, rows[name]["threshold"])
        for index, name in enumerate(class_names)
    }


def answers_above(
    labels: np.ndarray, probabilities: np.ndarray, index: int, threshold: float | None
) -> dict[str, Any]:
    """What a class's threshold leaves: a row of :func:`class_thresholds` on any photos."""
    chosen = probabilities.argmax(axis=1) == index
    kept = chosen & (probabilities.max(axis=1) >= (math.inf if threshold is None else threshold))
    return {
        "threshold": threshold,
        "answers": int(chosen.sum()),
        "kept": int(kept.sum()),
        "precision": _mean(labels[kept] == index),
        "support": int((labels == index).sum()),
    }


def _logits(probabilities: np.ndarray) -> np.ndarray:
    """Logits up to a constant, float64 (n, classes)."""
    logits: np.ndarray = np.log(np.clip(probabilities.astype(np.float64), _FLOOR, 1.0))
    return logits


def _interval(labels: np.ndarray, logits: np.ndarray, value: float) -> list[float | None]:
    """The 95 % likelihood interval of a temperature; None for an end beyond the bounds."""
    optimize = import_module("scipy.optimize", "scipy", "fit the temperature")
    least = confidence.log_loss(labels, logits, value)

    def drop(t: float) -> float:
        loss = confidence.log_loss(labels, logits, math.exp(t))
        return len(labels) * (loss - least) - _LIKELIHOOD_DROP

    best = math.log(value)
    ends = (math.log(LOWEST_TEMPERATURE), math.log(HIGHEST_TEMPERATURE))
    return [math.exp(optimize.brentq(drop, end, best)) if drop(end) > 0 else None for end in ends]


def _mean(values: np.ndarray) -> float | None:
    return float(values.mean()) if len(values) else None
