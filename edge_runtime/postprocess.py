"""From the network's scores to ranked labels. Plain numpy, usable alone."""

from __future__ import annotations

import numpy as np

from .manifest import OutputSpec


def softmax(logits: np.ndarray) -> np.ndarray:
    """Softmax over the last axis, shifted by the maximum so that it cannot overflow.

    Args:
        logits: float (..., classes).

    Returns:
        float (..., classes), each row summing to 1.
    """
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    result: np.ndarray = powers / powers.sum(axis=-1, keepdims=True)
    return result


def probabilities(scores: np.ndarray, output: OutputSpec) -> np.ndarray:
    """The model file's own probabilities, float32 (classes,)."""
    return softmax(scores) if output.kind == "logits" else scores


def calibrated(scores: np.ndarray, output: OutputSpec) -> np.ndarray | None:
    """Temperature-scaled probabilities; None where no temperature was fitted.

    Guo et al. 2017, "On Calibration of Modern Neural Networks". Where the file gives probabilities, their logarithm stands for the logits; it is clipped
    at 1e-7, since an int8 softmax yields exact zeros.
    """
    if output.temperature is None:
        return None
    logits = scores if output.kind == "logits" else np.log(np.clip(scores, 1e-7, 1.0))
    return softmax(logits / output.temperature)


def top_k(scores: np.ndarray, k: int) -> list[int]:
    """Indices of the k largest scores, best first; of equal scores the lower index first.

    Args:
        scores: float (classes,).
        k: How many; more than there are classes gives all.
    """
    order = np.argsort(-scores, kind="stable")
    return [int(index) for index in order[:k]]
