"""How far a run is, in one line on a terminal."""

from __future__ import annotations

import logging
import os
import sys
import time
from typing import TextIO

from .console import StderrHandler
from .quiet import messages_held

_log = logging.getLogger("edge_runtime")

#: Seconds between two drawings: often enough to seem smooth.
_INTERVAL = 0.1

_CLEAR = "\r\x1b[K"


class Progress:
    """A line on stderr that gives way to results and messages; nothing where nobody looks."""

    def __init__(self, total: int | None, stream: TextIO | None = None) -> None:
        """Begin.

        Args:
            total: Photos; None if nobody knows.
            stream: Where to; None for stderr. Nothing is drawn on what is no terminal, with
                ``--quiet``, and for one photo.
        """
        self._total, self._stream = total, sys.stderr if stream is None else stream
        self._shown = (
            total != 1
            and self._stream is not None
            and self._stream.isatty()
            and os.environ.get("TERM") != "dumb"
            and _log.isEnabledFor(logging.INFO)
        )
        self._shares = self._shown and sys.stdout is not None and sys.stdout.isatty()
        self._done, self._start, self._drawn, self._visible = 0, time.monotonic(), 0.0, False
        self._messages = [h for h in _log.handlers if isinstance(h, StderrHandler)]
        if self._shown:
            for handler in self._messages:
                handler.give_way = self._clear

    def step(self) -> None:
        """One photo more is done; its result has been written."""
        self._done += 1
        if self._shown and (self._shares or time.monotonic() - self._drawn >= _INTERVAL):
            self._draw()

    def hide(self) -> None:
        """Make room for a line of results, if they go to the same terminal."""
        if self._shares:
            with messages_held():
                self._clear()

    def close(self) -> None:
        """Remove the line; safe to call twice."""
        if self._shown:
            self._shown = self._shares = False
            with messages_held():
                self._clear()
                for handler in self._messages:
                    handler.give_way = None

    def _clear(self) -> None:
        if self._visible:
            self._stream.write(_CLEAR)
            self._stream.flush()
            self._visible = False

    def _draw(self) -> None:
        self._drawn = time.monotonic()
        try:
            width = os.get_terminal_size(self._stream.fileno()).columns
        except (OSError, ValueError):
            width = 80
        text = describe(self._done, self._total, self._drawn - self._start, width - 1)
        with messages_held():
            self._stream.write(_CLEAR + text)
            self._stream.flush()
            self._visible = True


def describe(done: int, total: int | None, seconds: float, width: int) -> str:
    """The line: a bar as far as there is room, count, rate, time left.

    Args:
        done: Photos so far, at least 1.
        total: Photos in all; None if nobody knows.
        seconds: Since the beginning.
        width: Columns; the line is at most that long.
    """
    rate = done / max(seconds, 1e-6)
    if total is None:
        return f"{done} photos  {rate:.1f}/s"[:width]
    left = _clock(max(total - done, 0) / rate)
    text = f"{done}/{total} photos  {rate:.1f}/s  {left} left"
    room = min(30, width - len(text) - 3)
    if room < 5:
        return text[:width]
    full = min(room, room * done // max(total, 1))
    return f"[{'#' * full}{'.' * (room - full)}] {text}"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
