"""``--window``: the frames with their answers on the screen; closing it ends the stream."""

from __future__ import annotations

import os
import sys

from ...errors import SystemFailure
from ..results import FrameResult
from .annotate import annotated
from .base import Output, StopStream
from .picture_pipe import PictureProcess

#: Seconds in which the window has to be there.
_START = 60.0

_MODULE = "edge_runtime.stream.outputs.window_process"


class Window(Output):
    """Shows the newest frame."""

    name = "window"
    capacity = 2
    skips = True
    idle_after: float | None = 0.1

    def __init__(self, heatmap: bool = False) -> None:
        """Open the window.

        Args:
            heatmap: Whether the heat map is drawn over the frame.

        Raises:
            SystemFailure: There is no screen, or it is not ours.
            MissingComponent: OpenCV is the headless build, or missing.
        """
        self.wants_heatmaps = heatmap
        has_screen = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
        if sys.platform.startswith("linux") and not has_screen:
            raise SystemFailure(
                "--window: this machine has no screen (neither DISPLAY nor WAYLAND_DISPLAY is "
                "set). Leave --window out, or run it on a desktop; --preview shows the same in a "
                "browser."
            )
        self._process = PictureProcess(_MODULE, "--window")
        try:
            self._process.answer(_START)
        except SystemFailure as error:
            self._process.close(1.0)
            raise SystemFailure(
                f"--window: the screen {has_screen} cannot be used. Is it yours, and running? "
                f"({error})"
            ) from error
        except BaseException:
            self._process.close(1.0)
            raise

    def result(self, result: FrameResult) -> None:
        """Show a frame.

        Raises:
            StopStream: The window was closed.
            SystemFailure: Its process died.
        """
        if not self.wants_results:  # what still waited when it was closed
            return
        picture = annotated(result, self.wants_heatmaps)
        try:
            self._process.send({"size": picture.size}, picture.tobytes())
        except SystemFailure:
            self._check()
            raise

    def idle(self) -> None:
        """See whether it was closed, also while no frame comes.

        Raises:
            StopStream: The window was closed.
        """
        self._check()

    def close(self) -> None:
        """Close the window."""
        self._process.close(2.0)

    def _check(self) -> None:
        if self._process.ended is None:
            return
        self.idle_after, self.wants_results = None, False
        self._process.answer(1.0)  # raises where it died of something else
        raise StopStream("the window was closed.")
