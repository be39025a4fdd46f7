"""Which frames of a stream are classified: one of so many, and at most so many a second."""

from __future__ import annotations

import time

from ..sources.base import Frame


class Pace:
    """Decides frame by frame; ``wants`` may be asked from any thread, the rest is the loop's.

    Of a recorded source every ``every``-th frame counts, whatever the time, and ``max_fps`` makes the
    loop wait. Of a live source a frame that comes too early is left out: ``every`` frames lie
    between two that are classified, those that the feed dropped included.
    """

    def __init__(self, every: int, max_fps: float | None, live: bool) -> None:
        """Begin; the first frame is wanted.

        Args:
            every: Classify one frame of so many.
            max_fps: Frames a second at most, on average; None for no limit.
            live: Whether the source is live.
        """
        self._every, self._live = every, live
        self._period = 0.0 if max_fps is None else 1 / max_fps
        self._number = 0
        self._due = float("-inf")

    def wants(self, frame: Frame) -> bool:
        """Whether a frame shall be classified, as far as is known now."""
        if not self._live:
            return frame.number % self._every == 0
        return frame.number >= self._number and frame.captured >= self._due

    def took(self, frame: Frame) -> None:
        """A frame is about to be classified."""
        now = frame.captured if self._live else time.monotonic()
        self._number = frame.number + self._every
        # On schedule where the source keeps up, so that its own rhythm costs nothing of the rate.
        on_time = now - self._due < self._period
        self._due = (self._due if on_time else now) + self._period

    def delay(self) -> float:
        """Seconds that the loop has to wait before it asks for the next frame of a recording."""
        return 0.0 if self._live else max(self._due - time.monotonic(), 0.0)
