"""From the network's scores to ranked labels. Plain numpy, usable alone."""

from __future__ import annotations

import numpy as np

from .manifest import OutputSpec

#: Smallest probability of a float file whose logarithm is taken.
_FLOOR = 1e-7


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


def calibrated(scores: np.ndarray, output: OutputSpec, step: float = 0.0) -> np.ndarray | None:
    """Temperature-scaled probabilities; None where no temperature was fitted.

    Guo et al. 2017, "On Calibration of Modern Neural Networks". Where the file gives
    probabilities, their logarithm stands for the logits.

    Args:
        scores: As the file gives them, float (..., classes).
        output: What they are.
        step: Distance of two neighbouring scores of a quantised file, else 0.
    """
    if output.temperature is None:
        return None
    return softmax(logits_of(scores, output, step) / output.temperature)


def logits_of(scores: np.ndarray, output: OutputSpec, step: float = 0.0) -> np.ndarray:
    """Logits up to a constant, which a softmax does not see; arguments of :func:`calibrated`.

    A quantised softmax yields exact zeros, which have no logarithm. What it rounds to zero lies
    below half a step, so half a step stands for it: no class becomes less likely than the file
    can tell. A float softmax is clipped at 1e-7, about the resolution of float32 near 1.
    """
    if output.kind == "logits":
        return scores
    result: np.ndarray = np.log(np.clip(scores, max(_FLOOR, step / 2), 1.0))
    return result


def top_k(scores: np.ndarray, k: int) -> list[int]:
    """Indices of the k largest scores, best first; of equal scores the lower index first.

    Args:
        scores: float (classes,).
        k: How many; more than there are classes gives all.
    """
    order = np.argsort(-scores, kind="stable")
    return [int(index) for index in order[:k]]
