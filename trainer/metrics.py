"""How good a classifier is on labelled photos: the figures of ``metrics.json``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from edge_runtime.errors import DatasetError, ModelError

from .packages import import_module


def classification_metrics(
    labels: np.ndarray, probabilities: np.ndarray, class_names: Sequence[str]
) -> dict[str, Any]:
    """Accuracy, log loss, confusion matrix, and precision, recall and F1 of each class.

    Args:
        labels: int (n,), class indices.
        probabilities: float (n, classes), 0..1, each row with the sum 1.
        class_names: Names in index order.

    Returns:
        A dictionary of plain JSON types. Fractions are 0..1; a precision or recall without
        anything to divide by is 0.

        - ``n``: number of photos;
        - ``accuracy``: share whose most probable class is the right one (top-1);
        - ``log_loss``: mean negative natural logarithm of the right class's probability;
        - ``macro_f1``: mean F1 of the classes that have photos here;
        - ``per_class``: by name, ``precision``, ``recall``, ``f1`` and ``support`` (photos);
        - ``confusion_matrix``: number of photos, rows true classes, columns answers.

    Raises:
        DatasetError: There is no photo.
        ModelError: A probability is not a number, as after a training that diverged.
        MissingComponent: scikit-learn is not installed.
    """
    if len(labels) == 0:
        raise DatasetError("No photo to evaluate on.")
    if not np.isfinite(probabilities).all():
        raise ModelError(
            "The network answers with values that are not numbers: its training diverged. "
            "Train again with a lower learning rate."
        )
    sklearn = import_module("sklearn.metrics", "scikit-learn", "evaluate a classifier")
    indices = list(range(len(class_names)))
    answers = probabilities.argmax(axis=1)
    precision, recall, f1, support = sklearn.precision_recall_fscore_support(
        labels, answers, labels=indices, zero_division=0
    )
    # In float64: a float32 softmax sums to 1 within 1e-7 only, which scikit-learn warns of.
    exact = probabilities.astype(np.float64)
    exact /= exact.sum(axis=1, keepdims=True)
    return {
        "n": len(labels),
        "accuracy": float(np.mean(answers == labels)),
        "log_loss": float(sklearn.log_loss(labels, exact, labels=indices)),
        "macro_f1": float(f1[support > 0].mean()),
        "per_class": {
            name: {
                "precision": float(precision[index]),
                "recall": float(recall[index]),
                "f1": float(f1[index]),
                "support": int(support[index]),
            }
            for index, name in enumerate(class_names)
        },
        "confusion_matrix": sklearn.confusion_matrix(labels, answers, labels=indices).tolist(),
    }
