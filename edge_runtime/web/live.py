"""Answers that do not end by themselves, and how many of them there may be."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable

from starlette.responses import Response

from .asgi import Receive, Scope, Send, gone


class News:
    """Wakes everyone who waits; for one event loop."""

    def __init__(self) -> None:
        """Nobody waits yet."""
        self._event = asyncio.Event()

    def tell(self) -> None:
        """Wake those who wait now."""
        event, self._event = self._event, asyncio.Event()
        event.set()

    async def wait(self, seconds: float) -> None:
        """Until something is told, or the time has passed."""
        # asyncio.wait_for would leave a waiter behind on Python 3.10 when it is cancelled late.
        waiter = asyncio.ensure_future(self._event.wait())
        try:
            await asyncio.wait({waiter}, timeout=seconds)
        finally:
            waiter.cancel()


class LiveResponse(Response):
    """A stream without end; whatever ends it, ``on_end`` is called once."""

    def __init__(
        self, chunks: AsyncGenerator[bytes, None], media_type: str, on_end: Callable[[], None]
    ) -> None:
        """Wrap what is sent.

        Args:
            chunks: Each is asked for when the client has taken most of the one before, so that a
                slow client gets the newest, and no more than one and 64 kB wait for it here.
            media_type: Of HTTP.
            on_end: Lets go of what the client held.
        """
        # Buffering proxies would hold pictures back (nginx).
        super().__init__(headers={"x-accel-buffering": "no"}, media_type=media_type)
        del self.headers["content-length"]
        self._chunks, self._on_end = chunks, on_end

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the client is gone, cut off, or the stream ends."""
        sender = asyncio.ensure_future(self._send_all(send))
        watcher = asyncio.ensure_future(gone(receive))
        try:
            await asyncio.wait({sender, watcher}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (sender, watcher):
                task.cancel()
            await asyncio.gather(sender, watcher, return_exceptions=True)
            await self._chunks.aclose()
            self._on_end()
        if not sender.cancelled():
            sender.result()

    async def _send_all(self, send: Send) -> None:
        start = {"type": "http.response.start", "status": self.status_code}
        await send(start | {"headers": self.raw_headers})
        body = {"type": "http.response.body", "more_body": True}
        async for chunk in self._chunks:
            await send(body | {"body": chunk})
            await send(body | {"body": b""})  # sends nothing; waits until the client has taken most
        await send(body | {"body": b"", "more_body": False})
