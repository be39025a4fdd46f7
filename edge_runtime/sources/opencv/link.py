"""The parent's end of a child: its process, the socket to it, and its last words."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from pathlib import Path
from typing import Any

from .capture import last_line
from .memory import Pool, nameless_log

_MODULE = "edge_runtime.sources.opencv.worker"

#: The child's working folder holds the packages, so that no folder of the user's is taken for one.
_HOME = Path(__file__).resolve().parents[3]

#: Seconds for a child to let go of its source, and for the kernel to end one that does not.
_FAREWELL, _BURIAL = 0.5, 0.3

_CHUNK = 1 << 16

#: Bytes of the child's last words that are looked at.
_WORDS = 1 << 14

_HINTS = {
    "SIGKILL": "often the kernel's answer to a lack of memory",
    "SIGSEGV": "a crash inside OpenCV, FFmpeg or a driver",
    "SIGABRT": "a crash inside OpenCV, FFmpeg or a driver",
    "SIGILL": "OpenCV was built for another CPU",
    "SIGBUS": "often no memory left for frames",
}


class Gone(Exception):
    """The child is dead; why, as a clause."""


class Link:
    """A running child. One thread receives; any may send or close."""

    def __init__(self) -> None:
        """Start the child.

        Raises:
            OSError: The system gives no process, socket or memory.
        """
        self._sending = threading.RLock()  # a frame may be freed in the middle of a call
        self._heard, self._lines, self._pools = b"", deque[bytes](), deque[int]()
        self._closed = False
        self._socket, theirs = socket.socketpair()
        try:
            self._words = nameless_log()
        except BaseException:
            self._socket.close()
            theirs.close()
            raise
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", _MODULE, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=self._words,  # where FFmpeg's errors go
                stderr=self._words,
                pass_fds=[theirs.fileno()],
                cwd=_HOME,
                start_new_session=True,  # Ctrl-C before the child can say that it does not mind
            )
        except BaseException:
            self._socket.close()
            os.close(self._words)
            raise
        finally:
            theirs.close()
        self.pid = self._process.pid

    def send(self, line: bytes) -> None:
        """Write a line; nothing if nobody reads any more."""
        with self._sending, contextlib.suppress(OSError):
            self._socket.sendall(line)

    def receive(self, timeout: float) -> dict[str, Any] | None:
        """The next message, or None if none came in time (seconds).

        Raises:
            Gone: The child has ended.
        """
        end = time.monotonic() + timeout
        while not self._lines:
            poll = select.poll()
            try:
                poll.register(self._socket, select.POLLIN)
            except ValueError:
                raise Gone("closed") from None
            if not poll.poll(max(0.0, end - time.monotonic()) * 1000):
                return None
            try:
                data, descriptors, *_ = socket.recv_fds(self._socket, _CHUNK, 4)
            except OSError:
                data, descriptors = b"", []
            self._pools.extend(descriptors)
            if not data:
                raise Gone(self._death())
            *lines, self._heard = (self._heard + data).split(b"\n")
            self._lines.extend(lines)
        message: dict[str, Any] = json.loads(self._lines.popleft())
        return message

    def take_pool(self, message: dict[str, Any]) -> Pool:
        """The shared memory that a message has told of."""
        descriptor = self._pools.popleft()
        try:
            return Pool(message["pool"], message["slot_bytes"], message["slots"], descriptor)
        finally:
            os.close(descriptor)

    def shut(self) -> None:
        """Wake the thread that receives, and tell the child that nobody listens any more."""
        with self._sending, contextlib.suppress(OSError):
            self._closed = True
            self._socket.shutdown(socket.SHUT_RDWR)

    def end(self) -> None:
        """After :meth:`shut`: wait for the child's end, or bring it about, in a second at most."""
        try:
            self._process.wait(_FAREWELL)
        except subprocess.TimeoutExpired:
            self._process.kill()
            try:
                self._process.wait(_BURIAL)
            except subprocess.TimeoutExpired:  # in the kernel, where no signal reaches it
                threading.Thread(target=self._process.wait, daemon=True).start()

    def release(self) -> None:
        """After :meth:`end`, when no thread receives: close what is open."""
        with self._sending:
            if self._socket.fileno() < 0:
                return
            self._socket.close()
            os.close(self._words)
            while self._pools:
                os.close(self._pools.popleft())

    def _death(self) -> str:
        if self._closed:
            return "closed"
        try:
            code = self._process.wait(_FAREWELL)
        except subprocess.TimeoutExpired:
            return "its process closed the connection"
        words = last_line(os.pread(self._words, _WORDS, max(0, self._said() - _WORDS)))
        said = f": {words}" if words else ""
        if code >= 0:
            return f"its process ended with exit code {code}{said}"
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = f"signal {-code}"
        hint = f" ({_HINTS[name]})" if name in _HINTS else ""
        return f"its process died of {name}{hint}{said}"

    def _said(self) -> int:
        return os.fstat(self._words).st_size
