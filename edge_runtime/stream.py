"""Classify the frames of a camera, a stream or a video file, one after the other."""

from __future__ import annotations

import datetime
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from .classifier import Classifier
from .errors import MissingComponent, SystemFailure
from .prediction import Prediction
from .sources import Frame, FrameSource, import_cv2

_TITLE = "edge-classify"
_QUIT_KEYS = (ord("q"), 27)  # q and Esc


@dataclass(frozen=True)
class FrameResult:
    """The answer for one frame.

    Attributes:
        prediction: As for a photo; ``path`` is the source.
        frame: The frame that was classified.
        age_ms: Its age in milliseconds when the work on it started.
    """

    prediction: Prediction
    frame: Frame
    age_ms: float

    def to_dict(self) -> dict[str, Any]:
        """The JSON object that ``--json`` prints."""
        moment = datetime.datetime.fromtimestamp(self.frame.time, datetime.timezone.utc)
        extra = {
            "frame": self.frame.number,
            "time": moment.isoformat(timespec="milliseconds"),
            "age_ms": round(self.age_ms, 3),
        }
        return self.prediction.to_dict() | extra


def classify_frames(
    classifier: Classifier, source: FrameSource, max_frames: int | None = None, k: int = 5
) -> Iterator[FrameResult]:
    """Classify frame after frame.

    Args:
        classifier: The model.
        source: An open source; the caller closes it.
        max_frames: Stop after so many results; None for all.
        k: How many of the best classes each result lists.

    Raises:
        DataError: A file without a readable frame.
        SystemFailure: A live source that stops delivering.
    """
    for count, frame in enumerate(source, start=1):
        age_ms = (time.monotonic() - frame.captured) * 1000
        start = time.perf_counter()
        pixels = classifier.pixels(frame.pixels)
        prediction = classifier.classify_pixels(pixels, source.name, start, k)
        yield FrameResult(prediction, frame, age_ms)
        if count == max_frames:
            return


class Window:
    """A window that shows each frame with its label."""

    def __init__(self) -> None:
        """Open the window.

        Raises:
            SystemFailure: There is no screen.
            MissingComponent: OpenCV is the headless build, or missing.
        """
        # OpenCV's Qt back end ends the whole process where there is no screen.
        has_screen = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
        if sys.platform.startswith("linux") and not has_screen:
            raise SystemFailure(
                "--window: this machine has no screen (neither DISPLAY nor WAYLAND_DISPLAY is "
                "set). Leave --window out, or run it on a desktop."
            )
        self._cv2 = import_cv2()
        try:
            self._cv2.namedWindow(_TITLE, self._cv2.WINDOW_NORMAL)
        except self._cv2.error as error:
            raise MissingComponent(
                "--window needs the OpenCV build with windows. Install it in place of the headless "
                "one: pip uninstall opencv-python-headless; pip install 'edge-classify[window]'"
            ) from error

    def show(self, result: FrameResult) -> bool:
        """Show a frame; False once the person has closed the window or pressed q or Esc."""
        cv2, prediction = self._cv2, result.prediction
        picture = np.ascontiguousarray(result.frame.pixels[:, :, ::-1])
        text = f"{prediction.label} {prediction.score:.2f}"
        place, font = (10, picture.shape[0] - 12), cv2.FONT_HERSHEY_SIMPLEX
        cv2.putText(picture, text, place, font, 0.8, (0, 0, 0), 4, cv2.LINE_AA)
        cv2.putText(picture, text, place, font, 0.8, (255, 255, 255), 2, cv2.LINE_AA)
        cv2.imshow(_TITLE, picture)
        key = cv2.waitKey(1) & 0xFF
        closed = cv2.getWindowProperty(_TITLE, cv2.WND_PROP_VISIBLE) < 1
        return not (key in _QUIT_KEYS or closed)

    def close(self) -> None:
        """Close the window."""
        self._cv2.destroyAllWindows()
