"""``test:`` a moving pattern whose labels are known, for trying a stream without a camera."""

from __future__ import annotations

import time

import numpy as np

from ..errors import UsageError
from .base import Grabbed, Source, SourceLost, SourceSettings, SourceStalled

#: Colours by name, in the order in which they are shown.
COLORS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}

#: Seconds that one colour stays.
_STAYS = 2.0


class TestPattern:
    """Frames of one colour after the other, at the wished rate, and a bar that moves."""

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
        self._begun, self._count, self._closed = time.monotonic(), 0, False

    def read(self, timeout: float) -> Grabbed | None:
        """Wait for the next frame's time."""
        due = self._begun + self._count * self._period
        wait = due - time.monotonic()
        if wait > timeout:
            time.sleep(timeout)
            raise SourceStalled(f"no frame for {timeout:g} s.")
        if wait > 0:
            time.sleep(wait)
        if self._closed:
            raise SourceLost("closed.")
        count, self._count = self._count, self._count + 1
        return Grabbed(time.monotonic(), lambda: self._paint(count), count, count * self._period)

    def close(self) -> None:
        """Nothing is held."""
        self._closed = True

    def _paint(self, count: int) -> np.ndarray:
        width, height = self._size
        color = self._colors[int(count * self._period / _STAYS) % len(self._colors)]
        pixels = np.empty((height, width, 3), np.uint8)
        pixels[:] = color
        left = count * 4 % width
        pixels[-height // 16 :, left : left + width // 16] = 255
        return pixels


def open_reader(source: Source, settings: SourceSettings) -> TestPattern:
    """Open ``test:`` or ``test:red,blue``.

    Raises:
        UsageError: A colour without a name here.
    """
    colors = [name.strip() for name in source.address.split(",")] if source.address else [*COLORS]
    for name in colors:
        if name not in COLORS:
            raise UsageError(f"test:{source.address}: {name!r} is none of {', '.join(COLORS)}.")
    return TestPattern(colors, settings.size or (320, 240), settings.fps or 30)
