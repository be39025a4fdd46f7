"""Frames from a camera, a stream or a video file, read by OpenCV in a thread of its own.

A live source keeps only the newest frame, so that a slow classifier never works on a stale one;
a file gives every frame, in order.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from .errors import DataError, SystemFailure, UsageError, missing_package

#: Frames of a file that are decoded ahead of the classifier.
_READ_AHEAD = 4

#: Seconds between looks at whether the reading thread is still alive.
_POLL = 0.5


@dataclass(frozen=True)
class Frame:
    """One picture of a stream.

    Attributes:
        pixels: uint8 (h, w, 3) RGB.
        number: Count of the source, from 0; frames that a live source dropped are counted too.
        captured: ``time.monotonic()`` in seconds at which the source had delivered it.
        time: Seconds since the epoch at the same moment.
    """

    pixels: np.ndarray
    number: int
    captured: float
    time: float


def import_cv2() -> Any:
    """Import OpenCV.

    Raises:
        MissingComponent: It is not installed.
    """
    # FFmpeg's and V4L2's complaints would land between the messages of the command.
    os.environ.setdefault("OPENCV_LOG_LEVEL", "ERROR")
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # FFmpeg's "quiet"
    try:
        import cv2
    except ImportError as error:
        raise missing_package("OpenCV", "camera", "read cameras and videos") from error
    return cv2


def hide_credentials(source: str) -> str:
    """The source as it may be shown: user and password of a URL replaced by ``***``."""
    return re.sub(r"(?<=://)[^/@\s]*@", "***@", source)


class FrameSource:
    """An open source; iterate over it for frames, and close it (or use it in a ``with``).

    Attributes:
        name: The source as it may be shown.
        live: Whether old frames are dropped for new ones.
        dropped: Frames that were read and never handed out.
    """

    def __init__(self, source: str) -> None:
        """Open a source and start reading.

        Args:
            source: Camera number, path of a video file, or URL.

        Raises:
            UsageError: A file that does not exist.
            DataError: A file that is no video.
            SystemFailure: A camera or URL that does not open.
            MissingComponent: OpenCV is not installed.
        """
        self.name = hide_credentials(source)
        is_url = "://" in source
        self.live = is_url or source.isdecimal() or source.startswith("/dev/")
        if not self.live and not os.path.isfile(source):
            what = "is a folder" if os.path.isdir(source) else "no such video file"
            raise UsageError(
                f"{self.name}: {what}. "
                "A source is a camera number, a file, or a URL such as rtsp://host/path."
            )
        cv2 = import_cv2()
        self._capture = cv2.VideoCapture(int(source) if source.isdecimal() else source)
        if not self._capture.isOpened():
            self._capture.release()
            if not self.live:
                raise DataError(f"{self.name}: not a video that OpenCV can read.")
            what = "the address and the network" if is_url else "that it is plugged in and free"
            raise SystemFailure(f"{self.name}: the source does not open. Check {what}.")
        self.dropped = 0
        self._frames: deque[Frame] = deque()
        self._changed = threading.Condition()
        self._ended = self._closing = False
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._read, name="frame-reader", daemon=True)
        self._thread.start()

    def __enter__(self) -> FrameSource:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[Frame]:
        """Frames until the source ends or is closed.

        Raises:
            DataError: A file without a single readable frame.
            SystemFailure: A live source that stops delivering.
        """
        handed_out = 0
        while True:
            with self._changed:
                while not self._frames and not self._ended and not self._closing:
                    self._changed.wait(_POLL)
                if self._closing:
                    return
                if not self._frames:
                    break
                frame = self._frames.popleft()
                self._changed.notify_all()
            handed_out += 1
            yield frame
        if self._failure is not None:
            raise DataError(f"{self.name}: reading failed ({self._failure}).") from self._failure
        if self.live:
            raise SystemFailure(f"{self.name}: no more frames after {handed_out}. Is it connected?")
        if handed_out == 0:
            raise DataError(f"{self.name}: holds no readable frame. Is it a video?")

    def close(self) -> None:
        """Stop reading and release the device; safe to call twice."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(timeout=5)
        if not self._thread.is_alive():  # a hung driver keeps its thread; it is a daemon
            self._capture.release()

    def _read(self) -> None:
        number = 0
        try:
            while not self._closing:
                ok, bgr = self._capture.read()
                if not ok:
                    break
                frame = Frame(
                    np.ascontiguousarray(bgr[:, :, ::-1]), number, time.monotonic(), time.time()
                )
                number += 1
                self._hand_over(frame)
        except Exception as error:  # shown by the thread that iterates
            self._failure = error
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _hand_over(self, frame: Frame) -> None:
        with self._changed:
            if self.live:
                self.dropped += len(self._frames)
                self._frames.clear()
            else:
                while len(self._frames) >= _READ_AHEAD and not self._closing:
                    self._changed.wait(_POLL)
            self._frames.append(frame)
            self._changed.notify_all()
