"""What the tests of streams share: sources that tests control, a colourful video, a slow model."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from color_model import COLORS

from edge_runtime.sources.base import Grabbed, Reader, SourceLost, SourceStalled
from edge_runtime.stream.outputs.base import Output
from edge_runtime.stream.results import Event, FrameResult

ORDER = ["red", "green", "blue"]

#: Seconds after which a test gives up to wait for what comes in milliseconds on an idle machine.
LONG = 60.0


def write_video(file: Path, each: int = 10) -> Path:
    """``each`` frames of red, then green, then blue, 25 a second."""
    import cv2

    writer = cv2.VideoWriter(str(file), cv2.VideoWriter_fourcc(*"MJPG"), 25, (64, 48))
    for name in ORDER:
        for _ in range(each):
            writer.write(np.full((48, 64, 3), COLORS[name][::-1], np.uint8))
    writer.release()
    return file


def wait_for(condition: Callable[[], object], what: str = "the condition") -> None:
    """Wait until something is so."""
    end = time.monotonic() + LONG
    while not condition():
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.005)


class Scripted:
    """A live source that gives what a generator yields: colours, or exceptions to be raised."""

    fps: float | None = None

    def __init__(self, script: Iterator[str | Exception]) -> None:
        self._script, self._closed = script, threading.Event()

    def read(self, timeout: float) -> Grabbed | None:
        try:
            step = next(self._script)
        except StopIteration:
            self._closed.wait(timeout)
            if self._closed.is_set():
                raise SourceLost("closed.") from None
            raise SourceStalled(f"no frame for {timeout:g} s.") from None
        if isinstance(step, Exception):
            raise step
        pixels = np.full((8, 8, 3), COLORS[step], np.uint8)
        return Grabbed(time.monotonic(), lambda: pixels)

    def close(self) -> None:
        self._closed.set()


def as_reader(script: Iterator[str | Exception]) -> Reader:
    """For the place of ``open_reader``."""
    return Scripted(script)


class Notes(Output):
    """Keeps what it is told."""

    name = "notes"
    lossless = True
    capacity = 1000

    def __init__(self) -> None:
        self.results: list[FrameResult] = []
        self.events: list[Event] = []
        self.closed = False

    def result(self, result: FrameResult) -> None:
        self.results.append(result)

    def event(self, event: Event) -> None:
        self.events.append(event)

    def close(self) -> None:
        self.closed = True

    def kinds(self) -> list[str]:
        return [event.kind for event in self.events]
