"""``--metrics``: what the stream counts, for Prometheus to fetch from ``/metrics``.

A few connections at once, each with a limit of time; who comes when all are taken is turned away.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import socketserver
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import Any

from ...web.address import Address, host_of, is_loopback, listen, parse_address, resolve, url_of
from ..status import Status
from .base import Output
from .metrics_text import exposition

_log = logging.getLogger("edge_runtime")

#: What the option stands for where it names a part only.
_DEFAULT = Address("127.0.0.1", 8091)

_OPTION = "--metrics"

#: Connections at once, and seconds that one may last.
_CONNECTIONS, _SECONDS = 8, 10.0

#: Seconds between looks at connections that last too long.
_POLL = 0.25


class Metrics(Output):
    """Serves a page."""

    name = "metrics"
    wants_pictures = False
    wants_results = False

    def __init__(
        self,
        address: str,
        status: Status,
        connections: int = _CONNECTIONS,
        seconds: float = _SECONDS,
    ) -> None:
        """Listen, and serve on threads of its own.

        Args:
            address: ``PORT`` or ``HOST:PORT``; the host is 127.0.0.1 unless it is named.
            status: What is served.
            connections: How many at once.
            seconds: How long each.

        Raises:
            UsageError: No such address.
            SystemFailure: The port is taken, or not for this user.
        """
        resolved = resolve(parse_address(address, _DEFAULT, _OPTION), _OPTION)
        listener = listen(resolved, _OPTION)
        self.url = url_of(listener, resolved.address) + "metrics"
        self._server = _Server(
            listener,
            lambda: exposition(status.snapshot()),
            resolved.loopback,
            connections,
            seconds,
        )
        if not resolved.loopback:
            _log.warning("%s: everyone in the network can read %s.", _OPTION, self.url)
        _log.info("metrics at %s", self.url)
        threading.Thread(
            target=self._server.serve_forever, args=(_POLL,), name="metrics", daemon=True
        ).start()

    def close(self) -> None:
        """Listen no longer."""
        self._server.shutdown()
        self._server.server_close()


class _Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(
        self,
        listener: socket.socket,
        page: Callable[[], str],
        loopback: bool,
        connections: int,
        seconds: float,
    ) -> None:
        super().__init__(listener.getsockname()[:2], _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.page, self.loopback = page, loopback
        self._most, self._seconds = connections, seconds
        self._open: dict[socket.socket, float] = {}
        self._lock = threading.Lock()

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Turn away who comes when all connections are taken."""
        with self._lock:
            if len(self._open) >= self._most:
                return False
            self._open[request] = time.monotonic() + self._seconds
        return True

    def service_actions(self) -> None:
        """Cut connections that last too long; the reads of each have no limit in number."""
        now = time.monotonic()
        with self._lock:
            late = [request for request, end in self._open.items() if now > end]
        for request in late:
            with contextlib.suppress(OSError):
                request.shutdown(socket.SHUT_RDWR)

    def shutdown_request(self, request: Any) -> None:
        """Forget a connection, and close it."""
        with self._lock:
            self._open.pop(request, None)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no matter."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = _SECONDS
    server_version, sys_version = "edge-classify", ""

    def do_GET(self) -> None:
        """Answer with the page."""
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        """Answer with the head of the page."""
        self._answer(with_body=False)

    def _answer(self, with_body: bool) -> None:
        status, kind, text = 200, "text/plain; version=0.0.4; charset=utf-8", ""
        if self.server.loopback and not is_loopback(host_of(self.headers.get("Host", "localhost"))):
            # A page of the internet whose name was made to mean this machine (DNS rebinding).
            status, kind, text = 403, "text/plain; charset=utf-8", "Not this host.\n"
        elif self.path.partition("?")[0] == "/metrics":
            text = self.server.page()
        else:
            status, kind, text = 404, "text/plain; charset=utf-8", "See /metrics.\n"
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if with_body:
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: standard error is for what matters."""
