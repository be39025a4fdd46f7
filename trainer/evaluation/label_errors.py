"""Photos whose label is probably wrong: the network is sure of another class.

Confident learning (Northcutt et al. 2021, "Confident Learning: Estimating Uncertainty in Dataset
Labels"): a class's threshold is the mean probability that photos with its label get for it; a
photo that reaches the threshold of another class, and of no more probable one, is a suspect, unless
its label is the more probable of the two. The package cleanlab has the same and more, but brings pandas and datasets along; these are ten lines.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from .predictions import Predictions


@dataclass(frozen=True)
class Suspect:
    """A photo whose label is probably wrong."""

    path: str
    part: str  #: where the photo is from
    label: str  #: class name that it has
    suggestion: str  #: class name that the network is sure of
    label_probability: float  #: 0..1
    suggestion_probability: float  #: 0..1
    #: Whether the network learned this very label; it then disagrees in spite of it.
    learned: bool = False

    def to_dict(self) -> dict[str, Any]:
        """For ``metrics.json``."""
        return asdict(self)


def find_suspects(predictions: Predictions, learned: bool = False) -> list[Suspect]:
    """Photos whose label is probably wrong, the surest first.

    Args:
        predictions: Best of a network that has not seen the photos (out of fold, validation,
            test), since one that has learned a wrong label repeats it.
        learned: Whether the network was trained on these photos.

    Returns:
        The suspects, by how much more probable the suggestion is than the label.
    """
    found = []
    for i, suggestion in confident_disagreements(predictions.labels, predictions.probabilities):
        label, row = int(predictions.labels[i]), predictions.probabilities[i]
        if row[suggestion] <= row[label]:
            continue  # it passes the threshold of a class that is hardly ever sure of itself
        found.append(
            Suspect(
                predictions.paths[i],
                predictions.parts[i],
                predictions.class_names[label],
                predictions.class_names[suggestion],
                float(row[label]),
                float(row[suggestion]),
                learned,
            )
        )
    return sorted(found, key=lambda s: s.label_probability - s.suggestion_probability)


def describe_suspects(suspects: Sequence[Suspect]) -> dict[str, Any]:
    """Suspected label errors for ``metrics.json``: ``count``, and all of them as ``suspects``."""
    return {"count": len(suspects), "suspects": [suspect.to_dict() for suspect in suspects]}


def confident_disagreements(labels: np.ndarray, probabilities: np.ndarray) -> list[tuple[int, int]]:
    """The off-diagonal cells of the confident joint, photo by photo.

    Args:
        labels: int (n,), class indices as they are labelled.
        probabilities: float (n, classes).

    Returns:
        Index of the photo and of the class that it confidently belongs to, where that is not its
        label.
    """
    classes = probabilities.shape[1]
    own = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    counts = np.bincount(labels, minlength=classes)
    sums = np.bincount(labels, own, classes)
    # Nobody can be confident of a class that no photo is labelled with.
    thresholds = np.where(counts > 0, sums / np.maximum(counts, 1), np.inf)
    confident = np.where(probabilities >= thresholds, probabilities, -1.0)
    best = confident.argmax(axis=1)
    suspicious = (confident.max(axis=1) >= 0) & (best != labels)
    return [(int(i), int(best[i])) for i in np.flatnonzero(suspicious)]
