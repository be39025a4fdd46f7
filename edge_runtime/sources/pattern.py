"""``test:`` a moving pattern whose labels are known, for trying a stream without a camera."""

from __future__ import annotations

import threading
import time

import numpy as np

from ..errors import UsageError
from .base import Grabbed, Source, SourceLost, SourceSettings, SourceStalled

#: Colours by name; the first three are shown unless others are named.
COLORS = {
    "red": (255, 0, 0),
    "green": (0, 255, 0),
    "blue": (0, 0, 255),
    "yellow": (255, 255, 0),
    "magenta": (255, 0, 255),
    "cyan": (0, 255, 255),
    "white": (255, 255, 255),
    "black": (0, 0, 0),
}

_SHOWN = ("red", "green", "blue")

#: Seconds that one colour stays.
_STAYS = 2.0

#: Seconds in which the bar crosses the picture.
_CROSSES = 4.0


class TestPattern:
    """Frames of one colour after the other, at the wished rate, and a bar that moves below.

    As of a camera, a frame that nobody reads in its time is gone. ``index`` counts these, too, so
    that each frame's colour follows from its index: ``colors[int(index / fps / 2) % len(colors)]``.
    """

    __test__ = False  # not a test of pytest's

    def __init__(self, colors: list[str], size: tuple[int, int], fps: float) -> None:
        """Begin now.

        Args:
            colors: Names of :data:`COLORS`.
            size: Width and height in pixels.
            fps: Frames a second.
        """
        self.fps: float | None = fps
        self._size, self._period = size, 1 / fps
        self._colors = [COLORS[name] for name in colors]
        self._begun, self._next = time.monotonic(), 0
        self._closing = threading.Event()

    def read(self, timeout: float) -> Grabbed | None:
        """Wait for the next frame's time; see :meth:`Reader.read`."""
        now = time.monotonic()
        newest = int((now - self._begun) / self._period)
        index = max(self._next, newest)
        wait = self._begun + index * self._period - now
        if self._closing.wait(max(0.0, min(wait, timeout))):
            raise SourceLost("closed.")
        if wait > timeout:
            raise SourceStalled(f"no frame for {timeout:g} s.")
        self._next = index + 1
        return Grabbed(
            time.monotonic(), lambda: self._paint(index), index, round(index * self._period, 6)
        )

    def close(self) -> None:
        """Nothing is held."""
        self._closing.set()

    def _paint(self, index: int) -> np.ndarray:
        width, height = self._size
        seconds = index * self._period
        color = self._colors[int(seconds / _STAYS) % len(self._colors)]
        pixels = np.empty((height, width, 3), np.uint8)
        pixels[:] = color
        # Too small to change the colour that a classifier sees, and seen on any of the colours.
        left = int(seconds / _CROSSES * width) % width
        bar = pixels[-max(height // 16, 1) :, left : left + max(width // 16, 1)]
        bar[:] = 0 if sum(color) > 2 * 255 else 255
        return pixels


def open_reader(source: Source, settings: SourceSettings) -> TestPattern:
    """Open ``test:`` or ``test:red,blue``.

    Raises:
        UsageError: A colour without a name here.
    """
    named = [name.strip().lower() for name in source.address.split(",")]
    colors = named if source.address else [*_SHOWN]
    for name in colors:
        if name not in COLORS:
            raise UsageError(f"test:{source.address}: {name!r} is none of {', '.join(COLORS)}.")
    return TestPattern(colors, settings.size or (320, 240), settings.fps or 30)
