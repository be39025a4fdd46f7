"""OpenCV's VideoCapture, in the child: opened as wished, and honest about what it could not do."""

from __future__ import annotations

import functools
import os
import re
import time
from typing import Any

import numpy as np

from .job import Job

#: How OpenCV and FFmpeg begin their lines.
_PREFIX = re.compile(r"^(\[[^\]]*\]\s*)+")

#: Bytes of what was said on descriptor 2 that are looked at.
_KEPT = 1 << 14

_JPEG = b"\xff\xd8"


@functools.lru_cache(maxsize=1)
def _c_library() -> Any:
    import ctypes

    return ctypes.CDLL(None)


def take_words() -> str:
    """What the libraries wrote to descriptors 1 and 2 since the last look: its last line.

    Both are one file that the parent made, so that a crash's last words outlive it.
    """
    _c_library().fflush(None)  # OpenCV hands FFmpeg's errors to printf
    try:
        size = os.fstat(2).st_size
        if not size:
            return ""
        text = os.pread(2, _KEPT, max(0, size - _KEPT))
        os.ftruncate(2, 0)
    except OSError:  # no such file: started by hand
        return ""
    return last_line(text)


def last_line(text: bytes) -> str:
    """The last line that says something, without the brackets in front and the full stop."""
    lines = [_PREFIX.sub("", line).strip() for line in text.decode(errors="replace").splitlines()]
    return next((line.rstrip(". ") for line in reversed(lines) if line), "")


class Capture:
    """An open source.

    Attributes:
        fps: Frames a second that it says it gives; None where that makes no sense.
        count: Frames that a file says it has; 0 where it does not.
    """

    def __init__(self, cv2: Any, job: Job) -> None:
        """Open it.

        Raises:
            OSError: It does not open; with what was said about it.
        """
        self._cv2, self._job = cv2, job
        self._capture = self._opened()
        if job.camera:
            self._set_up_camera()
        fps = self._capture.get(cv2.CAP_PROP_FPS)
        # Where a stream tells no rate, FFmpeg gives its clock's, such as 90000.
        self.fps: float | None = fps if 0 < fps <= 1000 else None
        count = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        self.count = int(count) if not job.camera and 0 < count < 1e9 else 0
        self._bgr: np.ndarray | None = None
        self._seen_jpeg = False

    def _opened(self) -> Any:
        cv2, job = self._cv2, self._job
        known = set(cv2.videoio_registry.getBackends())
        chosen = next((n for n in job.backends if getattr(cv2, f"CAP_{n}", None) in known), "ANY")
        parameters: list[int] = []
        if chosen == "FFMPEG":
            parameters = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, job.open_ms]
            parameters += [cv2.CAP_PROP_READ_TIMEOUT_MSEC, job.read_ms]
        address: str | int = job.address
        if job.camera and job.address.isdecimal():
            address = int(job.address)
        capture = cv2.VideoCapture(address, getattr(cv2, f"CAP_{chosen}"), parameters)
        if not capture.isOpened():
            capture.release()
            raise OSError(take_words())
        return capture

    def _set_up_camera(self) -> None:
        cv2, job, capture = self._cv2, self._job, self._capture
        # The format first: it decides which sizes and rates there are.
        if job.pixel_format:
            capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*job.pixel_format))
        if job.size:
            capture.set(cv2.CAP_PROP_FRAME_WIDTH, job.size[0])
            capture.set(cv2.CAP_PROP_FRAME_HEIGHT, job.size[1])
        if job.fps:
            capture.set(cv2.CAP_PROP_FPS, job.fps)
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        if self.pixel_format in ("MJPG", "JPEG"):
            # As it comes: the preprocessing decodes a JPEG at the scale that it needs, and OpenCV
            # answers a damaged one with the pixels of the frame before.
            capture.set(cv2.CAP_PROP_CONVERT_RGB, 0)

    @property
    def pixel_format(self) -> str:
        """The four characters of the format that is read."""
        code = int(self._capture.get(self._cv2.CAP_PROP_FOURCC))
        return "".join(chr(code >> shift & 0xFF) for shift in (0, 8, 16, 24))

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) that the source says it has."""
        cv2 = self._cv2
        keys = (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT)
        width, height = (int(self._capture.get(key)) for key in keys)
        return width, height

    def grab(self) -> float | None:
        """Wait for the next frame; the moment at which it was there, or None if there is none."""
        return time.monotonic() if self._capture.grab() else None

    def position(self) -> float | None:
        """Seconds from the beginning of a file to the frame that was grabbed."""
        position = self._capture.get(self._cv2.CAP_PROP_POS_MSEC)
        return position / 1000 if position >= 0 else None

    def retrieve(self) -> np.ndarray | None:
        """What was grabbed: uint8 (h, w, 3) BGR, or (n,) the bytes of a JPEG; valid until next."""
        ok, found = self._capture.retrieve(self._bgr)
        if not ok or found is None or not found.size:
            return None
        self._bgr = None
        if found.ndim == 3 and found.shape[2] == 3 and found.dtype == np.uint8:
            self._bgr = found  # the next one is written to the same memory
            return np.asarray(found)
        flat = np.ascontiguousarray(found).reshape(-1)
        if flat.dtype == np.uint8 and flat[:2].tobytes() == _JPEG:
            self._seen_jpeg = True
            return flat
        if found.ndim == 2 and found.dtype == np.uint8 and found.shape[0] > 1:
            return np.asarray(self._cv2.cvtColor(found, self._cv2.COLOR_GRAY2BGR))
        if not self._seen_jpeg:  # a build of OpenCV that gives something else than the bytes
            self._capture.set(self._cv2.CAP_PROP_CONVERT_RGB, 1)
        return None

    def to_rgb(self, bgr: np.ndarray, into: np.ndarray) -> None:
        """Convert a picture into memory of the same shape."""
        self._cv2.cvtColor(bgr, self._cv2.COLOR_BGR2RGB, dst=into)

    def release(self) -> None:
        """Let go of the source; an RTSP camera is told so."""
        self._capture.release()
