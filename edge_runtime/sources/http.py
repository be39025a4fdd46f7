"""A network camera over HTTP: MJPEG, JPEGs one behind the other, or one picture that is polled.

Read with the standard library; a URL that gives none of these, such as a video or a playlist, goes
to OpenCV's reader. Every wait has an end, and a picture is handed over only when it is whole.
"""

from __future__ import annotations

import contextlib
import importlib
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import NamedTuple, cast

from ..errors import UsageError
from .base import BadFrame, Grabbed, Reader, Source, SourceLost, SourceSettings, SourceStalled
from .mjpeg.address import Address
from .mjpeg.answer import Answer
from .mjpeg.asking import Asker
from .mjpeg.kinds import splitter_of
from .mjpeg.parts import NoPictures, Pictures, Piece
from .mjpeg.wire import Deadline

#: Pictures a second of a URL that gives one at a time, where ``--fps`` does not say.
_POLLS = 2.0

#: Seconds for which a reader that is behind looks for a newer picture, so that it ends where a
#: server sends faster than it reads.
_CATCH_UP = 0.25

#: Seconds that asking for a URL may take at least, however impatient ``--stall-after`` is.
_ASKING = 5.0

#: Seconds that ``close`` waits for a ``read`` under way.
_CLOSING = 1.0


class _Arrived(NamedTuple):
    """A picture, or why it was left out, when its last byte came, and its place in the stream."""

    captured: float
    piece: Piece
    number: int


class HttpReader:
    """One URL."""

    def __init__(self, source: Source, settings: SourceSettings) -> None:
        """Name it; :meth:`connect` connects, or the first ``read``.

        Args:
            source: Its ``address`` is the URL.
            settings: ``fps`` of a picture that is polled, ``stall_after`` as the limit of asking,
                of which five seconds are left in any case.

        Raises:
            UsageError: It is no URL.
        """
        try:
            address = Address.parse(source.address)
        except ValueError:
            # Not chained, and not shown: it may quote a password.
            raise UsageError(
                "the URL of the source cannot be read. Expected http://HOST:PORT/PATH, or "
                "http://USER:PASSWORD@HOST:PORT/PATH with %40 for @, %3A for :, %2F for / and "
                "%23 for # in user and password."
            ) from None
        self.fps: float | None = None
        self._source, self._settings = source, settings
        self._cut, self._using = threading.Event(), threading.Lock()
        self._asker = Asker(address, self._cut)
        self._answer: Answer | None = None
        self._splitter = Pictures()
        #: Whether the URL may give one picture at a time, and whether it does.
        self._single = self._polled = False
        self._due = float("-inf")
        self._arrived: deque[_Arrived] = deque()
        self._count = self._count_before = 0
        self._lost: SourceLost | None = None
        self._other: Reader | None = None

    def connect(self) -> None:
        """Ask for the URL and look what it gives.

        Raises:
            SourceLost: Nothing that can be read; the message says what to check.
            SourceStalled: It does not answer in time.
        """
        with self._used():
            readable = self._ask(Deadline(max(self._settings.stall_after, _ASKING)))
        if not readable:
            self._other = open_other(self._source, self._settings)
            self.fps = self._other.fps
            if self._cut.is_set():  # close() did not see it
                self._other.close()

    def read(self, timeout: float) -> Grabbed | None:
        """Wait for the next whole picture; the newest, where several have arrived.

        Args:
            timeout: Seconds, also for a picture that comes byte by byte.

        Raises:
            SourceStalled: None came in time.
            SourceLost: The connection is gone, or what comes is no MJPEG.
            BadFrame: A picture was cut off, damaged or too large, and was left out.
        """
        if self._other is None and not self._begun:
            self.connect()
        if self._other is not None:
            return self._other.read(timeout)
        with self._used():
            return self._grab(Deadline(timeout))

    def close(self) -> None:
        """Hang up; from any thread."""
        self._cut.set()
        self._asker.wire.shut()
        if self._other is not None:
            self._other.close()
        if self._using.acquire(timeout=_CLOSING):
            self._asker.close()
            self._using.release()

    @property
    def _begun(self) -> bool:
        return self._answer is not None or self._polled or self._lost is not None

    @contextlib.contextmanager
    def _used(self) -> Iterator[None]:
        with self._using:
            try:
                yield
            except SourceLost:
                self._asker.close()
                raise
            finally:
                if self._cut.is_set():  # close() may have given up waiting for this
                    self._asker.close()

    def _ask(self, deadline: Deadline) -> bool:
        """Ask for the URL; whether its answer can be read here."""
        self._due = time.monotonic()
        answer = self._asker.ask(deadline)
        found = splitter_of(answer, lambda: self._asker.wire.receive(deadline))
        if found is None:
            self._asker.close()
            return False
        self._splitter, self._single = found
        self._answer, self._count_before = answer, self._count
        rest, answer.rest = answer.rest, b""
        self._take(rest)
        return True

    def _grab(self, deadline: Deadline) -> Grabbed:
        while not self._arrived:
            if self._lost is not None:
                raise self._lost
            if self._answer is None:
                self._poll(deadline)
                continue
            with contextlib.suppress(SourceStalled):  # said below, as of a slow drip
                self._receive(self._asker.wire.receive(deadline))
            if not self._arrived and not deadline.left():
                raise SourceStalled(f"no whole picture came for {round(deadline.seconds, 1):g} s.")
        if not self._polled:
            self._catch_up()
        return self._newest()

    def _poll(self, deadline: Deadline) -> None:
        """Ask for the next picture, at its time."""
        self._due = max(self._due + 1 / (self.fps or _POLLS), time.monotonic())
        wait = self._due - time.monotonic()
        if wait > deadline.left():
            self._cut.wait(deadline.left())
            raise SourceStalled(f"the next picture is not due for another {wait:.1f} s.")
        self._cut.wait(wait)
        if not self._ask(deadline):
            raise SourceLost("the URL gave a picture before, and gives something else now.")

    def _catch_up(self) -> None:
        """Take what has arrived meanwhile; what it does not complete stays for the next read."""
        deadline = Deadline(_CATCH_UP)
        try:
            while self._answer is not None and deadline.left():
                data = self._asker.wire.waiting()
                if data is None:
                    return
                self._receive(data)
        except SourceLost as lost:
            self._lost = lost  # the picture at hand is whole

    def _newest(self) -> Grabbed:
        """The newest picture; one that was left out behind it is told of at the next read."""
        while len(self._arrived) > 1 and not isinstance(self._arrived[1].piece, BadFrame):
            if isinstance(self._arrived[0].piece, BadFrame):
                break
            self._arrived.popleft()
        captured, piece, number = self._arrived.popleft()
        if isinstance(piece, BadFrame):
            raise piece
        return Grabbed(captured, lambda: piece, number)

    def _receive(self, data: bytes) -> None:
        """Take bytes of the connection; none at its end."""
        if data:
            self._take(data)
        else:
            self._finish(closed=True)

    def _take(self, data: bytes) -> None:
        captured, answer = time.monotonic(), self._answer
        if answer is None:
            return
        try:
            pieces = self._splitter.feed(answer.body.decode(data))
        except NoPictures as error:
            raise SourceLost(f"{error} Is it MJPEG?") from error
        for piece in pieces:
            self._add(captured, piece)
        if answer.body.ended:
            self._finish(closed=False)

    def _add(self, captured: float, piece: Piece) -> None:
        self._arrived.append(_Arrived(captured, piece, self._count))
        self._count += not isinstance(piece, BadFrame)

    def _finish(self, closed: bool) -> None:
        """The body has ended, or the connection has."""
        answer, self._answer = self._answer, None
        if closed or answer is None or not answer.keeps:
            self._asker.close()
        inside, count = self._splitter.inside, self._count - self._count_before
        if self._single and not self._polled and count + inside == 1:
            self._polled, self.fps = True, self._settings.fps or _POLLS
        if not self._polled:
            middle = " in the middle of a picture" if inside else ""
            self._lost = SourceLost(f"the server ended the stream{middle}.")
        elif inside:
            self._add(time.monotonic(), BadFrame("a picture is cut off."))
        elif not count:
            self._add(time.monotonic(), BadFrame("an answer holds no picture."))


def open_other(source: Source, settings: SourceSettings) -> Reader:
    """Open a URL that gives neither MJPEG nor JPEGs: OpenCV's FFmpeg reads many more kinds.

    Raises:
        SourceLost: It cannot be opened.
        MissingComponent: OpenCV is not installed.
    """
    try:
        module = importlib.import_module(f"{__package__}.opencv")
    except ModuleNotFoundError as error:
        raise SourceLost(
            "the URL gives neither MJPEG nor JPEGs, which is all that is read."
        ) from error
    opener = cast("Callable[[Source, SourceSettings], Reader]", module.open_opencv)
    return opener(source, settings)


def open_reader(source: Source, settings: SourceSettings) -> HttpReader:
    """Prepare to read a URL; :meth:`HttpReader.connect` connects, which ``close`` can end."""
    return HttpReader(source, settings)
