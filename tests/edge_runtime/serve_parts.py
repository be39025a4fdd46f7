"""A server that runs, and photos and sockets, for its tests."""

from __future__ import annotations

import contextlib
import functools
import io
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
from PIL import Image

from edge_runtime import Classifier
from edge_runtime.serving.app import Access
from edge_runtime.serving.service import Server
from edge_runtime.serving.settings import ServeSettings
from edge_runtime.web.address import Address, listen, resolve

#: Seconds for what takes milliseconds on an idle machine.
PATIENCE = 60.0

TOKEN = "correct-horse-battery-staple"


class Running:
    """A server with a client."""

    def __init__(self, server: Server, port: int, scheme: str) -> None:
        self.server, self.port = server, port
        self.url = f"{scheme}://127.0.0.1:{port}"
        self.http = httpx.Client(base_url=self.url, timeout=PATIENCE, verify=False)

    def classify(self, *photos: tuple[str, bytes], **more: Any) -> httpx.Response:
        """Send photos as a form."""
        files = [("photo", (name, content)) for name, content in photos]
        return self.http.post("/v1/classify", files=files, **more)

    def metric(self, sample: str) -> float:
        """A number of the page of metrics."""
        for line in self.http.get("/metrics").text.splitlines():
            name, _, value = line.rpartition(" ")
            if name == f"edge_classify_{sample}":
                return float(value)
        return 0.0


@contextlib.contextmanager
def serving(
    paths: dict[str, Path],
    settings: ServeSettings | None = None,
    access: Access | None = None,
    tls: tuple[str, str] | None = None,
    watch: float | None = None,
) -> Iterator[Running]:
    """Models on a port of their own; stopped as the command stops."""
    listener = listen(resolve(Address("127.0.0.1", 0), "--host"), "--host")
    openers = {
        name: (str(path), functools.partial(Classifier.open, path, threads=1))
        for name, path in paths.items()
    }
    server = Server(openers, listener, settings, access, tls, watch)
    running = Running(server, listener.getsockname()[1], "https" if tls else "http")
    try:
        yield running
    finally:
        running.http.close()
        assert server.close()


class SlowClassifier:
    """Holds every inference of a server's first model until it is let go."""

    def __init__(self, running: Running) -> None:
        self.classifier = running.server.models[0].classifier
        self.go, self.entered = threading.Event(), threading.Event()
        self._answer = self.classifier.answer
        self.sizes: list[int] = []
        self.classifier.answer = self._held  # type: ignore[method-assign]

    def _held(self, group: Any, *more: Any) -> Any:
        self.entered.set()
        assert self.go.wait(PATIENCE)
        self.sizes.append(len(group))
        return self._answer(group, *more)


def picture(color: tuple[int, int, int] = (255, 0, 0), kind: str = "PNG") -> bytes:
    """A photo of one colour."""
    file = io.BytesIO()
    Image.new("RGB", (48, 40), color).save(file, kind)
    return file.getvalue()


def until(condition: Callable[[], Any]) -> None:
    """Wait for something that is about to be so."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def talk(port: int, *pieces: bytes, shut: bool = False) -> bytes:
    """Send bytes as they are, and read until the server closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as client:
        for piece in pieces:
            client.sendall(piece)
        if shut:
            client.shutdown(socket.SHUT_WR)
        found = b""
        with contextlib.suppress(ConnectionResetError):
            while data := client.recv(65536):
                found += data
    return found
