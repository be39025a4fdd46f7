"""Photos that arrive in a folder, each once it is complete.

The folder is looked through again and again. That needs nothing of the system, sees what other
machines write over a network, and costs next to nothing: the longer a look takes, the rarer the
looks, so that they use at most 2 % of one core.
"""

from __future__ import annotations

import logging
import os
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ..errors import UsageError
from ..files import find_photos
from .finding import Outputs

_log = logging.getLogger("edge_runtime")

#: Seconds between two looks, and at least so many times as long as a look takes.
INTERVAL = 0.5
_RARELY = 50

#: Seconds between two looks at most, though a look may take long while the board is busy.
_LONGEST = 10.0

#: A file is complete when its size and time have not changed for so many seconds; an empty one is
#: given longer, because whoever writes it has not begun.
SETTLE = 1.0
_SETTLE_EMPTY = 10.0

#: A file that was last changed so many seconds before it was first seen was moved in as a whole.
_OLD = 5.0


@dataclass
class _Known:
    """A file as it was seen last."""

    state: tuple[int, int, int]  #: size, modification time in nanoseconds, inode
    since: float  #: monotonic seconds when it was first seen so
    done: bool  #: whether it was given out


class Watch:
    """A folder, and what is known of the photos in it now: nothing of those that are gone."""

    def __init__(self, folder: str, existing: bool, outputs: Outputs | None = None) -> None:
        """Look for the first time.

        Args:
            folder: Searched with its folders; hidden names and other extensions than those of
                photos (``.part``, ``.tmp``) are passed over.
            existing: Whether the photos that are there already count as arrived.
            outputs: Folders that are passed over, because they are written to.

        Raises:
            UsageError: No such folder, or one of heat maps.
        """
        if not os.path.isdir(folder):
            raise UsageError(f"--watch {folder}: no such folder.")
        self.folder = folder
        self._outputs = outputs or Outputs(None, None)
        self._known: dict[str, _Known] = {}
        self._gone = False
        if not existing:
            for path, state in self._states():
                self._known[path] = _Known(state, 0.0, done=True)

    def __len__(self) -> int:
        """How many files are remembered."""
        return len(self._known)

    def look(self, now: float | None = None) -> list[str]:
        """Photos that have become complete since the last look, sorted.

        Args:
            now: Monotonic seconds; None for the clock's.
        """
        now = time.monotonic() if now is None else now
        ready, known = [], {}
        for path, state in self._states():
            before = self._known.get(path)
            if before is None or before.state != state:
                moved_in = before is None and state[0] > 0 and _age(state) > _OLD
                before = _Known(state, now, done=False)
                if moved_in:
                    before.since = now - SETTLE
            if not before.done and now - before.since >= (SETTLE if state[0] else _SETTLE_EMPTY):
                before.done = True
                ready.append(path)
            known[path] = before
        self._known = known
        return ready

    def arrivals(self, sleep: Callable[[float], object] = time.sleep) -> Iterator[list[str]]:
        """Groups of complete photos, without end."""
        while True:
            start = time.perf_counter()
            ready = self.look()
            took = time.perf_counter() - start
            if ready:
                yield ready
            else:
                sleep(max(INTERVAL, min(_RARELY * took, _LONGEST)))

    def _states(self) -> Iterator[tuple[str, tuple[int, int, int]]]:
        self._notice_gone()
        for path in self._outputs.left_out(find_photos(self.folder), self.folder):
            try:
                found = os.stat(path)
            except OSError:  # gone since, or a link to nowhere
                continue
            if stat.S_ISREG(found.st_mode):
                yield path, (found.st_size, found.st_mtime_ns, found.st_ino)

    def _notice_gone(self) -> None:
        gone = not os.path.isdir(self.folder)
        if gone and not self._gone:
            _log.warning("%s: is gone; waiting until it is there again.", self.folder)
        self._gone = gone


def _age(state: tuple[int, int, int]) -> float:
    return time.time() - state[1] / 1e9
