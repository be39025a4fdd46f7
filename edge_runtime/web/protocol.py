"""Connections that are cut off when they are too slow, or too many. Uvicorn's on h11."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

#: Seconds between looks at a connection.
_LOOK = 1.0


def _refusal(status: str, detail: str, headers: str = "") -> bytes:
    """An answer in front of any application, as problem details (RFC 9457)."""
    number, _, title = status.partition(" ")
    body = f'{{"type":"about:blank","title":"{title}","status":{number},"detail":"{detail}"}}'
    return (
        f"HTTP/1.1 {status}\r\n{headers}content-type: application/problem+json\r\n"
        "x-content-type-options: nosniff\r\ncache-control: no-store\r\n"
        f"content-length: {len(body)}\r\nconnection: close\r\n\r\n{body}"
    ).encode()


_BUSY = _refusal("503 Service Unavailable", "Too many connections.", "retry-after: 5\r\n")
_INVALID = _refusal("400 Bad Request", "This is no HTTP request that can be read.")


@dataclass(frozen=True)
class Limits:
    """What one server puts up with.

    Attributes:
        connections: At once; one more gets 503.
        request_s: Seconds in which a request has to be there, body included; also how long an idle
            connection is kept.
        stall_s: Seconds in which a client that is being sent something has to take some of it.
        grace_s: Seconds that answers under way have when the server is stopped.
        header_bytes: Of a request's line and headers.
        body_s: Seconds in which its body has to be there, once its headers are; None for
            ``request_s``, for both together.
    """

    connections: int = 128
    request_s: float = 10.0
    stall_s: float = 10.0
    grace_s: float = 0.5
    header_bytes: int = 16384
    body_s: float | None = None


def limited_protocol(limits: Limits) -> type[asyncio.Protocol]:
    """A class for uvicorn's ``http`` that keeps to limits.

    uvicorn itself waits without end for a request that trickles in, and for a client that does
    not read.
    """

    class LimitedProtocol(H11Protocol):
        _look: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            if len(self.connections) > limits.connections:
                transport.write(_BUSY)
                transport.close()
            self._moved, self._left, self._was_busy = self.loop.time(), 0, False
            self._began, self._uploads = False, False
            self._look = self.loop.call_later(min(_LOOK, limits.stall_s), self._watch)

        def connection_lost(self, exc: Exception | None) -> None:
            if self._look is not None:
                self._look.cancel()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            if not self._began:  # the first bytes of a request: the time before was nobody's
                self._began, self._moved = True, self.loop.time()
            super().data_received(data)

        def send_400_response(self, msg: str) -> None:
            self.transport.write(_INVALID)
            self.transport.close()

        def on_response_complete(self) -> None:
            self._began, self._moved = False, self.loop.time()
            super().on_response_complete()

        def resume_writing(self) -> None:
            self._moved = self.loop.time()
            super().resume_writing()

        def _watch(self) -> None:
            now, left = self.loop.time(), self.transport.get_write_buffer_size()
            cycle: Any = self.cycle
            busy = cycle is not None and not cycle.response_complete and not cycle.more_body
            if left != self._left or (busy and not left) or busy != self._was_busy:
                self._moved = now
            uploads = cycle is not None and not cycle.response_complete and cycle.more_body
            if uploads and not self._uploads and limits.body_s is not None:
                self._moved = now
            self._left, self._was_busy, self._uploads = left, busy, uploads
            body_s = limits.request_s if limits.body_s is None or not uploads else limits.body_s
            if now - self._moved >= (limits.stall_s if left else body_s):
                self.transport.abort()  # closing would wait for what the client does not take
                return
            self._look = self.loop.call_later(min(_LOOK, limits.stall_s), self._watch)

    return LimitedProtocol
