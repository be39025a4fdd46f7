"""A constant frame rate out of frames that come when they come.

A video has one picture every 1/fps seconds. A frame goes to the place that its time is nearest to;
places that stay empty show the frame before them once more, and of several frames at one place the
first stays. So a video lasts as long as what it shows, whatever the classifier's speed.
"""

from __future__ import annotations


class Places:
    """Places of frames in one file."""

    def __init__(self, fps: float) -> None:
        """Begin a file.

        Args:
            fps: Pictures a second.
        """
        self._fps = fps
        self._begun: float | None = None
        self._last = -1
        self._time = 0.0

    def place(self, seconds: float) -> int | None:
        """Where a frame goes.

        Args:
            seconds: Its time, on any clock that does not jump.

        Returns:
            How often the frame before it is repeated first; None if its place is taken.
        """
        if self._begun is None:
            self._begun = seconds
        place = round((seconds - self._begun) * self._fps)
        if place <= self._last:
            return None
        again, self._last, self._time = place - self._last - 1, place, seconds
        return again

    def gap(self, seconds: float) -> float:
        """Seconds since the last frame that found a place."""
        return 0.0 if self._begun is None else seconds - self._time

    def length(self, seconds: float) -> float:
        """Seconds since the first one."""
        return 0.0 if self._begun is None else seconds - self._begun


def rate_of(first: float | None, second: float | None, otherwise: float) -> float:
    """Frames a second of a file, out of the places of two neighbouring frames in seconds."""
    if first is None or second is None or second <= first:
        return otherwise
    # OpenCV gives milliseconds in floating point: 33.33333 is 30 a second.
    rate = round(1 / (second - first), 3)
    return rate if 0.1 <= rate <= 240 else otherwise
