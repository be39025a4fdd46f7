"""The end of what a program complains of, for a message."""

from __future__ import annotations

import contextlib
import threading
from typing import IO, Any

from ...output.plain import visible

#: Bytes that are kept; the last line is wanted.
_KEPT = 4096

#: Seconds for the rest to arrive: a child in the background may hold the pipe open.
_REST = 1.0


class Tail:
    """Reads a pipe to its end, so that its writer never waits, and keeps what came last."""

    def __init__(self, pipe: IO[bytes] | None) -> None:
        """Read on a thread of its own."""
        self._kept = b""
        self._thread = threading.Thread(target=self._read, args=(pipe,), daemon=True)
        self._thread.start()

    def last_line(self) -> str:
        """A blank and the last line that is not empty; empty where there is none."""
        self._thread.join(_REST)
        lines = self._kept.decode(errors="replace").split("\n")
        line = next((line.strip() for line in reversed(lines) if line.strip()), "")
        return f" {visible(line)}" if line else ""

    def _read(self, pipe: Any) -> None:
        with contextlib.suppress(OSError, ValueError), pipe:
            while piece := pipe.read1(_KEPT):
                self._kept = (self._kept + piece)[-_KEPT:]
