"""Which photos tell most about a network: its surest mistakes, and the hits that it doubts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .predictions import Predictions


def confident_mistakes(predictions: Predictions, count: int) -> list[int]:
    """Indices of the wrong answers with the highest scores, highest first."""
    scores = predictions.probabilities.max(axis=1)
    wrong = np.flatnonzero(~predictions.right)
    return [int(i) for i in wrong[np.argsort(-scores[wrong], kind="stable")][:count]]


def doubtful_hits(predictions: Predictions, count: int) -> list[int]:
    """Indices of the right answers with the lowest scores, lowest first."""
    scores = predictions.probabilities.max(axis=1)
    right = np.flatnonzero(predictions.right)
    return [int(i) for i in right[np.argsort(scores[right], kind="stable")][:count]]


def describe_photos(predictions: Predictions, chosen: Sequence[int]) -> list[dict[str, Any]]:
    """Photos for ``metrics.json``.

    Args:
        predictions: The answers.
        chosen: Indices of the photos.

    Returns:
        For each, ``path``, ``part``, ``label`` and ``answer`` (class names), and ``score`` (of the
        answer, as the network gives it).
    """
    names, answers = predictions.class_names, predictions.answers
    return [
        {
            "path": predictions.paths[i],
            "part": predictions.parts[i],
            "label": names[predictions.labels[i]],
            "answer": names[answers[i]],
            "score": float(predictions.probabilities[i, answers[i]]),
        }
        for i in chosen
    ]
