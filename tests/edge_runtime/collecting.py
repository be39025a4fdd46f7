"""Answers and frames as a stream gives them, made by hand for the tests of collecting."""

from __future__ import annotations

import io
import time

import numpy as np
from PIL import Image

from edge_runtime.prediction import Prediction
from edge_runtime.sources.base import Frame, Grabbed
from edge_runtime.stream.results import FrameResult, Steady


def scene(seed: int, side: int = 96) -> np.ndarray:
    """A picture of 6 x 6 random patches, uint8 (side, side, 3): no two seeds look alike."""
    patches = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), np.uint8)
    return np.kron(patches, np.ones((side // 6, side // 6, 1), np.uint8))


def jpeg(pixels: np.ndarray, quality: int = 90) -> bytes:
    """The bytes of a camera's MJPEG frame."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=quality)
    return stream.getvalue()


def answered(
    photo: bytes | np.ndarray,
    *,
    number: int = 0,
    seconds: float | None = None,
    scores: tuple[float, ...] = (0.9, 0.06, 0.04),
    labels: tuple[str, ...] = ("red", "green", "blue"),
    index: int = 0,
    calibrated: float | None = None,
    unknown: bool | None = None,
    state: str | None = None,
    roi: tuple[float, float, float, float] | None = None,
) -> FrameResult:
    """A result; ``index`` is the class with the first of ``scores``, the others follow in turn."""
    order = [(index + step) % len(labels) for step in range(len(scores))]
    top = tuple((labels[i], i, score) for i, score in zip(order, scores, strict=True))
    prediction = Prediction(
        "camera", labels[index], index, scores[0], top, calibrated_score=calibrated, unknown=unknown
    )
    frame = Frame(Grabbed(time.monotonic(), lambda: photo, number, seconds), number)
    steady = None if state is None else Steady(state, 0, False, 0.9, 0.0, number)
    return FrameResult(prediction, frame, 1.0, steady, roi=roi)
