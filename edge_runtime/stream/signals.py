"""Signals of a stream: SIGINT and SIGTERM end it, SIGHUP loads the model anew."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

from ..console import Terminated

#: What ends a stream; SIGINT twice ends it at once.
_ENDING = (signal.SIGINT, signal.SIGTERM)


class Signals:
    """Handlers for the length of a ``with`` block; in a thread other than the main one, none.

    A signal that the process was started to ignore (nohup; a background job of a shell) stays
    ignored.

    Attributes:
        stop: Called with the signal's name once there is a loop to stop. While it is None a signal
            raises KeyboardInterrupt or :class:`~edge_runtime.console.Terminated` where the program
            stands.
        reload: Called on SIGHUP; None ignores it, since there is nothing to load yet.
        ended_by: Name of the signal that ended the stream; None without.
    """

    def __init__(self) -> None:
        """Change nothing yet."""
        self.stop: Callable[[str], None] | None = None
        self.reload: Callable[[], None] | None = None
        self.ended_by: str | None = None
        self._before: dict[signal.Signals, Any] = {}
        self._terminal = _has_terminal()

    def __enter__(self) -> Signals:
        if threading.current_thread() is not threading.main_thread():
            return self
        wanted: list[tuple[signal.Signals, Any]] = [(number, self._end) for number in _ENDING]
        if hasattr(signal, "SIGHUP"):
            wanted.append((signal.SIGHUP, self._hang_up))
        for number, handler in wanted:
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, handler)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _end(self, number: int, frame: FrameType | None) -> None:
        if self.ended_by is not None:
            if number == signal.SIGINT:
                # The person does not want to wait; a parent shell sees how it ended.
                signal.signal(number, signal.SIG_DFL)
                os.kill(os.getpid(), number)
            return
        self.ended_by = signal.Signals(number).name
        if self.stop is not None:
            self.stop(self.ended_by)
        elif number == signal.SIGINT:
            raise KeyboardInterrupt
        else:
            raise Terminated

    def _hang_up(self, number: int, frame: FrameType | None) -> None:
        if self._terminal and not _has_terminal():  # it was closed, which SIGHUP is there to say
            self._end(number, frame)
        elif self.reload is not None:
            self.reload()


def _has_terminal() -> bool:
    """Whether this process has a controlling terminal."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | getattr(os, "O_NOCTTY", 0)))
    except OSError:
        return False
    return True
