"""What the tests of MJPEG over HTTP share."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest
from bad_camera import Visitor, wait_for

from edge_runtime.sources import http
from edge_runtime.sources.base import (
    Grabbed,
    SourceLost,
    SourceSettings,
)
from edge_runtime.sources.grammar import parse_source
from edge_runtime.sources.http import HttpReader, open_reader

#: Seconds that a read may take where it is expected to succeed, on a busy machine.
LONG = 60.0


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asking takes no longer than a test says."""
    monkeypatch.setattr(http, "_ASKING", 0.0)


def reader_of(url: str, stall_after: float = LONG, fps: float | None = None) -> HttpReader:
    """A reader, as the feed opens it."""
    return open_reader(parse_source(url), SourceSettings(stall_after=stall_after, fps=fps))


def data(grabbed: Grabbed | None) -> bytes:
    """The encoded picture."""
    assert grabbed is not None
    content = grabbed.data()
    assert isinstance(content, bytes)
    return content


def slowly(*pieces: bytes) -> Callable[[Visitor], None]:
    """Send pieces with a pause between them, so that each arrives alone, then stay."""

    def behave(visitor: Visitor) -> None:
        for piece in pieces:
            visitor.send(piece)
            time.sleep(0.05)
        visitor.stay()

    return behave


def answers(code: str, extra: str = "", body: str = "no") -> Callable[[Visitor], None]:
    """Any other answer."""
    text = f"HTTP/1.1 {code}\r\nContent-Length: {len(body)}\r\n{extra}\r\n{body}"
    return lambda visitor: visitor.send(text.encode())


def ends_when_closed(reader: HttpReader) -> None:
    """A read under way on another thread ends with SourceLost when the reader is closed."""
    seen: list[BaseException] = []

    def work() -> None:
        try:
            while True:
                reader.read(LONG)
        except BaseException as error:
            seen.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    wait_for(reader._using.locked, "the read")
    reader.close()
    reader.close()
    thread.join(LONG)
    assert not thread.is_alive() and isinstance(seen[0], SourceLost)
    assert reader._asker.wire._socket is None
    with pytest.raises(SourceLost):
        reader.read(LONG)
