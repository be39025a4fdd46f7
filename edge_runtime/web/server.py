"""Uvicorn on a thread of its own, beside whatever the program does; stopped without a trace."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import uvicorn

from ..errors import EdgeError, first_line
from .asgi import App
from .protocol import Limits, limited_protocol

if TYPE_CHECKING:
    from .tls import Handshakes

_log = logging.getLogger("edge_runtime")

#: Seconds until a server that has its socket has to be up.
_START = 30.0

#: Seconds between looks at whether the answers under way have ended.
_TICK = 0.02


class WebServer:
    """Serves an application from a thread.

    Requests are not logged anywhere: their addresses may hold a token.
    """

    def __init__(
        self,
        app: App,
        listener: socket.socket,
        limits: Limits | None = None,
        on_stop: Callable[[], None] | None = None,
        name: str = "web",
        tls: tuple[str, str] | None = None,
    ) -> None:
        """Prepare; nothing runs yet.

        Args:
            app: The application, guards included.
            listener: A listening socket, which is the server's from now on.
            limits: What it puts up with.
            on_stop: Called on the server's thread when it is about to stop: ends the answers that
                do not end by themselves.
            name: Of the thread.
            tls: Files of the certificate chain and of its key, for HTTPS.
        """
        self._tls = tls
        self._limits = limits or Limits()
        self._app, self._listener, self._on_stop = app, listener, on_stop
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._server: _Server | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Serve from now on.

        Raises:
            EdgeError: It did not come up.
        """
        self._thread.start()
        up = self._ready.wait(_START)
        if self._failure is not None or not up or not self._thread.is_alive():
            reason = "no answer" if self._failure is None else first_line_of(self._failure)
            self.stop()
            raise EdgeError(f"the web server did not start: {reason}.")

    def call(self, function: Callable[..., None], *arguments: Any) -> None:
        """Have a function called on the server's thread; nothing once it has stopped."""
        loop = self._loop
        try:
            if loop is not None:
                loop.call_soon_threadsafe(function, *arguments)
        except RuntimeError:  # closed between the look and the call
            return

    def stop(self, timeout: float = 5.0) -> bool:
        """Close every connection and the socket; safe to call twice.

        Args:
            timeout: Seconds to wait for the thread.

        Returns:
            Whether it has ended.
        """
        if self._server is not None:
            self._server.should_exit = True
        if self._thread.ident is not None:
            self._thread.join(timeout)
        self._listener.close()
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # told by start()
            self._failure = error
        finally:
            self._loop = None
            self._ready.set()

    async def _serve(self) -> None:
        _hush()
        config = uvicorn.Config(
            self._app,
            http=limited_protocol(self._limits),
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=10,
            timeout_graceful_shutdown=1,
            h11_max_incomplete_event_size=self._limits.header_bytes,
        )
        self._server = _Server(config, self._ready, self._limits.grace_s, self._on_stop)
        self._loop = asyncio.get_running_loop()
        if self._tls is not None:
            self._shake_hands(self._tls, self._server, self._loop)
        await self._server.serve(sockets=[self._listener])

    def _shake_hands(
        self, files: tuple[str, str], server: _Server, loop: asyncio.AbstractEventLoop
    ) -> None:
        """Put TLS between the listener and uvicorn, which is told nothing of it."""
        from .tls import Handshakes, server_context

        server.handshakes = shakes = Handshakes(
            server_context(*files),
            self._limits.connections,
            self._limits.request_s,
            lambda: len(server.server_state.connections),
        )
        create: Any = loop.create_server

        async def create_server(made: Any, **more: Any) -> Any:
            return await create(lambda: shakes.protocol(made), **more)

        loop.create_server = create_server  # type: ignore[method-assign,assignment]


class _Server(uvicorn.Server):
    """Says when it is up, and leaves no connection behind.

    Attributes:
        handshakes: Those under way; None without TLS.
    """

    handshakes: Handshakes | None = None

    def __init__(
        self,
        config: uvicorn.Config,
        ready: threading.Event,
        grace: float,
        on_stop: Callable[[], None] | None,
    ) -> None:
        super().__init__(config)
        self._ready, self._grace, self._on_stop = ready, grace, on_stop

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        if self.handshakes is not None:
            self.handshakes.abort()
        if self._on_stop is not None:
            self._on_stop()
        for connection in list(self.server_state.connections):
            connection.shutdown()  # closes what is idle, and the others after their answer
        end = asyncio.get_running_loop().time() + self._grace
        while self.server_state.connections and asyncio.get_running_loop().time() < end:
            await asyncio.sleep(_TICK)
        for connection in list(self.server_state.connections):
            transport: Any = connection.transport
            transport.abort()  # a client that does not read would hold it for ever
        await super().shutdown(sockets)


class _Forward(logging.Handler):
    """What uvicorn says, under our name; of what clients do wrong nothing but with --verbose."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno < logging.ERROR:
            return
        error = record.exc_info[1] if record.exc_info else None
        reason = f": {first_line_of(error)}" if error is not None else ""
        _log.warning("web server: %s%s", record.getMessage().strip().rstrip(":"), reason)


def first_line_of(error: BaseException) -> str:
    """An error in one line, with its type."""
    said = first_line(error) if isinstance(error, Exception) else ""
    name = type(error).__name__
    return name if said in ("", name) else f"{name}: {said}"


def _hush() -> None:
    """Once a process: uvicorn's messages would reach stderr by Python's last resort."""
    logger = logging.getLogger("uvicorn")
    if not any(isinstance(handler, _Forward) for handler in logger.handlers):
        logger.handlers = [_Forward()]
        logger.propagate = False
