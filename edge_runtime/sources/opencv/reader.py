"""The parent's side of a source that OpenCV reads in a child."""

from __future__ import annotations

import logging
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any

from ...errors import DataError, EdgeError, MissingComponent, SystemFailure
from ..base import BadFrame, Grabbed, Source, SourceLost, SourceStalled
from ..credentials import Scrub
from .held import Held
from .job import Job
from .link import Gone, Link
from .memory import Pool

_log = logging.getLogger("edge_runtime")

#: Seconds for Python and OpenCV to be loaded: from a slow card on a busy board.
_LOADING = 60.0

#: Seconds that opening may take beyond what the backend was given.
_GRACE = 3.0

#: Seconds for the child's word that no frame is on its way.
_ANSWER = 1.0

#: Frames that may be in the shared memory at a time without being used: of its six slots, one is
#: written and one waits.
_KEPT = 4

#: Places of concealed damage that are named; further ones are counted.
_NAMED = 3


#: From OpenCV's own words for why it does not open a source, perhaps none, to the error.
Refusal = Callable[[str], EdgeError]


class OpenCVReader:
    """A source in a child process; see :class:`~edge_runtime.sources.base.Reader`.

    A frame holds a slot of the shared memory until its ``data`` was called or it is dropped; of
    many that are kept, the older ones are copied out of it.

    Attributes:
        fps: Frames a second that the source says it gives; None before it is open.
        size: (width, height) likewise.
        pixel_format: Four characters of its format, likewise.
    """

    def __init__(
        self,
        source: Source,
        job: Job,
        refusal: Refusal,
        opened: Callable[[OpenCVReader], None] | None = None,
    ) -> None:
        """Start the child; :meth:`connect`, or the first ``read``, waits until it has opened.

        Args:
            source: What is read.
            job: The same for the child.
            refusal: Makes the error of a source that does not open.
            opened: Called once when it is open.

        Raises:
            SystemFailure: The system gives no process or memory.
        """
        self._name, self._live, self._scrub = source.name, job.live, Scrub(source)
        self._opening, self._refusal, self._opened = job.open_ms / 1000, refusal, opened
        self._reading = threading.Lock()
        self._pool: Pool | None = None
        self._outcome: EdgeError | None = None
        self._connected = self._ended = self._closed = self._canceled = False
        self._bad: list[str] = []
        self._kept = deque[weakref.ref[Held]]()
        self._damaged = 0
        self.fps: float | None = None
        self.size: tuple[int, int] | None = None
        self.pixel_format: str | None = None
        try:
            self._link = Link()
        except OSError as error:
            reason = f"no process for reading it could be started ({error.strerror})"
            raise SystemFailure(f"{source.name}: {reason}.") from error
        #: Number of the child process.
        self.pid = self._link.pid
        self._link.send(job.to_line())

    def connect(self) -> None:
        """Wait until the source is open; ``close`` on another thread ends that.

        Raises:
            SourceLost: It does not open now, the child died, or it took too long.
            DataError: It never will.
            MissingComponent: OpenCV is not installed.
        """
        with self._reading:
            self._connect()

    def _connect(self) -> None:
        if self._outcome is not None:
            raise self._outcome
        if self._connected:
            return
        try:
            self._expect("ready", _LOADING, "OpenCV was not loaded")
            answer = self._expect("open", self._opening + _GRACE, "it did not open")
        except EdgeError as error:
            self._outcome = error
            raise
        self._connected = True
        self.fps, self.pixel_format = answer["open"], answer["pixel_format"]
        self.size = (answer["size"][0], answer["size"][1])
        if self._opened is not None:
            self._opened(self)

    def _expect(self, key: str, timeout: float, otherwise: str) -> dict[str, Any]:
        try:
            message = self._link.receive(timeout)
        except Gone as error:
            raise self._lost(str(error)) from None
        if message is None:
            raise SourceStalled(f"{otherwise} within {timeout:g} s.")
        if "failed" in message:
            if message.get("missing"):
                raise MissingComponent(message["failed"])
            raise self._refusal(self._scrub(message["failed"]))
        if key not in message:
            raise self._lost(message.get("lost", "its process speaks another language"))
        return message

    def read(self, timeout: float) -> Grabbed | None:
        """Wait for the next frame; see :meth:`Reader.read`."""
        with self._reading:
            if self._bad:
                raise BadFrame(self._bad.pop())
            self._connect()
            if self._ended:
                return None
            try:
                return self._next(time.monotonic() + timeout, timeout)
            except Gone as error:
                self._outcome = self._lost(str(error))
                raise self._outcome from None

    def close(self) -> None:
        """Let go of the source, and end the child; see :meth:`Reader.close`."""
        if self._closed:
            return
        self._closed = True
        self._link.shut()
        self._link.end()
        if self._reading.acquire(timeout=1):
            try:
                self._link.release()
            finally:
                self._reading.release()

    def _next(self, end: float, timeout: float) -> Grabbed | None:
        if self._canceled and not self._settle(end):
            raise SourceStalled(f"no frame for {timeout:g} s.")
        if self._live:
            self._link.send(b"want\n")
        while True:
            message = self._link.receive(max(0.0, end - time.monotonic()))
            if message is None:
                break
            try:
                done, grabbed = self._heed(message)
            except BadFrame:
                self._cancel()
                raise
            if done:
                return grabbed
        if self._live:
            self._cancel()
            late = self._settle(time.monotonic() + _ANSWER)
            if isinstance(late, Grabbed):
                return late
        raise SourceStalled(f"no frame for {timeout:g} s.")

    def _cancel(self) -> None:
        """Ask for no frame any more: one that comes after this call would be old at the next."""
        if self._live:
            self._link.send(b"cancel\n")
            self._canceled = True

    def _settle(self, end: float) -> Grabbed | bool:
        """Wait for the answer to a cancellation: a frame, True for none, False if it is not there.

        A frame that was on its way when an earlier call ended is returned only to that call.
        """
        while True:
            message = self._link.receive(max(0.0, end - time.monotonic()))
            if message is None:
                return False
            if "none" in message:
                self._canceled = False
                return True
            done, grabbed = self._heed(message)
            if done:
                self._canceled = False
                return True if grabbed is None else grabbed

    def _heed(self, message: dict[str, Any]) -> tuple[bool, Grabbed | None]:
        """Do what a message asks for; whether it is what was waited for, and the frame."""
        if "frame" in message:
            return True, self._grabbed(message)
        if "pool" in message:
            self._pool = self._link.take_pool(message)
        elif "bad" in message:
            self._note_bad(message)
            raise BadFrame(self._bad.pop())
        elif "note" in message:
            self._note_damage(message)
        elif "end" in message:
            self._end(message)
            return True, None
        elif "lost" in message:
            raise Gone(message["lost"])
        return False, None

    def _grabbed(self, message: dict[str, Any]) -> Grabbed:
        if self._pool is None or self._pool.number != message["pool"]:
            raise Gone("its process has mixed up its memory")
        held = Held(self._link, self._pool, message)
        self._kept.append(weakref.ref(held))
        while len(self._kept) > _KEPT:
            oldest = self._kept.popleft()()
            if oldest is not None:
                oldest.copy_out()
        seconds = message.get("seconds")
        return Grabbed(message["captured"], held.data, message.get("index"), seconds)

    def _note_bad(self, message: dict[str, Any]) -> None:
        place = "" if message["seconds"] is None else f" behind {message['seconds']:.2f} s"
        words = f" ({self._scrub(message['bad'])})" if message["bad"] else ""
        text = f"a frame{place} is damaged{words}."
        self._bad += [text] * message["frames"]

    def _note_damage(self, message: dict[str, Any]) -> None:
        self._damaged += 1
        if self._damaged <= _NAMED:
            _log.warning(
                "%s: damaged near %.2f s (%s); the decoder has filled the gap.",
                self._name,
                message["seconds"],
                self._scrub(message["note"]),
            )

    def _end(self, message: dict[str, Any]) -> None:
        self._ended = True
        if self._damaged > _NAMED:
            _log.warning("%s: damaged at %d places.", self._name, self._damaged)
        count, missing, words = message["end"], message["missing"], message["words"]
        if not missing:
            return
        what = f"{self._name}: ends after {count} frames, {missing} fewer than it says it has"
        if words and count:
            self._outcome = DataError(
                f"{what} ({self._scrub(words)}). The file is cut off or damaged; copy it anew."
            )
            raise self._outcome
        if missing > max(2, count // 50):
            _log.warning("%s.", what)

    def _lost(self, reason: str) -> SourceLost:
        return SourceLost(f"{'closed' if self._closed else self._scrub(reason)}.")
