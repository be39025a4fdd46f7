"""The contract of an output, and the thread that keeps a slow one away from the loop."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable

from ...errors import EdgeError, first_line, system_failure
from ..results import Event, FrameResult
from ..status import Status

_log = logging.getLogger("edge_runtime")

#: Seconds that an output has at the end for what waits in its queue.
_FAREWELL = 5.0

#: Seconds between looks at whether the loop still has to wait for an output.
_POLL = 0.25

#: Seconds between two warnings of one output.
_QUIET = 30.0


class StopStream(Exception):
    """Raised by an output that ends the stream as a person would: its window was closed."""


class Output:
    """Told of results and events, from one thread of its own; override what is needed.

    What a method raises is counted and logged, now and then, and does not stop the stream, unless
    :attr:`vital`.

    Attributes:
        name: For messages and metrics, such as ``csv``.
        wants_results: Whether it is told of every frame, not only of events. May change.
        wants_pictures: Whether it looks at frames; else its queue holds results without pixels, so
            that a thousand of them fit into memory.
        wants_heatmaps: Whether results shall carry their ``explanation``. May change.
        capacity: What may wait in its queue; then the oldest is dropped and counted.
        lossless: Whether, with a source that is not live, the loop waits for it instead, and the
            stream ends when it fails: a recorded source can be run again.
        spared: Whether the loop does wait for it, but goes on when it fails.
        vital: Whether the stream ends when it fails: BrokenPipeError on standard output.
        skips: Whether leaving results out is its nature, as of a window; then that counts as no drop.
        farewell: Seconds that it needs at the end; fewer than what others have anyway are ignored.
        idle_after: Seconds without a message after which :meth:`idle` is called; None for never.
    """

    name = "output"
    wants_results = True
    wants_pictures = True
    wants_heatmaps = False
    capacity = 8
    lossless = False
    spared = False
    vital = False
    skips = False
    farewell = 0.0
    idle_after: float | None = None

    def result(self, result: FrameResult) -> None:
        """One frame was answered."""

    def event(self, event: Event) -> None:
        """Something happened."""

    def idle(self) -> None:
        """Nothing came for :attr:`idle_after` seconds."""

    def hurry(self) -> None:
        """The stream ends: wait for nothing any more; called from another thread, at once."""

    def close(self) -> None:
        """Finish what is written; called once, on the same thread, after the last message."""


class Listener(Output):
    """Hands events to a function."""

    name = "listener"
    wants_results = False

    def __init__(self, notify: Callable[[Event], None]) -> None:
        """Remember whom to tell."""
        self._notify = notify

    def event(self, event: Event) -> None:
        """Pass it on."""
        self._notify(event)


class Outlet:
    """The queue in front of an output, and its thread."""

    def __init__(self, output: Output, status: Status, live: bool = True) -> None:
        """Start the thread.

        Args:
            output: Used by that thread alone from now on, but for its attributes.
            status: Where drops and failures are counted.
            live: Whether the source is live; else ``lossless`` outputs hold the loop back.
        """
        self.output = output
        self.failure: Exception | None = None  #: that ends the stream; the loop raises it
        self.patient = True  #: whether the loop may wait for it; a plain attribute, for signals
        self._status, self._waits = status, output.lossless and not live
        self._ends = output.vital or (self._waits and not output.spared)
        self._listens = type(output).event is not Output.event
        self._queue: deque[FrameResult | Event] = deque()
        self._changed = threading.Condition()
        self._closing = False
        self._warned = {"drop": float("-inf"), "failure": float("-inf")}
        self._dropped = 0
        status.watch_queue(output.name, lambda: len(self._queue))
        self._thread = threading.Thread(target=self._work, name=f"out-{output.name}", daemon=True)
        self._thread.start()

    def result(self, result: FrameResult) -> None:
        """Queue a result; drops the oldest one if the output is too slow."""
        if self.output.wants_results:
            self._put(result)

    def event(self, event: Event) -> None:
        """Queue an event; results make room for it, where the output does anything with it."""
        if self._listens:
            self._put(event)

    def finish(self) -> None:
        """Have it end after what waits in its queue; at once, without waiting for that."""
        with self._changed:
            already, self._closing = self._closing, True
            self._changed.notify_all()
        if not already:
            self.output.hurry()

    def drain(self) -> None:
        """Let it finish, for as long as the loop would wait for it: until it is no longer patient."""
        if not self._waits:
            return
        self.finish()
        while self.patient and self._thread.is_alive():
            self._thread.join(_POLL)

    def close(self, seconds: float = _FAREWELL) -> bool:
        """Let it finish, for a few seconds; whether it did."""
        self.finish()
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _put(self, item: FrameResult | Event) -> None:
        if not self.output.wants_pictures:
            item = item.without_picture()
        with self._changed:
            while self._full() and self._waited_for():
                self._changed.wait(_POLL)
            lost = self._full() and self._make_room()
            self._queue.append(item)
            self._changed.notify_all()
        if lost:
            self._warn("drop", f"too slow; {self._dropped} messages dropped so far.")

    def _full(self) -> bool:
        return len(self._queue) >= self.output.capacity

    def _waited_for(self) -> bool:
        return self._waits and self.patient and self.failure is None and not self._closing

    def _make_room(self) -> bool:
        """Drop the oldest result, or the oldest event where only events wait; whether it counts."""
        for place, waiting in enumerate(self._queue):
            if isinstance(waiting, FrameResult):
                del self._queue[place]
                if self.output.skips:
                    return False
                break
        else:
            self._queue.popleft()
        self._dropped += 1
        self._status.dropped_by(self.output.name)
        return True

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._queue or self._closing, self.output.idle_after)
                item = self._queue.popleft() if self._queue else None
                if item is None and self._closing:
                    break
                self._changed.notify_all()
            if item is None:
                self._tell(lambda _: self.output.idle(), None)
            elif isinstance(item, Event):
                self._tell(self.output.event, item)
            else:
                self._tell(self.output.result, item)
        self._tell(lambda _: self.output.close(), None)

    def _tell(self, method: Callable[..., None], item: object) -> None:
        try:
            method(item)
        except Exception as error:  # an output's failure is not the stream's
            if self._ends or isinstance(error, StopStream):
                with self._changed:
                    self.failure = self.failure or error
                    self._changed.notify_all()
                return
            self._status.failed_by(self.output.name)
            self._warn("failure", _reason(error))

    def _warn(self, of: str, text: str) -> None:
        """Say it, unless the same was said a moment ago."""
        now = time.monotonic()
        if now - self._warned[of] > _QUIET:
            self._warned[of] = now
            _log.warning("%s: %s", self.output.name, text)


def close_all(outlets: list[Outlet], seconds: float = _FAREWELL) -> list[str]:
    """Let all of them finish at the same time.

    Args:
        outlets: In any order.
        seconds: That they have together, unless one has a longer ``farewell``.

    Returns:
        Names of the outputs that did not finish; their threads are left behind.
    """
    for outlet in outlets:
        outlet.finish()
    begun = time.monotonic()
    return [
        o.output.name
        for o in outlets
        if not o.close(max(begun + max(seconds, o.output.farewell) - time.monotonic(), 0.0))
    ]


def _reason(error: Exception) -> str:
    with contextlib.suppress(Exception):
        failure = error if isinstance(error, EdgeError) else system_failure(error)
        if failure is not None:
            return str(failure)
    return f"{type(error).__name__}: {first_line(error)}"
