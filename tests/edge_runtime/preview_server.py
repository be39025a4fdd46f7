"""A preview that runs, and a client of raw sockets, for its tests."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from stream_results import PATIENCE, make_frame, make_result

from edge_runtime.stream.outputs.base import Outlet
from edge_runtime.stream.preview.output import Preview, PreviewSettings
from edge_runtime.stream.results import FrameResult
from edge_runtime.stream.status import Status
from edge_runtime.web.address import Address, listen, resolve
from edge_runtime.web.protocol import Limits
from edge_runtime.web.token import Token

TOKEN = "correct-horse-battery-staple"


@dataclass
class Running:
    """A preview with its outlet, as the loop has it."""

    preview: Preview
    outlet: Outlet
    status: Status
    port: int
    stop: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        """With a slash at the end."""
        return f"http://127.0.0.1:{self.port}/"

    def give(self, result: FrameResult) -> None:
        """What the loop does with each result."""
        self.status.result(result)
        self.outlet.result(result)

    def give_on(self, make: Callable[[int], FrameResult], fps: float = 30.0) -> None:
        """Give results from a thread until the preview is stopped."""

        def run() -> None:
            number = 0
            while not self.stop.wait(1 / fps):
                self.give(make(number))
                number += 1

        threading.Thread(target=run, daemon=True).start()


def plain(number: int = 0, size: tuple[int, int] = (64, 48)) -> FrameResult:
    """A red frame, a little different from the one before: the same picture is not sent again."""
    return make_result(frame=make_frame(number, size, (255, number * 8 % 32, 0)))


def warm(number: int = 0) -> FrameResult:
    """The same with a heat map."""
    return make_result(frame=plain(number).frame, heat=True)


@contextlib.contextmanager
def running(
    token: bool = False,
    settings: PreviewSettings | None = None,
    limits: Limits | None = None,
    try_heatmap: Callable[[], object] = lambda: None,
    send_buffer: int | None = None,
    port: int = 0,
) -> Iterator[Running]:
    """A preview on a port of its own; closed as the loop closes it."""
    listener = listen(resolve(Address("127.0.0.1", port), "--preview"), "--preview", send_buffer)
    status = Status("test:", "/somewhere/models/colors.tflite")
    secret = Token(TOKEN, "test") if token else None
    preview = Preview(listener, secret, status, try_heatmap, settings, limits)
    found = Running(preview, Outlet(preview, status), status, listener.getsockname()[1])
    try:
        yield found
    finally:
        found.stop.set()
        assert found.outlet.close(PATIENCE)


def connect(port: int, request: str, receive_buffer: int | None = None) -> socket.socket:
    """Send a request and leave the rest to the test."""
    client = socket.socket()
    if receive_buffer is not None:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    client.settimeout(PATIENCE)
    client.connect(("127.0.0.1", port))
    client.sendall(f"{request}\r\nhost: 127.0.0.1\r\n\r\n".encode())
    return client


def read_all(client: socket.socket) -> bytes:
    """Until the other side closes or resets."""
    found = b""
    with contextlib.suppress(ConnectionResetError):
        while data := client.recv(65536):
            found += data
    return found


def parts(lines: Any) -> Iterator[bytes]:
    """The pictures of a stream of ``multipart/x-mixed-replace``, by their lengths.

    Args:
        lines: Iterator of bytes, in pieces of any size.
    """
    rest = b""
    for data in lines:
        rest += data
        while True:
            head = re.search(rb"--edge-classify-frame\r\n(.*?)\r\n\r\n", rest, re.DOTALL)
            if head is None:
                break
            length = re.search(rb"Content-Length: (\d+)", head[1])
            assert length is not None, head[1]
            end = head.end() + int(length[1])
            # The boundary behind a picture is sent with it, or browsers would not show it yet.
            if len(rest) < end + len(b"\r\n--edge-classify-frame\r\n"):
                break
            assert rest[end : end + 4] == b"\r\n--"
            yield rest[head.end() : end]
            rest = rest[end + 2 :]
