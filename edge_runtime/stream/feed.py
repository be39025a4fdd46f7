"""Frames on their way to the classifier: grabbed, decoded and prepared on threads of their own."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType

from ..errors import DataError, first_line
from ..pipeline import Decoded
from ..sources.base import BadFrame, Frame, Grabbed, Source, SourceSettings
from .keeping import Keeper
from .losses import Patience
from .results import Event
from .status import Status

_log = logging.getLogger("edge_runtime")

#: Frames of a file that are prepared ahead of the classifier.
_AHEAD = 3

#: Frames of a file that are grabbed, not decoded, and followed by no other: with the one that is
#: being decoded and the next one, no more than a reader can hold in shared memory.
_GRABBED = 1

#: A live frame is too old once it has waited for so many of the source's intervals, and so many
#: seconds: the source was lost behind it, or nobody asked for frames yet.
_STALE_INTERVALS, _STALE_SECONDS = 2, 1.0

#: With a limit of results a second, how much longer than the last frame the next one may take to
#: prepare, and be ready in time.
_MARGIN, _MARGIN_SECONDS = 1.5, 0.005

#: Seconds that ``close`` waits for a frame that is being decoded.
_CLOSING = 5.0


@dataclass(frozen=True)
class Prepared:
    """A frame that is ready for the interpreter.

    Attributes:
        frame: The frame.
        decoded: What :meth:`Classifier.answer` takes.
        ready: ``time.monotonic()`` in seconds at which it was ready.
    """

    frame: Frame
    decoded: Decoded
    ready: float


class Feed:
    """Gives prepared frames: of a live source the newest, of a file each one in order."""

    def __init__(
        self,
        source: Source,
        settings: SourceSettings,
        prepare: Callable[[Frame], Decoded],
        status: Status,
        notify: Callable[[Event], None],
        every: int = 1,
        max_fps: float | None = None,
        patience: Patience | None = None,
    ) -> None:
        """Start to grab.

        Args:
            source: What to read.
            settings: How.
            prepare: Makes the tensor of a frame; called on the feed's own thread.
            status: Where frames, drops and reconnects are counted.
            notify: Told when the source is opened, lost, stalled or ended; from any thread.
            every: Give one frame of so many; the others are not decoded.
            max_fps: Frames a second that are given at most: of a live source the others are not
                decoded, a file is read more slowly. None for as many as there are.
            patience: How long a lost source is waited for.
        """
        self.source = source
        self.live = source.live or settings.realtime
        self._settings, self._prepare, self._status = settings, prepare, status
        self._every, self._wanted = every, 0
        self._period = 1 / max_fps if max_fps else 0.0
        self._due, self._lead = float("-inf"), 0.0
        self._changed = threading.Condition()
        self._grabbed: deque[tuple[int, Grabbed]] = deque()
        self._ready: deque[Prepared] = deque()
        self._captured: float | None = None
        self._interval = 0.0
        self._grabbing, self._preparing, self._closing = True, True, False
        self._failure: BaseException | None = None
        self._keeper = Keeper(source, settings, self._take, self._done, status, notify, patience)
        self._preparer = threading.Thread(target=self._run, name="preparer", daemon=True)
        self._keeper.start()
        self._preparer.start()

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
        end = time.monotonic() + timeout
        with self._changed:
            while not self._closing:
                now = time.monotonic()
                wait = end - now
                if self._ready:
                    if self._is_stale(self._ready[0].ready):
                        self._ready.popleft()
                        self._status.count("dropped")
                        continue
                    if self._due <= now:
                        return self._give(now)
                    wait = min(wait, self._due - now)
                elif not self._preparing:
                    if self._failure is not None:
                        raise self._failure
                    return None
                if now >= end:
                    return None
                self._changed.wait(wait)
        return None

    @property
    def ended(self) -> bool:
        """Whether no frame will come any more."""
        with self._changed:
            return self._closing or (
                not self._preparing and not self._ready and self._failure is None
            )

    def close(self) -> None:
        """Stop, and let go of the source; safe to call twice."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._keeper.close()
        if self._preparer is not threading.current_thread():
            self._preparer.join(_CLOSING)

    def _give(self, now: float) -> Prepared:
        prepared = self._ready.popleft()
        if self._period:
            # Kept to the beat where it is a little late, so that the rate is the one wished for.
            beat = self._due if now - self._due < self._period else now
            self._due = beat + self._period
        self._changed.notify_all()
        return prepared

    def _is_stale(self, since: float) -> bool:
        """Whether what a live source gave then is no picture of now."""
        limit = max(_STALE_SECONDS, _STALE_INTERVALS * self._interval)
        return self.live and time.monotonic() - since > limit

    def _take(self, grabbed: Grabbed, number: int) -> None:
        """Take a frame from the reading thread."""
        with self._changed:
            if self._captured is not None:
                self._interval = grabbed.captured - self._captured
            self._captured = grabbed.captured
            if not self._is_wanted(number):
                self._status.count("skipped")
                return
            if self.live:
                self._replace(self._grabbed)
            self._grabbed.append((number, grabbed))
            self._changed.notify_all()
            if not self.live:
                self._changed.wait_for(lambda: len(self._grabbed) <= _GRABBED or self._closing)

    def _is_wanted(self, number: int) -> bool:
        if not self.live:
            return number % self._every == 0
        # A camera's numbers have gaps.
        if number < self._wanted:
            return False
        self._wanted = number + self._every
        return True

    def _replace(self, queue: deque) -> None:  # type: ignore[type-arg]
        """Make room for a newer frame."""
        if queue:
            early = time.monotonic() < self._due
            self._status.count("skipped" if early else "dropped", len(queue))
            queue.clear()

    def _done(self, failure: BaseException | None) -> None:
        with self._changed:
            self._failure = self._failure or failure
            self._grabbing = False
            self._changed.notify_all()

    def _run(self) -> None:
        try:
            self._prepare_all()
        except BaseException as error:  # raised by the thread that asks for frames
            self._failure = self._failure or error
        with self._changed:
            self._preparing = False
            self._changed.notify_all()

    def _prepare_all(self) -> None:
        whole = damaged = 0
        while True:
            found = self._pick()
            if found is None:
                break
            prepared = self._made(*found)
            if prepared is None:
                damaged += 1
                continue
            whole += 1
            self._put(prepared)
        if damaged and not whole and not self.source.live and not self._closing:
            raise DataError(
                f"{self.source.name}: none of its frames can be decoded ({damaged} were tried)."
            )

    def _pick(self) -> tuple[int, Grabbed] | None:
        """Wait for the frame to prepare next, and for its time; None at the end."""
        with self._changed:
            while not self._closing:
                if self._grabbed:
                    early = self._due - self._lead - time.monotonic() if self.live else 0.0
                    if early <= 0:
                        found = self._grabbed.popleft()
                        self._changed.notify_all()
                        if not self._is_stale(found[1].captured):
                            return found
                        self._status.count("dropped")
                        continue
                    self._changed.wait(early)
                elif not self._grabbing:
                    return None
                else:
                    self._changed.wait()
        return None

    def _made(self, number: int, grabbed: Grabbed) -> Prepared | None:
        """Decode a frame and make its tensor; None if it is damaged."""
        begun = time.monotonic()
        try:
            frame = self._decoded(grabbed, number)
            decoded = self._prepare(frame)
        except BadFrame as error:
            self._keeper.damaged(str(error))
            return None
        if decoded.error is not None:
            self._keeper.damaged(str(decoded.error))
            return None
        self._keeper.whole()
        ready = time.monotonic()
        self._lead = (ready - begun) * _MARGIN + _MARGIN_SECONDS
        return Prepared(frame, decoded, ready)

    def _decoded(self, grabbed: Grabbed, number: int) -> Frame:
        try:
            return Frame(grabbed, number, self._settings.rotate, self._settings.flip)
        except BadFrame:
            raise
        except Exception as error:  # decoders raise anything
            _log.debug("decoding a frame failed", exc_info=True)
            raise BadFrame(f"{type(error).__name__}: {first_line(error)}") from error

    def _put(self, prepared: Prepared) -> None:
        with self._changed:
            if self.live:
                self._replace(self._ready)
            else:
                self._changed.wait_for(lambda: len(self._ready) < _AHEAD or self._closing)
            self._ready.append(prepared)
            self._changed.notify_all()
