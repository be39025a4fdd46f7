"""The figures of a cross-validation: over the folds, and over all out-of-fold answers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..evaluation.intervals import LEVEL, wilson
from ..evaluation.label_errors import describe_suspects, find_suspects
from ..evaluation.metrics import classification_metrics
from ..evaluation.predictions import Predictions, join
from ..packages import import_module

#: Word for the part of a photo in out-of-fold predictions.
OUT_OF_FOLD = "out-of-fold"

#: Largest value of a figure, where it has one; none is below 0.
_LARGEST = {"log_loss": math.inf, "brier": 2.0}

_SCALARS = (
    "accuracy", "balanced_accuracy", "macro_precision", "macro_recall", "macro_f1",
    "macro_roc_auc", "log_loss",
)  # fmt: skip

_OF_A_CLASS = ("precision", "recall", "f1")


def fold_figures(metrics: Mapping[str, Any]) -> dict[str, float | None]:
    """The numbers among the figures of a part.

    Args:
        metrics: Of :func:`trainer.evaluation.evaluate.part_metrics`.

    Returns:
        By name; ``top_3`` and ``top_5`` where there are so many classes, ``ece`` and ``brier``
        after the temperature. None for a ROC-AUC that is undefined.
    """
    found = {name: metrics[name] for name in _SCALARS}
    found |= {f"top_{k}": share for k, share in metrics["top_k"].items()}
    calibration = metrics["calibration"]["calibrated"] or metrics["calibration"]["raw"]
    return found | {name: calibration[name] for name in ("ece", "brier")}


def spread(
    values: Sequence[float], test_to_train: float, largest: float = 1.0
) -> dict[str, Any]:  # fmt: skip
    """Mean, standard deviation and interval of a figure over the folds.

    The interval is Student's t with the corrected variance of Nadeau and Bengio (2003, "Inference
    for the Generalization Error"): the trainings share most of their photos, so that the variance
    of the mean is not s^2 / n, which would be too small, but about s^2 (1 / n + n_test / n_train).

    Args:
        values: Of each fold, at least one.
        test_to_train: Photos that a fold holds out, as a share of its others.
        largest: Largest value that the figure can have; the least is 0.

    Returns:
        ``mean``; ``std``, of the sample, None with a single fold; ``low``, ``high``, ``level`` and
        ``method`` of the interval, low and high None with a single fold; ``values``.

    Raises:
        MissingComponent: scipy is not installed.
    """
    count, mean = len(values), float(np.mean(values))
    std, low, high = None, None, None
    if count > 1:
        stats = import_module("scipy.stats", "scipy", "give an interval over the folds")
        std = float(np.std(values, ddof=1))
        half = float(stats.t.ppf((1 + LEVEL) / 2, count - 1))
        half *= std * math.sqrt(1 / count + test_to_train)
        low, high = max(mean - half, 0.0), min(mean + half, largest)
    return {
        "mean": mean,
        "std": std,
        "low": low,
        "high": high,
        "level": LEVEL,
        "method": "student-t, nadeau-bengio",
        "values": [float(value) for value in values],
    }


def over_folds(
    figures: Sequence[Mapping[str, float | None]], test_to_train: float
) -> dict[str, dict[str, Any]]:
    """:func:`spread` of every figure; a fold in which one is undefined does not count for it.

    Args:
        figures: Of each fold, see :func:`fold_figures`.
        test_to_train: As for :func:`spread`.
    """
    found = {}
    for name in figures[0]:
        known = [value for fold in figures if (value := fold[name]) is not None]
        if known:
            found[name] = spread(known, test_to_train, _LARGEST.get(name, 1.0))
    return found


def mean_predictions(predictions: Sequence[Predictions]) -> Predictions:
    """One answer a photo: the mean of those that it got while it was held out, one a repeat.

    Args:
        predictions: Answers of each fold for the photos that it held out.

    Returns:
        By path.
    """
    every = join(predictions)
    paths, first, places = np.unique(
        np.array(every.paths, dtype=object), return_index=True, return_inverse=True
    )
    sums = np.zeros((len(paths), len(every.class_names)))
    np.add.at(sums, places, every.probabilities)
    counts = np.bincount(places, minlength=len(paths))[:, None]
    return Predictions(
        every.class_names,
        [str(path) for path in paths],
        [OUT_OF_FOLD] * len(paths),
        every.labels[first],
        (sums / counts).astype(np.float32),
    )


def pooled_figures(
    predictions: Sequence[Predictions], repeats: int, fold_metrics: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Figures over all out-of-fold answers, each by a network that had not seen the photo.

    Args:
        predictions: Answers of each fold for the photos that it held out.
        repeats: How often each photo was held out.
        fold_metrics: Figures of each fold, of :func:`trainer.evaluation.evaluate.part_metrics`.

    Returns:
        - ``pooled``: ``n`` (photos), ``accuracy`` (of single networks, also where there are
          repeats), ``accuracy_interval`` (Wilson, over the photos), ``confusion_matrix`` (summed
          over the repeats);
        - ``per_class``: by name, ``precision``, ``recall`` and ``f1`` over all answers,
          ``support`` (photos), and ``std``: of the three, over the folds that have photos of it;
        - ``label_errors``: suspects among the mean answers, of
          :func:`trainer.evaluation.label_errors.describe_suspects`.
    """
    every = join(predictions)
    figures = classification_metrics(every.labels, every.probabilities, every.class_names)
    right, n = int(every.right.sum()), len(every) // repeats
    per_class = {}
    for name, row in figures["per_class"].items():
        known = [
            fold["per_class"][name]
            for fold in fold_metrics
            if fold["per_class"][name]["support"]
        ]  # fmt: skip
        std = {
            key: float(np.std([of[key] for of in known], ddof=1)) if len(known) > 1 else None
            for key in _OF_A_CLASS
        }
        per_class[name] = {key: row[key] for key in _OF_A_CLASS} | {
            "support": row["support"] // repeats,
            "std": std,
        }
    return {
        "pooled": {
            "n": n,
            "accuracy": right / len(every),
            # Answers for one photo are not independent: the photos are what was sampled.
            "accuracy_interval": wilson(round(right / repeats), n),
            "confusion_matrix": figures["confusion_matrix"],
        },
        "per_class": per_class,
        "label_errors": describe_suspects(find_suspects(mean_predictions(predictions))),
    }
