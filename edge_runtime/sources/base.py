"""The contract between the sources of frames and what keeps them alive."""

from __future__ import annotations

import copy
import functools
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from ..errors import EdgeError, missing_package

if TYPE_CHECKING:
    import numpy as np


class SourceTrouble(EdgeError):
    """Something that a source recovers from, or the reason why it did not."""

    exit_code = 6


class SourceLost(SourceTrouble):
    """The source is gone or was never there: refused, reset, unplugged, ended; open it again."""


class SourceStalled(SourceLost):
    """The source is there and gave no frame for the time that it had."""


class BadFrame(SourceTrouble):
    """One frame is damaged and was left out; the next one may be whole."""


@dataclass(frozen=True)
class Source:
    """What the user named as a source.

    Attributes:
        kind: Name of the module that reads it: ``camera``, ``rtsp``, ``http``, ``video``,
            ``pictures``, ``picamera``, ``screen``, ``pattern``.
        address: Camera number or device, path, pattern or URL, credentials included.
        name: The same as it may be shown: without credentials.
        live: Whether the newest frame counts and old ones are dropped; else every frame does.
    """

    kind: str
    address: str = field(repr=False)  # never in a log
    name: str
    live: bool


@dataclass(frozen=True)
class SourceSettings:
    """How a source is read. None leaves a choice to the device.

    Attributes:
        size: Wished (width, height) in pixels; a device gives the nearest that it knows.
        fps: Wished frames a second; of pictures in a folder, how fast they follow each other.
        pixel_format: Four characters that V4L2 calls a format by, such as MJPG or YUYV.
        rotate: Degrees clockwise that pictures are turned by: 0, 90, 180 or 270.
        flip: ``""``, ``"h"`` (left and right change places), ``"v"`` or ``"hv"``; after turning.
        transport: How RTSP travels: ``tcp`` or ``udp``.
        realtime: Whether a file is played at its own speed, and frames dropped as of a camera.
        stall_after: Seconds without a frame after which a live source counts as stalled.
        max_reconnects: Attempts in a row to open a source again; None for ever.
    """

    size: tuple[int, int] | None = None
    fps: float | None = None
    pixel_format: str | None = None
    rotate: int = 0
    flip: str = ""
    transport: str = "tcp"
    realtime: bool = False
    stall_after: float = 10.0
    max_reconnects: int | None = None


@dataclass
class Grabbed:
    """What a reader hands over: a frame that is not decoded yet where that can wait.

    Attributes:
        captured: ``time.monotonic()`` in seconds at which its last byte had arrived.
        data: Called once, on another thread than ``read``'s: the encoded picture (bytes, as the
            preprocessing takes them), or uint8 (h, w, 3) RGB that nobody else writes to. Raises
            :class:`BadFrame`.
        index: Place in the source, from 0, where the source counts (a file); else None.
        seconds: Place in a video, in seconds from its beginning; else None.
        path: File of a picture; else None.
    """

    captured: float
    data: Callable[[], bytes | np.ndarray]
    index: int | None = None
    seconds: float | None = None
    path: str | None = None


class Reader(Protocol):
    """An open source. One thread calls ``read``; any thread may call ``close``, also meanwhile.

    A reader whose opening waits for a network or another process may have a method ``connect``: it
    is called once before the first ``read`` and raises what opening raises, and ``close`` ends it.
    """

    #: Frames a second that the source says it gives; None where it does not say.
    fps: float | None

    def read(self, timeout: float) -> Grabbed | None:
        """Wait for the next frame.

        Args:
            timeout: Seconds.

        Returns:
            The frame; of a live source the newest. None at the end of a file.

        Raises:
            SourceStalled: None came in time.
            SourceLost: The connection is gone; the message says why, without credentials.
            BadFrame: This one was damaged.
            DataError: A file cannot be read on.
        """

    def close(self) -> None:
        """Let go of the device, in a second at most, also when its driver hangs; twice is safe.

        A ``read`` under way on another thread ends with SourceLost.
        """


class Frame:
    """One picture of a stream.

    Attributes:
        number: Count of the source, from 0; frames that were dropped are counted, too.
        captured: ``time.monotonic()`` in seconds at which it had arrived.
        time: Seconds since the epoch at the same moment.
        seconds: Place in a video, in seconds from its beginning; else None.
        path: File of a picture; else None.
        decode_ms: Milliseconds that decoding it took (and turning it).
    """

    def __init__(self, grabbed: Grabbed, number: int, rotate: int = 0, flip: str = "") -> None:
        """Decode what a reader handed over, as far as the preprocessing cannot do it better.

        Raises:
            BadFrame: It is damaged.
        """
        start = time.perf_counter()
        self.number, self.captured = number, grabbed.captured
        self.time = time.time() - (time.monotonic() - grabbed.captured)
        self.seconds, self.path = grabbed.seconds, grabbed.path
        self._data = grabbed.data()
        self._turn = functools.partial(_turned, rotate=rotate, flip=flip)
        self._pixels: np.ndarray | None = None
        self._decoding = threading.Lock()
        if rotate or flip or not isinstance(self._data, bytes):
            self._data = self._pixels = self._decoded()
        self.decode_ms = (time.perf_counter() - start) * 1000

    @property
    def photo(self) -> bytes | np.ndarray:
        """What the preprocessing takes: encoded bytes, or :attr:`pixels`."""
        return self._data

    @property
    def pixels(self) -> np.ndarray:
        """The whole picture, uint8 (h, w, 3) RGB, decoded when it is first asked for.

        Not to be written to: several threads share it.

        Raises:
            BadFrame: It is damaged.
        """
        with self._decoding:
            if self._pixels is None:
                self._pixels = self._decoded()
            return self._pixels

    def without_picture(self) -> Frame:
        """The same, light enough to be kept by the hundred; its picture is empty bytes."""
        light = copy.copy(self)
        light._data, light._pixels = b"", None
        return light

    def _decoded(self) -> np.ndarray:
        if not isinstance(self._data, bytes):
            return self._turn(self._data)
        from ..errors import ImageError
        from ..photos.decoding import load_upright

        try:
            return self._turn(load_upright(self._data))
        except ImageError as error:
            raise BadFrame(str(error)) from error


def _turned(pixels: Any, rotate: int, flip: str) -> np.ndarray:
    import numpy as np

    turned = np.asarray(pixels)
    if rotate:
        turned = np.rot90(turned, -rotate // 90)
    if "h" in flip:
        turned = turned[:, ::-1]
    if "v" in flip:
        turned = turned[::-1]
    return np.ascontiguousarray(turned)


def import_cv2() -> Any:
    """Import OpenCV.

    Raises:
        MissingComponent: It is not installed.
    """
    import os

    # FFmpeg's and V4L2's complaints would land between the messages of the command.
    os.environ.setdefault("OPENCV_LOG_LEVEL", "ERROR")
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # FFmpeg's "quiet"
    try:
        import cv2
    except ImportError as error:
        raise missing_package("OpenCV", "camera", "read cameras and videos") from error
    return cv2
