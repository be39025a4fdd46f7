"""Lines to and from a running process, with neither side ever waiting for a full pipe."""

from __future__ import annotations

import os
import selectors
import subprocess
import time
from collections.abc import Iterator
from typing import IO, cast

_CHUNK = 1 << 16

#: Bytes kept of what the process wrote to stderr: its last words.
_KEPT = 1 << 14

#: Seconds between two looks whether the process lives: a grandchild may hold its pipes open.
_LOOK = 1.0


class Silence(Exception):
    """The time for an answer is up."""


class Talk:
    """The three pipes of a process.

    Attributes:
        said: The last bytes that it wrote to stderr.
    """

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        """Take the pipes of a process that was started with all three, unbuffered."""
        self.said = b""
        self._process = process
        self._stdin = cast(IO[bytes], process.stdin)
        self._stdout = cast(IO[bytes], process.stdout)
        self._stderr = cast(IO[bytes], process.stderr)
        self._heard = b""

    def exchange(self, line: bytes, timeout: float | None) -> Iterator[bytes]:
        """Write a line, and yield the lines that come back until the process ends.

        Args:
            line: Ends with a line feed.
            timeout: Seconds for the whole exchange; None for as long as it takes.

        Raises:
            Silence: The time is up.
        """
        end = None if timeout is None else time.monotonic() + timeout
        stdin, stdout, stderr = self._stdin, self._stdout, self._stderr
        os.set_blocking(stdin.fileno(), False)
        with selectors.DefaultSelector() as selector:
            selector.register(stdin, selectors.EVENT_WRITE)
            selector.register(stdout, selectors.EVENT_READ)
            selector.register(stderr, selectors.EVENT_READ)
            while stdout in selector.get_map():
                left = _LOOK if end is None else min(_LOOK, end - time.monotonic())
                if left <= 0:
                    raise Silence
                ready = [key.fileobj for key, _ in selector.select(left)]
                if not ready and self._process.poll() is not None:
                    return
                if stdin in ready:
                    line = _written(stdin, line)
                    if not line:
                        selector.unregister(stdin)
                if stderr in ready and not self._hear_stderr():
                    selector.unregister(stderr)
                if stdout in ready:
                    data = os.read(stdout.fileno(), _CHUNK)
                    if not data:
                        selector.unregister(stdout)
                    *lines, self._heard = (self._heard + data).split(b"\n")
                    yield from lines
            if stderr in selector.get_map():
                self._hear_the_rest()

    def _hear_stderr(self) -> bool:
        data = os.read(self._stderr.fileno(), _CHUNK)
        self.said = (self.said + data)[-_KEPT:]
        return bool(data)

    def _hear_the_rest(self) -> None:
        os.set_blocking(self._stderr.fileno(), False)  # a grandchild may hold it open
        try:
            while self._hear_stderr():
                pass
        except BlockingIOError:
            return


def _written(stdin: IO[bytes], line: bytes) -> bytes:
    """What is left of a line after writing as much as goes in; nothing if nobody reads."""
    try:
        return line[os.write(stdin.fileno(), line) :]
    except BlockingIOError:
        return line
    except BrokenPipeError:
        return b""
