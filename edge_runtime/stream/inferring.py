"""Who runs the network: the loop itself, or a thread that is one frame ahead of it."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable

from ..sources.base import BadFrame
from .answering import Outcome
from .feed import Feed, Prepared

#: Seconds that the thread waits for a frame before it looks at whether it is still wanted.
_WAIT = 0.25

#: Seconds that an inference has at the end.
_CLOSING = 5.0

#: What a frame came to: an answer in the making, or that it is damaged.
Found = Outcome | BadFrame


class Inferring(ABC):
    """Gives what the network makes of a feed's frames, one after the other."""

    def __init__(self, feed: Feed, infer: Callable[[Prepared], Outcome]) -> None:
        """Begin.

        Args:
            feed: Where frames come from; closed with this.
            infer: Runs the network on one.
        """
        self._feed, self._infer = feed, infer

    @abstractmethod
    def next(self, timeout: float) -> Found | None:
        """Wait for the next one.

        Args:
            timeout: Seconds.

        Returns:
            None if none came in time, or none will.

        Raises:
            DataError: A file that cannot be read (on).
            SourceLost: The source is gone, and it was tried as often as wished.
        """

    @property
    @abstractmethod
    def ended(self) -> bool:
        """Whether nothing will come any more."""

    @property
    def busy(self) -> bool:
        """Whether the network is at work; a loop that waits for that is no sign of life."""
        return False

    def close(self) -> None:
        """Stop, and let go of the source."""
        self._feed.close()

    def _of(self, prepared: Prepared) -> Found:
        try:
            return self._infer(prepared)
        except BadFrame as error:
            return error


class Inline(Inferring):
    """The caller's thread infers, when it asks: what it gets is of the newest frame."""

    def next(self, timeout: float) -> Found | None:
        """See :meth:`Inferring.next`; the inference comes on top of the timeout."""
        prepared = self._feed.next(timeout)
        return None if prepared is None else self._of(prepared)

    @property
    def ended(self) -> bool:
        """Whether nothing will come any more."""
        return self._feed.ended


class Ahead(Inferring):
    """A thread infers while the caller tells of the answer before.

    The interpreter then waits for nobody: what is done with an answer costs a small network 3 to 5 %
    of its speed otherwise. It is for a caller that comes back at once, since one outcome waits for
    it.
    """

    def __init__(self, feed: Feed, infer: Callable[[Prepared], Outcome]) -> None:
        """Start the thread."""
        super().__init__(feed, infer)
        self._changed = threading.Condition()
        self._found: Found | None = None
        self._failure: BaseException | None = None
        self._working, self._closing, self._over = False, False, False
        self._thread = threading.Thread(target=self._run, name="inferrer", daemon=True)
        self._thread.start()

    def next(self, timeout: float) -> Found | None:
        """See :meth:`Inferring.next`."""
        with self._changed:
            if self._found is None and not self._over:
                self._changed.wait_for(lambda: self._found is not None or self._over, timeout)
            found, self._found = self._found, None
            if found is not None:
                self._changed.notify_all()
            elif self._failure is not None:
                raise self._failure
            return found

    @property
    def ended(self) -> bool:
        """Whether nothing will come any more."""
        with self._changed:
            return self._over and self._found is None and self._failure is None

    @property
    def busy(self) -> bool:
        """Whether the network is at work."""
        return self._working

    def close(self) -> None:
        """Stop, let go of the source, and wait for an inference that runs."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        super().close()
        self._thread.join(_CLOSING)

    def _run(self) -> None:
        try:
            while not self._closing:
                prepared = self._feed.next(_WAIT)
                if prepared is not None:
                    self._put(self._work(prepared))
                elif self._feed.ended:
                    break
        except BaseException as error:  # raised by the thread that asks
            self._failure = error
        with self._changed:
            self._over = True
            self._changed.notify_all()

    def _work(self, prepared: Prepared) -> Found:
        self._working = True
        try:
            return self._of(prepared)
        finally:
            self._working = False

    def _put(self, found: Found) -> None:
        with self._changed:
            while self._found is not None and not self._closing:
                self._changed.wait()
            self._found = found
            self._changed.notify_all()
