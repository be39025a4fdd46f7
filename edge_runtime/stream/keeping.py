"""Keep a source open: read it, open it again when it is lost, and leave a hung reader behind.

Only ``time.monotonic()`` decides, so that a clock which is set changes nothing.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

from ..errors import DataError, MissingComponent, SystemFailure, UsageError, first_line
from ..sources.base import (
    BadFrame,
    Grabbed,
    Reader,
    Source,
    SourceLost,
    SourceSettings,
    SourceStalled,
)
from ..sources.opening import open_reader
from .damage import Damage
from .losses import Losses, Patience
from .results import Event
from .status import Status

_log = logging.getLogger("edge_runtime")

#: Errors that waiting does not mend.
_LASTING = (UsageError, DataError, MissingComponent)

#: A source that is slow by nature has stalled after so many of its intervals without a frame.
_INTERVALS = 3

#: Damaged frames in a row after which a reader that gives them without waiting is slowed down.
_MANY_DAMAGED = 10


class _Worker:
    """A thread that reads, and what it waits for."""

    def __init__(self) -> None:
        self.thread: threading.Thread | None = None
        self.reader: Reader | None = None
        self.doing = ""
        self.overdue = float("inf")  # monotonic seconds after which what it does counts as hung


class Keeper:
    """Reads a source on a thread of its own for as long as it is wanted."""

    def __init__(
        self,
        source: Source,
        settings: SourceSettings,
        take: Callable[[Grabbed, int], None],
        done: Callable[[BaseException | None], None],
        status: Status,
        notify: Callable[[Event], None],
        patience: Patience | None = None,
    ) -> None:
        """Prepare; :meth:`start` starts to read.

        Args:
            source: What to read; opened again without end if it is live.
            settings: How.
            take: Given each frame and its number, from the thread that reads; may hold it back.
            done: Told at the end of a file, or why no frame will come any more.
            status: Where frames, drops, damaged frames, reconnects and stalls are counted.
            notify: Told when the source is opened, lost, stalled or ended.
            patience: How long it is waited for.
        """
        self._source, self._settings = source, settings
        self._take, self._done = take, done
        self._status, self._notify = status, notify
        self._patience = patience or Patience()
        self._losses = Losses(source.name, settings.max_reconnects, self._patience, status, notify)
        self._changed = threading.Condition()
        self._closing = self._finished = False
        self._hung: list[threading.Thread] = []
        self._number = self._opened = 0
        self._damage = Damage(source.name, settings.stall_after, status)
        self._worker = _Worker()
        self._watch = threading.Thread(target=self._watching, name="watchdog", daemon=True)

    def start(self) -> None:
        """Start to read."""
        self._start(self._worker, None)
        if self._source.live:  # a file on a slow disk is waited for
            self._watch.start()

    def damaged(self, reason: str) -> None:
        """A frame could not be decoded; from any thread."""
        self._damage.add(reason)

    def whole(self) -> None:
        """A frame was decoded; from any thread."""
        self._damage.clear()

    def close(self) -> None:
        """Stop reading and let go of the source; safe to call twice."""
        with self._changed:
            self._closing = True
            worker = self._worker
            self._changed.notify_all()
        if worker.reader is not None:
            self._close_apart(worker.reader)
        for thread in (worker.thread, self._watch):
            if thread is None or thread.ident is None or thread is threading.current_thread():
                continue
            thread.join(self._patience.closing)
            if thread.is_alive():
                _log.warning("%s: its driver hangs; a thread is left behind.", self._source.name)

    def _start(self, worker: _Worker, trouble: SourceLost | None) -> None:
        worker.thread = threading.Thread(
            target=self._work, args=(worker, trouble), name="grabber", daemon=True
        )
        worker.thread.start()

    def _wanted(self, worker: _Worker) -> bool:
        return not self._closing and worker is self._worker

    def _work(self, worker: _Worker, trouble: SourceLost | None) -> None:
        """Read until the end, an error that lasts, or another worker in place of this one."""
        failure: BaseException | None = None
        try:
            while self._wanted(worker):
                if trouble is not None:
                    self._sleep(self._losses.add(trouble))
                trouble = self._session(worker) if self._wanted(worker) else None
                if trouble is None:
                    break
        except BaseException as error:  # raised by the thread that asks for frames
            failure = error
        if worker is self._worker:
            self._finish(None if self._closing else failure)

    def _finish(self, failure: BaseException | None) -> None:
        with self._changed:
            self._finished = True
            self._changed.notify_all()
        self._done(failure)

    def _session(self, worker: _Worker) -> SourceLost | None:
        """Open the source and read it to its end; why it has to be opened again, or None."""
        try:
            with self._bounded(worker, "opening it", self._patience.opening):
                worker.reader = reader = open_reader(self._source, self._settings)
                connect: Callable[[], None] | None = getattr(reader, "connect", None)
                if connect is not None and self._wanted(worker):
                    connect()
            if self._wanted(worker):
                self._say_open()
                self._read(worker, reader)
        except _LASTING:
            raise
        except Exception as error:
            # A bug shows at the first opening; what strange bytes bring about later is survived.
            mends = isinstance(error, (SourceLost, OSError, SystemFailure)) or self._number > 0
            if not self._source.live or not mends:
                raise
            return error if isinstance(error, SourceLost) else _lost(error)
        finally:
            if worker.reader is not None:
                with self._bounded(worker, "closing it", self._patience.closing):
                    _close(worker.reader)
                worker.reader = None
        return None

    def _read(self, worker: _Worker, reader: Reader) -> None:
        begun = last = time.monotonic()
        base, bad = self._number, 0
        limit = self._settings.stall_after
        if reader.fps:
            limit = max(limit, _INTERVALS / reader.fps)
        self._damage.clear()
        while self._wanted(worker):
            left = last + limit - time.monotonic() if self._source.live else limit
            if left <= 0:
                raise SourceStalled(f"no whole frame came for {limit:g} s.")
            try:
                with self._bounded(worker, "reading it", left):
                    grabbed = reader.read(left)
            except BadFrame as error:
                self._damage.say(str(error))
                bad += 1
                if bad > _MANY_DAMAGED:
                    self._sleep(0.01)
                continue
            except SourceStalled:
                if self._source.live:
                    raise
                _log.info("%s: nothing came for %g s; still waiting.", self._source.name, left)
                continue
            if not self._wanted(worker):
                return  # what a reader gives that was left behind is old
            if grabbed is None:
                self._end()
                return
            last, bad = time.monotonic(), 0
            if self._source.live:
                self._losses.gave_frame(last - begun, self._damage.present)
            elif self._settings.realtime:
                grabbed = self._paced(grabbed, begun, reader.fps)
            place = self._number if grabbed.index is None else base + grabbed.index
            self._count(place)
            self._take(grabbed, self._number - 1)
            if self._source.live and self._damage.lasts:
                raise SourceStalled(f"nothing but damaged frames for {limit:g} s.")

    def _count(self, place: int) -> None:
        """A frame has come, and perhaps the reader has skipped others on the way to it."""
        skipped = max(place - self._number, 0)
        self._status.count("frames", 1 + skipped)
        if skipped:
            self._status.count("dropped", skipped)
        self._number += 1 + skipped

    def _end(self) -> None:
        if self._source.live:
            raise SourceLost("the stream ended.")
        if not self._number:
            raise DataError(f"{self._source.name}: holds no readable frame. Is it a video?")
        self._notify(Event("source", {"state": "ended", "frames": self._number}))

    def _paced(self, grabbed: Grabbed, begun: float, fps: float | None) -> Grabbed:
        """A frame of a file, at the time at which a camera would have given it."""
        seconds = grabbed.seconds
        fps = self._settings.fps or fps
        if seconds is None and fps:
            seconds = (self._number if grabbed.index is None else grabbed.index) / fps
        if seconds is None:
            return grabbed
        self._sleep(begun + seconds - time.monotonic())
        return replace(grabbed, captured=time.monotonic())

    def _sleep(self, seconds: float) -> None:
        """Sleep, but not beyond the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._closing, max(seconds, 0))

    def _say_open(self) -> None:
        self._opened += 1
        if self._opened > 1:
            self._status.count("reconnects")
        self._notify(Event("source", {"state": "open"}))

    @contextlib.contextmanager
    def _bounded(self, worker: _Worker, doing: str, seconds: float) -> Iterator[None]:
        """Let the watchdog know how long what follows may take."""
        worker.doing = doing
        worker.overdue = time.monotonic() + seconds + self._patience.grace
        try:
            yield
        finally:
            with self._changed:  # either it was left behind, or it will not be
                worker.overdue = float("inf")

    def _watching(self) -> None:
        """Put a new thread in the place of one that hangs in a driver."""
        while True:
            with self._changed:
                worker = self._worker
                left = worker.overdue - time.monotonic()
                if left > 0:
                    self._changed.wait(min(left, self._patience.grace))
                if self._closing or self._finished:
                    return
                if worker.overdue > time.monotonic():
                    continue
                if worker.thread is not None:
                    self._hung.append(worker.thread)
                self._worker = _Worker()
            if not self._replace(worker, self._worker):
                return

    def _replace(self, hung: _Worker, new: _Worker) -> bool:
        """Leave a hung worker behind; whether another one takes its place."""
        self._status.count("abandoned")
        if hung.reader is not None:
            self._close_apart(hung.reader)
        self._hung = [thread for thread in self._hung if thread.is_alive()]
        count = len(self._hung)
        hangs = f"{count} threads hang" if count > 1 else "its thread hangs"
        trouble = SourceStalled(f"{hung.doing} does not come back, {hangs} and was left behind.")
        if count >= self._patience.max_hung:
            self._finish(
                SourceLost(
                    f"{self._source.name}: given up, {count} threads hang in its driver, which only "
                    "a new process gets rid of. Unplug it, or restart."
                )
            )
            return False
        self._start(new, trouble)
        return True

    def _close_apart(self, reader: Reader) -> None:
        """Close a reader whose driver may hang in that, too."""
        closer = threading.Thread(target=_close, args=(reader,), name="closer", daemon=True)
        closer.start()
        closer.join(self._patience.closing)


def _close(reader: Reader) -> None:
    with contextlib.suppress(Exception):  # it is of no use any more either way
        reader.close()


def _lost(error: Exception) -> SourceLost:
    if isinstance(error, (OSError, SystemFailure)):
        return SourceLost(first_line(error))
    _log.debug("reading failed", exc_info=error)
    return SourceLost(f"unexpected {type(error).__name__}: {first_line(error)}")
