"""Tell probabilities from logits by running a model, where its graph leaves it open."""

from __future__ import annotations

import numpy as np

from ..backends.base import Backend
from ..errors import ModelError

#: How far a sum of probabilities may be from 1: float16 softmax of a thousand classes is within it.
_SUM_TOLERANCE = 0.01

#: A quantised softmax rounds each score by up to half a step; of many classes, most are rounded to
#: nothing. 3 of 1000 in the sum were met with, this leaves room.
_MOST_ROUNDING = 0.1


def generated_pictures(size: tuple[int, int]) -> np.ndarray:
    """Pictures that a network tells apart: black, a gradient, and blotches in two grains.

    Args:
        size: (width, height) in pixels.

    Returns:
        uint8 (4, height, width, 3), the same each time.
    """
    width, height = size
    random = np.random.default_rng(0)
    ramp = np.linspace(0, 255, width, dtype=np.float32)
    pictures: list[np.ndarray] = [np.zeros((height, width, 3))]
    pictures.append(np.tile(ramp[:, None], (height, 1, 3)))
    for cells in (4, 16):
        coarse = random.integers(0, 256, (cells, cells, 3))
        rows, columns = (np.arange(n) * cells // n for n in (height, width))
        pictures.append(coarse[rows][:, columns])
    return np.stack(pictures).astype(np.uint8)


def kind_of_scores(backend: Backend, size: tuple[int, int], where: str) -> tuple[str, str]:
    """What a model's scores are.

    Args:
        backend: The model, fed as it wants.
        size: (width, height) of its pictures.
        where: Its name, for messages.

    Returns:
        ``probabilities`` or ``logits``, and why, for people.

    Raises:
        ModelError: They are neither.
    """
    scores = backend.scores_many(generated_pictures(size))
    if not np.isfinite(scores).all():
        raise ModelError(
            f"{where}: gives scores that are no numbers for generated pictures. Its normalisation "
            "may be another one; or give --output-kind."
        )
    sums = scores.sum(axis=1, dtype=np.float64)
    rounding = min(_MOST_ROUNDING, scores.shape[1] * backend.step / 2)
    if scores.min() >= -1e-6 and scores.max() <= 1 + _SUM_TOLERANCE:
        if np.abs(sums - 1).max() <= _SUM_TOLERANCE + rounding:
            return "probabilities", "scores of 0 to 1 that sum to 1"
        return "probabilities", (
            "scores of 0 to 1 that do not sum to 1: one for each class alone, as of a sigmoid"
        )
    if scores.min() >= 0 and sums.min() > 0 and np.ptp(sums) <= _SUM_TOLERANCE * sums.max():
        raise ModelError(
            f"{where}: its scores sum to {sums.mean():.4g} whatever the picture, so they are neither "
            "probabilities nor logits. Give --output-kind probabilities to take them as they are."
        )
    return "logits", f"scores of {scores.min():.3g} to {scores.max():.3g}; softmax is added"
