"""How good a classifier is on labelled photos: the figures of ``metrics.json``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from edge_runtime.errors import DatasetError, ModelError

from ..packages import import_module
from .intervals import wilson

#: The k of the top-k accuracies; those that are below the number of classes are given.
TOP_K = (3, 5)


def classification_metrics(
    labels: np.ndarray, probabilities: np.ndarray, class_names: Sequence[str]
) -> dict[str, Any]:
    """Accuracy, its interval, log loss, ROC-AUC, confusion matrix, and figures of each class.

    Args:
        labels: int (n,), class indices.
        probabilities: float (n, classes), 0..1, each row with the sum 1.
        class_names: Names in index order.

    Returns:
        A dictionary of plain JSON types. Fractions are 0..1; a precision or recall without
        anything to divide by is 0. ``macro`` is the mean over the classes that have photos here.

        - ``n``: number of photos;
        - ``accuracy``: share whose most probable class is the right one (top-1);
        - ``accuracy_interval``: of :func:`trainer.evaluation.intervals.wilson`;
        - ``top_k``: by k (``"3"``, ``"5"``), share with the right class among the k most
          probable ones; empty where there are not more classes than that;
        - ``balanced_accuracy``: mean recall of the classes that have photos here;
        - ``log_loss``: mean negative natural logarithm of the right class's probability;
        - ``macro_precision``, ``macro_recall``, ``macro_f1``;
        - ``macro_roc_auc``: mean of the classes that have one, one against the rest; None where
          no class has;
        - ``per_class``: by name, ``precision``, ``recall``, ``f1``, ``support`` (photos) and
          ``roc_auc`` (None where all photos, or none, are of the class);
        - ``confusion_matrix``: number of photos, rows true classes, columns answers.

    Raises:
        DatasetError: There is no photo.
        ModelError: A probability is not a number, as after a training that diverged.
        MissingComponent: scikit-learn is not installed.
    """
    check_answers(probabilities)
    sklearn = import_module("sklearn.metrics", "scikit-learn", "evaluate a classifier")
    indices = list(range(len(class_names)))
    answers = probabilities.argmax(axis=1)
    precision, recall, f1, support = sklearn.precision_recall_fscore_support(
        labels, answers, labels=indices, zero_division=0
    )
    # In float64: a float32 softmax sums to 1 within 1e-7 only, which scikit-learn warns of.
    exact = probabilities.astype(np.float64)
    exact /= exact.sum(axis=1, keepdims=True)
    present = support > 0
    areas = [_roc_auc(sklearn, labels == index, probabilities[:, index]) for index in indices]
    known_areas = [area for area in areas if area is not None]
    right = int((answers == labels).sum())
    ranks = true_class_ranks(labels, probabilities)
    return {
        "n": len(labels),
        "accuracy": float(np.mean(answers == labels)),
        "accuracy_interval": wilson(right, len(labels)),
        "top_k": {str(k): float(np.mean(ranks < k)) for k in TOP_K if k < len(class_names)},
        "balanced_accuracy": float(recall[present].mean()),
        "log_loss": float(sklearn.log_loss(labels, exact, labels=indices)),
        "macro_precision": float(precision[present].mean()),
        "macro_recall": float(recall[present].mean()),
        "macro_f1": float(f1[present].mean()),
        "macro_roc_auc": float(np.mean(known_areas)) if known_areas else None,
        "per_class": {
            name: {
                "precision": float(precision[index]),
                "recall": float(recall[index]),
                "f1": float(f1[index]),
                "support": int(support[index]),
                "roc_auc": areas[index],
            }
            for index, name in enumerate(class_names)
        },
        "confusion_matrix": sklearn.confusion_matrix(labels, answers, labels=indices).tolist(),
    }


def check_answers(probabilities: np.ndarray) -> None:
    """Check that there is something to evaluate.

    Raises:
        DatasetError: There is no photo.
        ModelError: A probability is not a number, as after a training that diverged.
    """
    if len(probabilities) == 0:
        raise DatasetError("No photo to evaluate on.")
    if not np.isfinite(probabilities).all():
        raise ModelError(
            "The network answers with values that are not numbers: its training diverged. "
            "Train again with a lower learning rate."
        )


def true_class_ranks(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Place of the right class among the answers of each photo.

    Ties go to the lower index, as in :func:`edge_runtime.postprocess.top_k`; scikit-learn's
    ``top_k_accuracy_score`` decides them otherwise.

    Args:
        labels: int (n,), class indices.
        probabilities: float (n, classes).

    Returns:
        int (n,), 0 for the most probable class.
    """
    own = np.take_along_axis(probabilities, labels[:, None].astype(np.int64), axis=1)
    earlier = np.arange(probabilities.shape[1])[None] < labels[:, None]
    ranks: np.ndarray = ((probabilities > own) | ((probabilities == own) & earlier)).sum(axis=1)
    return ranks


def _roc_auc(sklearn: Any, positive: np.ndarray, scores: np.ndarray) -> float | None:
    """Area under the ROC curve of one class against the rest; None where it is undefined."""
    if positive.all() or not positive.any():
        return None
    return float(sklearn.roc_auc_score(positive, scores))
