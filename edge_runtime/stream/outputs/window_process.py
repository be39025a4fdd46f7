"""The process that shows a window: its main thread is the only one that calls the desktop.

Run by :class:`edge_runtime.stream.outputs.picture_pipe.PictureProcess`; a desktop's library that
ends the whole process, as Qt does where it loses the screen, ends this one alone. Messages are
``{"size": [w, h]}`` with a picture. It says ``{"shown": true}`` once there is a window, and
``{"closed": true}`` when somebody closed it, or pressed q or Esc.
"""

from __future__ import annotations

import os
import threading
from typing import IO, Any

from .picture_pipe import ignore_signals, messages, own_streams, say

TITLE = "edge-classify"

_QUIT_KEYS = (ord("q"), ord("Q"), 27)  # 27 is Esc

#: Milliseconds that the desktop's events are waited for.
_TURN = 20

#: Largest window at the beginning, pixels.
_LARGEST = (1280, 720)


def main() -> None:
    """Show what comes until the input ends or somebody closes the window."""
    ignore_signals()
    given, told = own_streams()
    os.environ.setdefault("QT_LOGGING_RULES", "*=false")  # its fonts and threads are no matter
    try:
        from ...sources.base import import_cv2

        cv2 = import_cv2()
    except Exception as error:
        say(told, {"error": str(error), "class": type(error).__name__})
        return
    try:
        cv2.namedWindow(TITLE, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL)
        cv2.waitKey(1)
    except cv2.error:
        text = (
            "--window needs the OpenCV build with windows. Install it in place of the headless "
            "one: pip uninstall opencv-python-headless; pip install 'edge-classify[window]'"
        )
        say(told, {"error": text, "class": "MissingComponent"})
        return
    say(told, {"shown": True})
    if _show(cv2, _Newest(given)):
        say(told, {"closed": True})


def _show(cv2: Any, newest: _Newest) -> bool:
    """Whether a person ended it."""
    import numpy as np

    sized = False
    while not newest.ended:
        size, picture = newest.take()
        if picture is not None:
            if not sized:
                sized = True
                cv2.resizeWindow(TITLE, *_first_size(size))
            rgb = np.frombuffer(picture, np.uint8).reshape(size[1], size[0], 3)
            cv2.imshow(TITLE, cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
        if cv2.waitKey(_TURN) & 0xFF in _QUIT_KEYS or (sized and _is_closed(cv2)):
            return True
    return False


def _is_closed(cv2: Any) -> bool:
    try:
        return bool(cv2.getWindowProperty(TITLE, cv2.WND_PROP_VISIBLE) < 1)
    except cv2.error:  # with the last window, Qt forgets that there were any
        return True


def _first_size(size: tuple[int, int]) -> tuple[int, int]:
    factor = min(1.0, _LARGEST[0] / size[0], _LARGEST[1] / size[1])
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))


class _Newest:
    """The newest picture that came, read on a thread of its own."""

    def __init__(self, given: IO[bytes]) -> None:
        self.ended = False
        self._lock = threading.Lock()
        self._waiting: tuple[tuple[int, int], bytes | None] = ((0, 0), None)
        threading.Thread(target=self._read, args=(given,), daemon=True).start()

    def take(self) -> tuple[tuple[int, int], bytes | None]:
        """Its size and bytes; None for nothing new."""
        with self._lock:
            found, self._waiting = self._waiting, ((0, 0), None)
        return found

    def _read(self, given: IO[bytes]) -> None:
        for message, picture in messages(given):
            with self._lock:
                self._waiting = ((message["size"][0], message["size"][1]), picture)
        self.ended = True


if __name__ == "__main__":
    main()
