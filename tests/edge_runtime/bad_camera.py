"""A network camera on 127.0.0.1 that misbehaves as it is told."""

from __future__ import annotations

import contextlib
import io
import socket
import struct
import threading
import time
from collections.abc import Callable
from types import TracebackType

from PIL import Image

BOUNDARY = "frame"

#: Seconds that a test waits for what has to happen, on however busy a machine.
PATIENCE = 60.0


def jpeg(color: str = "red", size: tuple[int, int] = (32, 24), **options: object) -> bytes:
    """A picture of one colour."""
    content = io.BytesIO()
    Image.new("RGB", size, color).save(content, "JPEG", **options)
    return content.getvalue()


def headers(
    kind: str = f"multipart/x-mixed-replace; boundary={BOUNDARY}", extra: str = ""
) -> bytes:
    """The beginning of an answer."""
    return f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n{extra}\r\n".encode()


def part(picture: bytes, length: int | None = -1, boundary: str = BOUNDARY) -> bytes:
    """One part: ``length`` is announced; -1 for the true one, None for none."""
    length = len(picture) if length == -1 else length
    announced = "" if length is None else f"Content-Length: {length}\r\n"
    head = f"--{boundary}\r\nContent-Type: image/jpeg\r\n{announced}\r\n"
    return head.encode() + picture + b"\r\n"


def wait_for(condition: Callable[[], object], what: str = "") -> None:
    """Wait until something holds."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, f"waited in vain for {what or condition}"
        time.sleep(0.005)


class Visitor:
    """Who has connected, as the camera sees it."""

    def __init__(self, connection: socket.socket, gone: threading.Event) -> None:
        self._connection, self._gone = connection, gone
        self.request = ""

    def listen(self) -> bool:
        """Read a request; False where none comes."""
        found = b""
        while b"\r\n\r\n" not in found:
            data = self._connection.recv(4096)
            if not data:
                return False
            found += data
        self.request = found.decode("latin-1")
        return True

    def header(self, name: str) -> str | None:
        """A header of the request."""
        for line in self.request.splitlines()[1:]:
            if line.lower().startswith(f"{name.lower()}:"):
                return line.partition(":")[2].strip()
        return None

    def send(self, data: bytes) -> None:
        """Send all of it."""
        self._connection.sendall(data)

    def stay(self) -> None:
        """Keep the connection, and send nothing more."""
        self._gone.wait()

    def drip(self, data: bytes, every: float) -> None:
        """Send byte after byte."""
        for place in range(len(data)):
            self.send(data[place : place + 1])
            if self._gone.wait(every):
                return

    def reset(self) -> None:
        """Cut the connection with a reset, not an end."""
        linger = struct.pack("ii", 1, 0)
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)

    def stream(self, *pictures: bytes, period: float = 0.01) -> None:
        """Behave well: send pictures round and round."""
        self.send(headers())
        while not self._gone.is_set():
            for picture in pictures:
                self.send(part(picture))
                if self._gone.wait(period):
                    return


Behaviour = Callable[[Visitor], None]


class BadCamera:
    """Behaves to its first visitor by the first behaviour, and so on; the last one stays."""

    def __init__(self, *behaviours: Behaviour, port: int = 0) -> None:
        self.behaviours = list(behaviours)
        self.requests: list[str] = []
        self._gone = threading.Event()
        self._listening = socket.create_server(("127.0.0.1", port))
        self.port = self._listening.getsockname()[1]
        self._connections: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def __enter__(self) -> BadCamera:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}/video"

    def close(self) -> None:
        """Be gone for good: whoever comes is refused."""
        self._gone.set()
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for connection in self._connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(PATIENCE)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            self._connections = [c for c in self._connections if c.fileno() >= 0]
            self._threads = [t for t in self._threads if t.is_alive()]
            self._connections.append(connection)
            behaviour = self.behaviours[0]
            if len(self.behaviours) > 1:
                del self.behaviours[0]
            thread = threading.Thread(target=self._serve, args=(connection, behaviour), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket, behaviour: Behaviour) -> None:
        with connection, contextlib.suppress(OSError):
            visitor = Visitor(connection, self._gone)
            if visitor.listen():
                self.requests.append(visitor.request)
                behaviour(visitor)


def free_port() -> int:
    """A port at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])
