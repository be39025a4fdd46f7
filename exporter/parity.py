"""Does an exported file answer as the Keras model does? Photo by photo, on the user's own photos.

Plain functions of arrays; :mod:`exporter.scoring` runs the files, :mod:`exporter.evidence` joins
the two.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from edge_runtime.confidence import mcnemar, wilson

from .thresholds import THRESHOLDS, Threshold, is_float

#: Keys of a row that are None where the file could not be run.
_FIGURES = (
    "n", "max_abs_diff", "mean_abs_diff", "p99_abs_diff", "agreement", "agreement_interval",
    "ties", "agreement_except_ties", "accuracy", "accuracy_interval", "lost", "gained",
    "mcnemar_p", "heatmap",
)  # fmt: skip


def accuracy(scores: np.ndarray, labels: np.ndarray) -> float:
    """Share of photos whose top-1 is right.

    Args:
        scores: float (n, classes).
        labels: int (n,).
    """
    return float((scores.argmax(axis=1) == labels).mean())


def compare(
    fmt: str,
    reference: np.ndarray,
    scores: np.ndarray,
    labels: np.ndarray,
    heatmap: dict[str, Any] | None = None,
    exact: np.ndarray | None = None,
) -> dict[str, Any]:
    """Figures of one exported file.

    Args:
        fmt: Its format, which decides on the threshold.
        reference: Probabilities of the Keras model, float32 (n, classes).
        scores: Probabilities of the file, float32 (n, classes).
        labels: True class indices, int (n,).
        heatmap: Of :func:`correlate`; None where the file gives no heat map.
        exact: bool (n,): the photos whose pixels are those that the reference saw. Only on them
            is a float format held to its probabilities. None: all.

    Returns:
        ``n``; of the probabilities' differences ``max_abs_diff``, ``mean_abs_diff`` and
        ``p99_abs_diff`` (99th percentile); ``agreement`` (share of photos with the same top-1)
        with its 95 % ``agreement_interval`` (Wilson); ``ties`` (photos whose two best reference
        scores are too close for the format's threshold to tell) and ``agreement_except_ties``,
        both None where the threshold is one of answers; ``accuracy`` and ``accuracy_interval``;
        ``lost`` and ``gained`` (photos that only the reference, only the file gets right) and
        ``mcnemar_p``; ``heatmap``; ``passed``; ``failures`` and ``warnings``, sentences.
    """
    threshold, n = THRESHOLDS[fmt], len(labels)
    difference = np.abs(scores.astype(np.float64) - reference)
    answers, answered = scores.argmax(axis=1), reference.argmax(axis=1)
    same = answers == answered
    changed = int((~same).sum())
    right, was_right = answers == labels, answered == labels
    lost, gained = int((was_right & ~right).sum()), int((right & ~was_right).sum())
    tied = None if threshold.tie is None else margins(reference) <= threshold.tie
    judged = difference if exact is None else difference[exact]
    failures = _failures(threshold, judged, changed, lost - gained, n)
    warnings = [] if judged.size else ["No photo is decoded here to the pixels of the reference."]
    if problem := _heatmap_problem(threshold, heatmap):
        (failures if is_float(fmt) else warnings).append(problem)
    return {
        "n": n,
        "max_abs_diff": float(difference.max()),
        "mean_abs_diff": float(difference.mean()),
        "p99_abs_diff": float(np.percentile(difference, 99)),
        "agreement": 1 - changed / n,
        "agreement_interval": wilson(n - changed, n),
        "ties": None if tied is None else int(tied.sum()),
        "agreement_except_ties": _share(same, tied),
        "accuracy": accuracy(scores, labels),
        "accuracy_interval": wilson(int(right.sum()), n),
        "lost": lost,
        "gained": gained,
        "mcnemar_p": mcnemar(lost, gained),
        "heatmap": heatmap,
        "passed": not failures,
        "failures": failures,
        "warnings": warnings,
    }


def margins(scores: np.ndarray) -> np.ndarray:
    """Distance of the two best scores of each photo, float (n,); of the only one from 0."""
    best = np.sort(scores, axis=1)
    second = best[:, -2] if best.shape[1] > 1 else 0
    result: np.ndarray = best[:, -1] - second
    return result


def correlate(reference: Sequence[np.ndarray], maps: Sequence[np.ndarray]) -> dict[str, Any]:
    """Pearson's correlation of two heat maps of the same class, photo by photo.

    Args:
        reference: Raw maps of the full model, each float (h, w).
        maps: Raw maps of the file for the same photos and classes.

    Returns:
        ``n`` (photos that could be compared), ``constant`` (photos left out, since one of the
        maps has one value everywhere), ``mean`` and ``min`` correlation (None where ``n`` is 0).

    Raises:
        ValueError: The maps have other sizes than the reference's.
    """
    found = []
    for expected, given in zip(reference, maps, strict=True):
        if expected.shape != given.shape:
            raise ValueError(f"maps of {given.shape}, expected {expected.shape}")
        a, b = (np.asarray(values, np.float64).ravel() for values in (expected, given))
        if np.ptp(a) > 0 and np.ptp(b) > 0:
            found.append(float(np.corrcoef(a, b)[0, 1]))
    return {
        "n": len(found),
        "constant": len(reference) - len(found),
        "mean": float(np.mean(found)) if found else None,
        "min": min(found) if found else None,
    }


def not_run(reason: str) -> dict[str, Any]:
    """The same keys as :func:`compare` for a file that could not be run, and ``error``."""
    return {
        **dict.fromkeys(_FIGURES),
        "passed": False,
        "failures": [reason],
        "warnings": [],
        "error": reason,
    }


def _failures(
    threshold: Threshold, difference: np.ndarray, changed: int, lost: int, n: int
) -> list[str]:
    """What does not hold of the probabilities and the answers."""
    found = []
    limit = threshold.max_abs_diff
    if limit is not None and difference.size and not difference.max() <= limit:
        found.append(f"A probability differs by {difference.max():.2g}; allowed are {limit:g}.")
    if threshold.answers is not None:
        allowed = max(1, math.floor(threshold.answers * n))
        if changed > allowed:
            found.append(f"{changed} of {n} photos got another answer; allowed are {allowed}.")
        if lost > allowed:
            found.append(f"{lost} of {n} right answers are lost; allowed are {allowed}.")
    return found


def _heatmap_problem(threshold: Threshold, heatmap: dict[str, Any] | None) -> str | None:
    if heatmap is None:
        return None
    if "error" in heatmap:
        return f"It gives no heat map: {heatmap['error']}"
    if heatmap["mean"] is None or heatmap["mean"] >= threshold.heatmap:
        return None
    return (
        f"The heat maps correlate by {heatmap['mean']:.4f} with Grad-CAM; expected were "
        f"{threshold.heatmap:g}."
    )


def _share(same: np.ndarray, tied: np.ndarray | None) -> float | None:
    """Agreement on the photos that are no ties; None without any."""
    if tied is None or tied.all():
        return None
    return float(same[~tied].mean())
