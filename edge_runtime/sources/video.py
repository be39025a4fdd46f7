"""A video file, or one picture, through OpenCV."""

from __future__ import annotations

import os
import time

import numpy as np

from ..errors import DataError
from .base import Grabbed, Source, SourceSettings, import_cv2


class Video:
    """The frames of a file, in order."""

    def __init__(self, source: Source) -> None:
        """Open the file.

        Raises:
            DataError: It is no video.
            MissingComponent: OpenCV is not installed.
        """
        cv2 = import_cv2()
        self._capture, self._name = cv2.VideoCapture(source.address), source.name
        if not self._capture.isOpened():
            self._capture.release()
            raise DataError(f"{source.name}: not a video that OpenCV can read.")
        self.fps: float | None = self._capture.get(cv2.CAP_PROP_FPS) or None
        self._count = 0

    def read(self, timeout: float) -> Grabbed | None:
        """The next frame; None at the end."""
        ok, bgr = self._capture.read()
        if not ok:
            return None
        count, self._count = self._count, self._count + 1
        seconds = count / self.fps if self.fps else None
        return Grabbed(
            time.monotonic(), lambda: np.ascontiguousarray(bgr[:, :, ::-1]), count, seconds
        )

    def close(self) -> None:
        """Close the file."""
        self._capture.release()


def open_reader(source: Source, settings: SourceSettings) -> Video:
    """Open a video file."""
    del settings
    os.stat(source.address)
    return Video(source)
