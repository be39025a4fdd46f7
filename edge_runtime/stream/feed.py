"""Frames on their way to the classifier: grabbed, decoded and prepared on threads of their own."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType

from ..errors import DataError
from ..pipeline import Decoded
from ..sources.base import BadFrame, Frame, Grabbed, Source, SourceSettings
from ..sources.opening import open_reader
from .results import Event
from .status import Status

#: Frames of a file that are grabbed, and as many that are prepared, ahead of the classifier.
_AHEAD = 3

#: Seconds between looks at whether the feed was closed.
_POLL = 0.5


@dataclass(frozen=True)
class Prepared:
    """A frame that is ready for the interpreter.

    Attributes:
        frame: The frame.
        decoded: What :meth:`Classifier.answer` takes.
        prepare_ms: Milliseconds from the decoded frame to the tensor.
    """

    frame: Frame
    decoded: Decoded
    prepare_ms: float


class Feed:
    """Gives prepared frames: of a live source the newest, of a file each one in order."""

    def __init__(
        self,
        source: Source,
        settings: SourceSettings,
        prepare: Callable[[Frame], Decoded],
        status: Status,
        notify: Callable[[Event], None],
    ) -> None:
        """Start to grab.

        Args:
            source: What to read.
            settings: How.
            prepare: Makes the tensor of a frame; called on the feed's own thread.
            status: Where frames, drops and reconnects are counted.
            notify: Told when the source is opened, lost, stalled or ended; from any thread.
        """
        self.source = source
        self.live = source.live or settings.realtime
        self._settings, self._prepare = settings, prepare
        self._status, self._notify = status, notify
        self._changed = threading.Condition()
        self._grabbed: deque[tuple[int, Grabbed]] = deque()
        self._ready: deque[Prepared] = deque()
        self._grabbing, self._preparing, self._closing = True, True, False
        self._failure: BaseException | None = None
        self._threads = [
            threading.Thread(target=self._run, args=(work,), name=name, daemon=True)
            for name, work in (("grabber", self._grab), ("preparer", self._make))
        ]
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> Feed:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def next(self, timeout: float) -> Prepared | None:
        """Wait for a frame.

        Args:
            timeout: Seconds.

        Returns:
            The frame; None if none came in time, or :attr:`ended`.

        Raises:
            DataError: A file that cannot be read (on).
            SourceLost: The source is gone, and it was tried as often as wished.
        """
        with self._changed:
            self._changed.wait_for(
                lambda: self._ready or not self._preparing or self._closing, timeout
            )
            if self._ready:
                prepared = self._ready.popleft()
                self._changed.notify_all()
                return prepared
            if self._failure is not None:
                raise self._failure
            return None

    @property
    def ended(self) -> bool:
        """Whether no frame will come any more."""
        with self._changed:
            return self._closing or (not self._preparing and not self._ready)

    def close(self) -> None:
        """Stop, and let go of the source; safe to call twice."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(timeout=5)

    def _run(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:  # raised by the thread that asks for frames
            self._failure = self._failure or error
        with self._changed:
            if work == self._grab:
                self._grabbing = False
            else:
                self._preparing = False
            self._changed.notify_all()

    def _grab(self) -> None:
        reader = open_reader(self.source, self._settings)
        self._notify(Event("source", {"state": "open"}))
        number = 0
        try:
            while not self._closing:
                grabbed = reader.read(_POLL)
                if grabbed is None:
                    break
                self._status.count("frames")
                self._hand_over(self._grabbed, (number, grabbed))
                number += 1
        finally:
            reader.close()
        if number == 0 and not self._closing:
            raise DataError(f"{self.source.name}: holds no readable frame. Is it a video?")
        self._notify(Event("source", {"state": "ended", "frames": number}))

    def _make(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._grabbed or not self._grabbing or self._closing)
                if self._closing or not self._grabbed:
                    return
                number, grabbed = self._grabbed.popleft()
                self._changed.notify_all()
            try:
                frame = Frame(grabbed, number, self._settings.rotate, self._settings.flip)
                start = time.perf_counter()
                decoded = self._prepare(frame)
            except BadFrame:
                self._status.count("corrupt")
                continue
            spent = (time.perf_counter() - start) * 1000
            self._hand_over(self._ready, Prepared(frame, decoded, spent))

    def _hand_over(self, queue: deque, item: object) -> None:  # type: ignore[type-arg]
        with self._changed:
            if self.live:
                self._status.count("dropped", len(queue))
                queue.clear()
            else:
                self._changed.wait_for(lambda: len(queue) < _AHEAD or self._closing)
            queue.append(item)
            self._changed.notify_all()
