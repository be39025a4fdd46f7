"""Damaged frames: counted, said now and then, and taken for a stall where nothing else comes."""

from __future__ import annotations

import logging
import threading
import time

from .backoff import Pacer
from .status import Status

_log = logging.getLogger("edge_runtime")


class Damage:
    """What is damaged of one source; every method may be called from any thread."""

    def __init__(self, name: str, limit: float, status: Status) -> None:
        """Begin without.

        Args:
            name: Of the source, for messages.
            limit: Seconds without a frame that could be decoded.
            status: Where they are counted.
        """
        self._name, self._limit, self._status = name, limit, status
        self._lock, self._pacer = threading.Lock(), Pacer()
        self._since: float | None = None
        self.lasts = False  #: whether nothing else came for the limit

    @property
    def present(self) -> bool:
        """Whether the last frame that was decoded was damaged."""
        return self._since is not None

    def say(self, reason: str) -> None:
        """A reader has left a frame out."""
        with self._lock:
            held = self._pacer.held_back(time.monotonic())
        self._status.count("corrupt")
        if held is not None:
            more = f" ({held} more since the last message)" if held else ""
            reason = reason.removeprefix("<bytes>: ")
            _log.warning("%s: a damaged frame is left out: %s%s", self._name, reason, more)

    def add(self, reason: str) -> None:
        """A frame could not be decoded."""
        self.say(reason)
        now = time.monotonic()
        with self._lock:
            if self._since is None:
                self._since = now
            self.lasts = now - self._since > self._limit

    def clear(self) -> None:
        """A frame was decoded, or the source was opened anew."""
        with self._lock:
            self._since, self.lasts = None, False
