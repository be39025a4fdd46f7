"""``screen:`` what a screen shows, through Pillow."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from ..errors import SystemFailure, UsageError, first_line
from .base import Grabbed, Source, SourceLost, SourceSettings, SourceStalled
from .monitors import screens

if TYPE_CHECKING:
    import numpy as np

#: Pictures a second where nothing is wished: a screen is large, and taking it costs.
_FPS = 5.0


class ScreenReader:
    """Takes a picture of the screen now and then; see :class:`~edge_runtime.sources.base.Reader`."""

    def __init__(self, box: tuple[int, int, int, int] | None, fps: float) -> None:
        """Take the first picture, to see whether there is a screen.

        Args:
            box: Left, top, right and bottom in pixels of what all screens together show; None
                for all of it.
            fps: Pictures a second.

        Raises:
            SystemFailure: There is no screen that this program may look at.
        """
        self.fps: float | None = fps
        self._box, self._due = box, time.monotonic()
        self._closing = threading.Event()
        try:
            self._take()
        except (OSError, ImportError, ValueError) as error:
            raise SystemFailure(
                f"screen: there is no screen to look at ({first_line(error)}). "
                "Is DISPLAY set, and does the desktop allow screenshots?"
            ) from error

    def _take(self) -> Any:
        from PIL import ImageGrab

        return ImageGrab.grab(bbox=self._box, all_screens=True)

    def read(self, timeout: float) -> Grabbed | None:
        """Wait until the next picture is due, and take it; see :meth:`Reader.read`."""
        wait = self._due - time.monotonic()
        if self._closing.wait(max(0.0, min(wait, timeout))):
            raise SourceLost("closed.")
        if wait > timeout:
            raise SourceStalled(f"no picture is due for another {wait - timeout:.1f} s.")
        try:
            image = self._take()
        except (OSError, ValueError) as error:
            raise SourceLost(f"the screen is gone ({first_line(error)}).") from error
        captured = time.monotonic()
        # What is late is left out, not made up for.
        self._due = max(self._due + 1 / (self.fps or _FPS), captured)

        def pixels() -> np.ndarray:
            import numpy as np

            return np.array(image.convert("RGB"))

        return Grabbed(captured, pixels)

    def close(self) -> None:
        """Nothing is held."""
        self._closing.set()


def open_reader(source: Source, settings: SourceSettings) -> ScreenReader:
    """Look at all screens together, or at one by its number.

    Raises:
        UsageError: There is no screen of that number.
        SystemFailure: There is no screen that this program may look at.
    """
    fps = settings.fps or _FPS
    if not source.address:
        return ScreenReader(None, fps)
    ScreenReader(None, fps)  # whether there is any: then its number is what is wrong
    found, number = screens(), int(source.address)
    if number >= len(found):
        last = f"screen:0 to screen:{len(found) - 1}" if found else "screen: alone"
        raise UsageError(f"{source.name}: there is no such screen; there is {last}.")
    left, top, width, height = found[number]
    return ScreenReader((left, top, left + width, top + height), fps)
