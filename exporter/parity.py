"""Does an exported file answer as the Keras model does? Photo by photo, on the user's own photos.

Every file is run through the runtime's own backend in a child process, so that an interpreter
that crashes costs a row of the table and not the command.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge_runtime.backends.full_model import import_tensorflow
from edge_runtime.child import ask, module_command
from edge_runtime.errors import EdgeError, ModelError, SystemFailure
from edge_runtime.manifest import ModelInfo

#: The child that runs a file.
COMMAND = module_command("exporter.worker")

_BATCH = 16


@dataclass(frozen=True)
class Threshold:
    """When a format counts as faithful.

    A float format is held to its probabilities; a quantised one, which changes them by design,
    to its answers.

    Attributes:
        max_abs_diff: Largest allowed difference of any probability; None: not limited.
        answers: Largest allowed share of photos with another top-1, and of photos lost from
            the accuracy; one photo is always allowed. None: not limited.
        reason: Why it is this number.
    """

    reason: str
    max_abs_diff: float | None = None
    answers: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """The JSON object of the report."""
        limits: dict[str, Any] = {}
        if self.max_abs_diff is not None:
            limits["max_abs_diff"] = self.max_abs_diff
        if self.answers is not None:
            limits["min_agreement"] = 1 - self.answers
            limits["max_accuracy_drop"] = self.answers
        return {**limits, "reason": self.reason}


_FLOAT32 = Threshold(
    max_abs_diff=1e-4,
    reason="the same float32 arithmetic in another order: EfficientNetB0 differs by 4e-6, and "
    "1e-4 leaves room for other kernels without hiding a wrong operator",
)
_FLOAT16 = Threshold(
    max_abs_diff=1e-2,
    reason="weights rounded to 11 significant bits (IEEE 754 binary16); an answer can then change "
    "only where two classes are within 2e-2 of each other, which is a tie",
)
_INTEGER = Threshold(
    answers=0.02,
    reason="8-bit weights change the probabilities by design, so the answers count: no more than "
    "2 % may change, and no more be lost from the accuracy. One photo is always allowed, since "
    "it may be a tie and few photos prove little",
)

THRESHOLDS: dict[str, Threshold] = {
    "saved_model": _FLOAT32,
    "tflite-fp32": _FLOAT32,
    "tflite-fp16": _FLOAT16,
    "tflite-dynamic": _INTEGER,
    "tflite-int8w": _INTEGER,
    "tflite-int8": _INTEGER,
    "tflite-int16x8": _INTEGER,
    "onnx-fp32": _FLOAT32,
    "onnx-fp16": _FLOAT16,
    "onnx-int8": _INTEGER,
}


class NotRun(EdgeError):
    """An exported file could not be run; the message is the reason."""


def is_float(fmt: str) -> bool:
    """Whether a format must give the Keras model's probabilities, not only its answers."""
    return THRESHOLDS[fmt].max_abs_diff is not None


def reference_scores(model: Any, pixels: np.ndarray) -> np.ndarray:
    """Probabilities of the Keras model, in float32 on the CPU (a GPU may round to TF32).

    Args:
        model: The ``keras.Model``.
        pixels: uint8 (n, height, width, 3).

    Returns:
        float32 (n, classes).

    Raises:
        ModelError: Some are not finite.
    """
    tf = import_tensorflow()
    shape = (None, *pixels.shape[1:])

    @tf.function(input_signature=[tf.TensorSpec(shape, tf.float32)], autograph=False)
    def run(batch: Any) -> Any:
        return model(batch, training=False)

    with tf.device("/CPU:0"):
        parts = [
            run(tf.constant(pixels[start : start + _BATCH].astype(np.float32))).numpy()
            for start in range(0, len(pixels), _BATCH)
        ]
    scores = np.concatenate(parts).astype(np.float32)
    if not np.isfinite(scores).all():
        raise ModelError("The Keras model gives probabilities that are not finite. Train again.")
    return scores


def artifact_scores(model: Path, pixels: Path, count: int, info: ModelInfo) -> np.ndarray:
    """Probabilities of an exported file, from a child process.

    Args:
        model: The file or folder.
        pixels: ``.npy`` of uint8 (n, height, width, 3); the answer is written beside it.
        count: How many of them to score.
        info: What the file has to say about itself.

    Returns:
        float32 (count, classes).

    Raises:
        NotRun: The interpreter refused the file, raised, or died.
        SystemFailure: Disk full, or no memory.
    """
    out = pixels.with_suffix(".scores.npy")
    out.unlink(missing_ok=True)
    paths = {"model": model, "pixels": pixels, "out": out}
    request = {key: str(path.absolute()) for key, path in paths.items()}
    # Without a GPU: if there is one, it is this process's.
    environment = {"CUDA_VISIBLE_DEVICES": "-1"}
    try:
        ask(COMMAND, {**request, "count": count, "info": info.to_dict()}, env=environment)
    except SystemFailure:
        raise  # no fault of the file's
    except EdgeError as error:
        raise NotRun(str(error)) from error
    scores: np.ndarray = np.load(out)
    if not np.isfinite(scores).all():
        raise NotRun("it gives probabilities that are not finite.")
    return scores


def accuracy(scores: np.ndarray, labels: np.ndarray) -> float:
    """Share of photos whose top-1 is right.

    Args:
        scores: float (n, classes).
        labels: int (n,).
    """
    return float((scores.argmax(axis=1) == labels).mean())


def compare(
    fmt: str, reference: np.ndarray, scores: np.ndarray, labels: np.ndarray
) -> dict[str, Any]:
    """Figures of one exported file.

    Args:
        fmt: Its format, which decides on the threshold.
        reference: Probabilities of the Keras model, float32 (n, classes).
        scores: Probabilities of the file, float32 (n, classes).
        labels: True class indices, int (n,).

    Returns:
        ``n``, ``max_abs_diff``, ``mean_abs_diff``, ``agreement``, ``accuracy``, ``lost`` and
        ``gained`` (photos that only the reference, only the file gets right), ``mcnemar_p``,
        ``passed``.
    """
    threshold, n = THRESHOLDS[fmt], len(labels)
    difference = np.abs(scores.astype(np.float64) - reference)
    changed = int((scores.argmax(axis=1) != reference.argmax(axis=1)).sum())
    right, was_right = scores.argmax(axis=1) == labels, reference.argmax(axis=1) == labels
    lost, gained = int((was_right & ~right).sum()), int((right & ~was_right).sum())
    passed = True
    if threshold.max_abs_diff is not None:
        passed = bool(difference.max() <= threshold.max_abs_diff)
    if threshold.answers is not None:
        allowed = max(1, math.floor(threshold.answers * n))
        passed = passed and changed <= allowed and lost - gained <= allowed
    return {
        "n": n,
        "max_abs_diff": float(difference.max()),
        "mean_abs_diff": float(difference.mean()),
        "agreement": 1 - changed / n,
        "accuracy": accuracy(scores, labels),
        "lost": lost,
        "gained": gained,
        "mcnemar_p": mcnemar(lost, gained),
        "passed": passed,
    }


def mcnemar(lost: int, gained: int) -> float:
    """Two-sided p-value of the exact McNemar test (McNemar 1947, binomial form).

    Args:
        lost: Photos that only the first classifier gets right.
        gained: Photos that only the second one gets right.
    """
    n = lost + gained
    tail = sum(math.comb(n, k) for k in range(min(lost, gained) + 1))
    return float(min(1.0, 2 * tail / 2**n))


def not_run(reason: str) -> dict[str, Any]:
    """The same keys as :func:`compare` for a file that could not be run, and ``error``."""
    keys = ("n", "max_abs_diff", "mean_abs_diff", "agreement", "accuracy", "lost", "gained")
    return {**dict.fromkeys(keys), "mcnemar_p": None, "passed": False, "error": reason}
