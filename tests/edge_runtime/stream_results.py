"""Results and events that outputs are told of in tests."""

from __future__ import annotations

import time

import numpy as np

from edge_runtime.description import PreprocessSpec
from edge_runtime.heatmap import Explanation
from edge_runtime.prediction import Prediction
from edge_runtime.sources.base import Frame, Grabbed
from edge_runtime.stream.results import Event, FrameResult, Steady

#: Seconds that a test waits for what other threads and programs do on a busy machine.
PATIENCE = 60.0


def make_frame(
    number: int = 0,
    size: tuple[int, int] = (64, 48),
    color: tuple[int, int, int] = (255, 0, 0),
    captured: float | None = None,
    seconds: float | None = None,
) -> Frame:
    """A frame of one colour."""
    pixels = np.full((size[1], size[0], 3), color, np.uint8)
    moment = time.monotonic() if captured is None else captured
    return Frame(Grabbed(moment, lambda: pixels, number, seconds), number)


def make_result(
    label: str = "red",
    score: float = 0.9,
    frame: Frame | None = None,
    *,
    unknown: bool = False,
    changed: bool = False,
    heat: bool = False,
    steady: bool = True,
) -> FrameResult:
    """An answer of the classifier of colours."""
    frame = frame or make_frame()
    spec = PreprocessSpec(32, 32, fit="stretch")
    heatmap = np.zeros((4, 4), np.float32)
    heatmap[0, 0] = 1
    prediction = Prediction(
        "test:",
        label,
        0,
        score,
        ((label, 0, score), ("blue", 2, 1 - score)),
        None,
        unknown,
        {"decode": 1.0, "preprocess": 0.5, "infer": 2.0, "postprocess": 0.1, "total": 3.6},
        None,
        Explanation(heatmap, 0, label, score) if heat else None,
    )
    stands = Steady(
        None if unknown else label, None if unknown else 0, unknown, score, frame.time,
        frame.number, changed,
    )  # fmt: skip
    return FrameResult(prediction, frame, 12.0, stands if steady else None, spec)


def label_event(label: str = "red", number: int = 0, heat: bool = False) -> Event:
    """The steady label changed."""
    result = make_result(label, frame=make_frame(number), changed=True, heat=heat)
    assert result.steady is not None
    return Event("label", result.steady.to_dict(), result.frame.time, result)


def wait_for(condition: object, seconds: float = PATIENCE) -> None:
    """Wait until a function says yes; fails the test when it does not."""
    assert callable(condition)
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds:g} s"
        time.sleep(0.01)
