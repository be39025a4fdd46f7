"""Hands pictures and facts to everyone who looks; lives on the server's thread."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter, deque
from collections.abc import AsyncGenerator, Callable
from typing import TYPE_CHECKING, Any

from ...web.live import News
from .facts import happening, state

if TYPE_CHECKING:
    from ..results import Event
    from ..status import Status

#: Who may look at once.
MAX_VIEWERS = 32

#: Lines of the history.
HISTORY = 50

#: Between the parts of a picture stream (RFC 2046).
BOUNDARY = "edge-classify-frame"

#: Seconds after which the same picture is sent again: proxies close what is silent.
_AGAIN = 5.0

#: Seconds between two messages of what is so.
_STATE = 0.25


class Hub:
    """Who looks at what, and the newest of it.

    Attributes:
        wanted: Which pictures somebody looks at, without or with the heat map; read by any thread.
        heatmaps: Whether somebody wants heat maps; read by any thread.
    """

    def __init__(self, status: Status, on_wanted: Callable[[frozenset[bool]], None]) -> None:
        """Begin with nobody.

        Args:
            status: What the run counts.
            on_wanted: Told when it changes which pictures are wanted.
        """
        self._status, self._on_wanted = status, on_wanted
        self.wanted: frozenset[bool] = frozenset()
        self._pictures: dict[bool, bytes] = {}
        self._history: deque[tuple[int, dict[str, Any]]] = deque(maxlen=HISTORY)
        self._happened = 0
        self._source: dict[str, Any] | None = None
        self._source_at = 0.0
        self._looking: Counter[bool] = Counter()
        self._named: Counter[str] = Counter()
        self._listening = 0
        self._closed = False
        self._news = News()
        self._said, self._said_until = "", float("-inf")

    # Fed from the output's thread, through the server's.

    def show(self, pictures: dict[bool, bytes]) -> None:
        """New pictures; kept only while somebody looks at them."""
        self._pictures = {key: jpeg for key, jpeg in pictures.items() if self._looking[key]}
        self._news.tell()

    def tell(self, event: Event) -> None:
        """Something happened."""
        if event.kind == "source":
            self._source, self._source_at = event.data, time.monotonic()
        self._happened += 1
        line, place = happening(event), self._happened
        if event.kind == "source" and self._history:
            # Of a source that is lost for a night, one line: labels are what people look for.
            before = self._history[-1][1]
            if (before["kind"], before["state"]) == ("source", line["state"]):
                place = before["place"]
                self._history.pop()
        self._history.append((self._happened, line | {"place": place}))
        self._news.tell()

    def close(self) -> None:
        """Everybody is told that it is over."""
        self._closed = True
        self._news.tell()

    # Asked by the server.

    def look(self, heatmap: bool, name: str) -> bool:
        """Somebody wants pictures; false where too many do. See :meth:`look_away`."""
        if self._closed or self._looking.total() >= MAX_VIEWERS:
            return False
        self._looking[heatmap] += 1
        self._named[name] += 1
        self._update()
        return True

    def look_away(self, heatmap: bool, name: str) -> None:
        """They do no more."""
        self._looking[heatmap] -= 1
        self._named[name] -= 1
        self._named = +self._named
        self._update()

    def listen(self) -> bool:
        """Somebody wants facts; false where too many do. See :meth:`listen_away`."""
        if self._closed or self._listening >= MAX_VIEWERS:
            return False
        self._listening += 1
        return True

    def listen_away(self) -> None:
        """They do no more."""
        self._listening -= 1

    async def picture(self, heatmap: bool, seconds: float) -> bytes | None:
        """One picture, as JPEG; None if none comes in time. Between look and look_away."""
        end = time.monotonic() + seconds
        while not self._closed and heatmap not in self._pictures:
            left = end - time.monotonic()
            if left <= 0:
                break
            await self._news.wait(left)
        return self._pictures.get(heatmap)

    async def stream(self, heatmap: bool) -> AsyncGenerator[bytes, None]:
        """Parts of ``multipart/x-mixed-replace``, always the newest. Between look and look_away.

        The boundary follows each picture at once: browsers show a picture when they have seen it.
        """
        yield f"--{BOUNDARY}\r\n".encode()
        shown: bytes | None = None
        while not self._closed:
            if self._pictures.get(heatmap) in (None, shown):
                await self._change(heatmap, shown)
            jpeg = self._pictures.get(
                heatmap
            )  # the same one again when there was no other for long
            if jpeg is None or self._closed:
                continue
            shown = jpeg
            head = f"Content-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n".encode()
            yield head + jpeg + f"\r\n--{BOUNDARY}\r\n".encode()

    async def facts(self, name: str) -> AsyncGenerator[bytes, None]:
        """Server-sent events (WHATWG HTML, 9.2) of what is so and what happened.

        ``history`` comes first, a list; then ``happened`` for each new line of it (which takes the
        place of the one before if that has the same ``place``), ``state`` four times a second, and ``picture`` when it changes whether that viewer's pictures are on their
        way.

        Args:
            name: The viewer's, as its picture stream has it.
        """
        yield b"retry: 2000\n\n"
        yield _message("history", json.dumps([line for _, line in self._history]))
        told, seen = self._happened, None
        while not self._closed:
            for number, line in list(self._history):
                if number > told:
                    yield _message("happened", json.dumps(line))
            told = self._happened
            sees = self._named[name] > 0
            if sees is not seen:
                seen = sees
                yield _message("picture", json.dumps(seen))
            yield _message("state", self.state())
            await asyncio.sleep(_STATE)

    def state(self) -> str:
        """What is so, as JSON; made once for all who ask at the same time."""
        now = time.monotonic()
        if now >= self._said_until:
            viewers = max(self._looking.total(), self._listening)
            now_so = state(self._status.snapshot(), viewers, self._source, now - self._source_at)
            self._said = json.dumps(now_so)
            self._said_until = now + _STATE * 0.8
        return self._said

    async def _change(self, heatmap: bool, shown: bytes | None) -> None:
        """Wait for another picture, but not for so long that the connection seems dead."""
        end = time.monotonic() + _AGAIN
        while not self._closed and self._pictures.get(heatmap) in (None, shown):
            left = end - time.monotonic()
            if left <= 0:
                return
            await self._news.wait(left)

    def _update(self) -> None:
        self._looking = +self._looking
        wanted = frozenset(self._looking)
        self._pictures = {key: jpeg for key, jpeg in self._pictures.items() if key in wanted}
        if wanted != self.wanted:
            self.wanted = wanted
            self._on_wanted(wanted)


def _message(kind: str, data: str) -> bytes:
    """JSON has no line breaks, so that one line of data holds it."""
    return f"event: {kind}\ndata: {data}\n\n".encode()
