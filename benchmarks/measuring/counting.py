"""Accuracy: labelled photos through the code path of ``edge-classify image``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from edge_runtime.classifier import Classifier
from edge_runtime.confidence import calibration_error, wilson

from ..result import Accuracy
from .opened import engine_of, settings_of


def count(request: dict[str, Any]) -> dict[str, Any]:
    """Classify labelled photos as ``edge-classify image`` does.

    Args:
        request: See :mod:`.worker`.

    Returns:
        Of each photo its ``answers`` (class index, and the calibrated score, or where the model has
        no temperature the score; null of a photo that cannot be read), and ``unreadable``, a list of
        (position in ``photos``, reason).
    """
    classifier = Classifier.open(
        request["model"],
        request["format"],
        engine=engine_of(request),
        settings=settings_of(request),
        probe=True,
    )
    answers: list[tuple[int, float] | None] = []
    unreadable = []
    paths = [path for path, _ in request["photos"]]
    for position, found in enumerate(classifier.classify_many(paths, k=1)):
        if found.error is not None or found.index is None or found.score is None:
            unreadable.append((position, found.error))
            answers.append(None)
            continue
        tempered = found.calibrated_score
        answers.append((found.index, found.score if tempered is None else tempered))
    return {"answers": answers, "unreadable": unreadable}


@dataclass(frozen=True)
class Counted:
    """What one model file made of the labelled photos.

    Attributes:
        labels: Right class index of each photo.
        answers: As :func:`count` gives them.
    """

    labels: list[int]
    answers: list[tuple[int, float] | None]

    @property
    def correct(self) -> int:
        """Photos whose first answer is their label."""
        pairs = zip(self.labels, self.answers, strict=True)
        return sum(answer is not None and answer[0] == label for label, answer in pairs)

    def figures(self, reference: Counted | None, name: str | None) -> Accuracy:
        """The figures of a row.

        Args:
            reference: Another file's answers to the same photos; None without one.
            name: Of its row.
        """
        pairs = [
            (label, *answer)
            for label, answer in zip(self.labels, self.answers, strict=True)
            if answer is not None
        ]
        right = np.array([label == index for label, index, _ in pairs])
        low, high = wilson(self.correct, len(pairs))
        return {
            "photos": len(pairs),
            "unreadable": len(self.answers) - len(pairs),
            "correct": self.correct,
            "accuracy": float(right.mean()),
            "ci": (low, high),
            "agreement": None if reference is None else self._agreement(reference),
            "reference": None if reference is None else name,
            "ece": calibration_error(np.array([score for *_, score in pairs]), right),
        }

    def _agreement(self, other: Counted) -> float | None:
        same = [
            ours[0] == theirs[0]
            for ours, theirs in zip(self.answers, other.answers, strict=True)
            if ours is not None and theirs is not None
        ]
        return sum(same) / len(same) if same else None
