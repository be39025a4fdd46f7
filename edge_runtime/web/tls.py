"""HTTPS: the settings, and handshakes that count as the connections they may become."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import Any


def server_context(cert: str, key: str) -> ssl.SSLContext:
    """TLS as this Python thinks it safe, whatever the default of uvicorn's release is.

    Args:
        cert: File of the certificate chain, PEM.
        key: File of its private key, without a password.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert, key, password="")
    return context


class Handshakes:
    """Accepted connections until TLS stands; one more than may be is closed without an answer.

    asyncio tells a protocol of a connection after its handshake only, so that those that never
    shake hands would be in no count.
    """

    def __init__(
        self, context: ssl.SSLContext, most: int, seconds: float, established: Callable[[], int]
    ) -> None:
        """Nobody is there yet.

        Args:
            context: Settings.
            most: Connections at once, handshakes included.
            seconds: In which a handshake has to be done.
            established: How many connections there are behind their handshakes.
        """
        self.context, self.seconds = context, seconds
        self._most, self._established = most, established
        self._under_way: set[_Handshake] = set()

    def protocol(self, made: Callable[[], asyncio.Protocol]) -> asyncio.Protocol:
        """What a connection gets first; ``made`` gives what it gets after its handshake."""
        return _Handshake(self, made)

    def enter(self, one: _Handshake) -> bool:
        """Count one more; False where there are too many."""
        if len(self._under_way) + self._established() >= self._most:
            return False
        self._under_way.add(one)
        return True

    def leave(self, one: _Handshake) -> None:
        """Count it no longer."""
        self._under_way.discard(one)

    def abort(self) -> None:
        """End them all."""
        for one in list(self._under_way):
            one.abort()


class _Handshake(asyncio.Protocol):
    """One connection; what arrives behind the handshake in the same packet waits here."""

    def __init__(self, all_of_them: Handshakes, made: Callable[[], asyncio.Protocol]) -> None:
        self._all, self._made = all_of_them, made
        self._early: list[bytes] = []
        self._ended = self._lost = False
        self._transport: asyncio.Transport | None = None
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport
        if not self._all.enter(self):
            transport.abort()
            return
        transport.pause_reading()  # the first bytes are the handshake's
        self._task = asyncio.get_running_loop().create_task(self._shake(transport))

    def data_received(self, data: bytes) -> None:
        self._early.append(data)

    def eof_received(self) -> None:
        self._ended = True

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    async def _shake(self, plain: asyncio.Transport) -> None:
        loop, shared = asyncio.get_running_loop(), self._all
        try:
            transport: Any = await loop.start_tls(
                plain, self, shared.context, server_side=True, ssl_handshake_timeout=shared.seconds
            )
        except OSError:  # no TLS, too slow, gone: ssl.SSLError is one, too
            plain.abort()
            return
        finally:
            shared.leave(self)
        if transport is None or self._lost or plain.is_closing():
            return
        protocol = self._made()
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        for data in self._early:
            protocol.data_received(data)
        if self._ended:
            protocol.eof_received()
