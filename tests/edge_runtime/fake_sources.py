"""Sources that do as they are told, in place of the real ones."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest

from edge_runtime.pipeline import Decoded
from edge_runtime.sources.base import (
    Frame,
    Grabbed,
    Reader,
    Source,
    SourceLost,
    SourceSettings,
    SourceStalled,
)
from edge_runtime.stream import keeping
from edge_runtime.stream.feed import Feed
from edge_runtime.stream.losses import Patience
from edge_runtime.stream.results import Event
from edge_runtime.stream.status import Status

LIVE = Source("pattern", "", "camera", live=True)
FILE = Source("pattern", "", "file", live=False)

#: Waits of a feed, short enough for a test; nothing counts as hung on a busy machine.
CALM = Patience(first_wait=0.01, longest_wait=0.05, well_after=0.2, opening=60, grace=60, closing=1)

#: The same, of which what hangs is found soon.
HASTY = replace(CALM, opening=0.3, grace=0.2)

#: What a reader does at one ``read``: gives, or raises.
Act = Callable[["FakeReader", float], "Grabbed | None"]


def picture(value: int = 0, size: tuple[int, int] = (8, 8)) -> np.ndarray:
    """A grey picture, uint8 (h, w, 3)."""
    return np.full((*size, 3), value, np.uint8)


def give(value: int = 0, index: int | None = None, seconds: float | None = None) -> Act:
    """A frame at once."""
    return lambda *_: Grabbed(time.monotonic(), lambda: picture(value), index, seconds)


def fail(error: Exception) -> Act:
    """An error."""

    def act(*_: object) -> Grabbed:
        raise error

    return act


def stall(reader: FakeReader, timeout: float) -> Grabbed:
    """No frame in time, as the reader says; it does not take all of the time that it has."""
    if reader.closing.wait(min(timeout, 0.05)):
        raise SourceLost("closed.")
    raise SourceStalled(f"no frame for {timeout:g} s.")


def tick(period: float = 0.01) -> Iterator[Act]:
    """Frames without end, one a period."""

    def act(reader: FakeReader, _: float) -> Grabbed:
        if reader.closing.wait(period):
            raise SourceLost("closed.")
        return Grabbed(time.monotonic(), picture)

    while True:
        yield act


class FakeReader:
    """Acts one after the other; without one, stalls."""

    def __init__(self, acts: Iterator[Act], fps: float | None = None) -> None:
        self.fps = fps
        self.acts = acts
        self.closing = threading.Event()
        self.closed = 0

    def read(self, timeout: float) -> Grabbed | None:
        return next(self.acts, stall)(self, timeout)

    def close(self) -> None:
        self.closed += 1
        self.closing.set()


class Bench:
    """A feed on fake readers, and all that it tells."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        self.events: list[Event] = []
        self.status = Status("camera", "model")
        self.opened: list[FakeReader] = []
        self.prepared: list[int] = []
        self.hold = threading.Event()
        self.hold.set()

    def feed(
        self,
        openings: list[Callable[[], Reader]],
        source: Source = LIVE,
        settings: SourceSettings | None = None,
        patience: Patience = CALM,
        **options: float | None,
    ) -> Feed:
        """Begin; the last opening is used for all that follow."""

        def open_reader(_: Source, __: SourceSettings) -> Reader:
            opening = openings[0] if len(openings) == 1 else openings.pop(0)
            reader = opening()
            if isinstance(reader, FakeReader):
                self.opened.append(reader)
            return reader

        self._monkeypatch.setattr(keeping, "open_reader", open_reader)
        return Feed(
            source,
            settings or SourceSettings(stall_after=20.0),
            self._prepare,
            self.status,
            self._notify,
            patience=patience,
            **options,  # type: ignore[arg-type]
        )

    def told(self, state: str) -> list[dict[str, object]]:
        """What was told of one state of the source."""
        return [event.data for event in self.events if event.data["state"] == state]

    def count(self, name: str) -> int:
        """A counter."""
        return int(self.status.snapshot().get(name, 0))

    def _prepare(self, frame: Frame) -> Decoded:
        self.hold.wait()
        self.prepared.append(frame.number)
        return Decoded("", frame.pixels, 0.0)

    def _notify(self, event: Event) -> None:
        self.status.event(event)
        self.events.append(event)


def opens(*acts: Act, fps: float | None = None) -> Callable[[], FakeReader]:
    """A source that opens, and then acts."""
    return lambda: FakeReader(iter(acts), fps)


def ticks(period: float = 0.01) -> Callable[[], FakeReader]:
    """A source that opens, and is well."""
    return lambda: FakeReader(tick(period))


def refuses(error: Exception) -> Callable[[], Reader]:
    """A source that does not open."""

    def opening() -> Reader:
        raise error

    return opening
