"""The child's slots of shared memory, and which frame goes to the parent when."""

from __future__ import annotations

import json
import os
import socket
import threading
from typing import Any

import numpy as np

from .memory import Pool, nameless_file, slot_bytes_for

#: Slots: of a live source the parent holds up to three frames (just read, waiting, being copied),
#: the child one that waits and one that is written; a file is decoded a few frames ahead.
SLOTS = 6


class Outbox:
    """Frames on their way to the parent; called from two threads of the child."""

    def __init__(self, channel: socket.socket, live: bool) -> None:
        """Nothing is allocated before the first frame.

        Args:
            channel: Where lines are written.
            live: Whether the parent asks for each frame and gets the newest; else it gets all.
        """
        self._channel, self._live = channel, live
        self._changed = threading.Condition()
        self._pool: Pool | None = None
        self._free: list[int] = []
        self._waiting: tuple[int, dict[str, Any]] | None = None
        self._wanted = self._closing = False

    def say(self, message: dict[str, Any]) -> None:
        """Write one message."""
        with self._changed:
            self._say(message)

    def slot(self, size: int) -> tuple[Pool, int] | None:
        """A slot to write a frame of so many bytes to.

        Of a file, waits until there is one. Of a live source, the oldest frame that the parent has
        not got yet gives way; None if the parent holds all. Slots that were used lately come
        first, so that memory which nobody needs is never touched.
        """
        with self._changed:
            if self._pool is None or self._pool.slot_bytes < size:
                self._grow(size)
            if not self._live:
                self._changed.wait_for(lambda: self._free or self._closing)
            elif not self._free and self._waiting is not None:
                self._free.append(self._waiting[0])
                self._waiting = None
            if not self._free or self._pool is None:
                return None
            return self._pool, self._free.pop()

    def put(self, slot: int, message: dict[str, Any]) -> None:
        """A frame is written: tell the parent, or keep it until the parent asks."""
        with self._changed:
            if not self._live or self._wanted:
                self._wanted = False
                self._say(message)
                return
            if self._waiting is not None:
                self._free.append(self._waiting[0])
            self._waiting = (slot, message)

    def want(self) -> None:
        """The parent waits for a frame."""
        with self._changed:
            if self._waiting is None:
                self._wanted = True
            else:
                self._say(self._waiting[1])
                self._waiting = None

    def cancel(self) -> None:
        """The parent does not wait any more; it is told so, unless its frame is on its way."""
        with self._changed:
            if self._wanted:
                self._wanted = False
                self._say({"none": True})

    def free(self, pool: int, slot: int) -> None:
        """The parent needs a frame no more."""
        with self._changed:
            if self._pool is not None and self._pool.number == pool:
                self._free.append(slot)
                self._changed.notify_all()

    def close(self) -> None:
        """Let nobody wait for a slot any more."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()

    def _grow(self, size: int) -> None:
        """Another pool; the parent's frames in the old one stay as they are."""
        number = 0 if self._pool is None else self._pool.number + 1
        descriptor = nameless_file()
        try:
            self._pool = Pool(number, slot_bytes_for(size), SLOTS, descriptor)
            message = {"pool": number, "slot_bytes": self._pool.slot_bytes, "slots": SLOTS}
            line = json.dumps(message).encode() + b"\n"
            socket.send_fds(self._channel, [line], [descriptor])
        finally:
            os.close(descriptor)
        self._free = list(range(SLOTS))[::-1]
        self._waiting = None

    def _say(self, message: dict[str, Any]) -> None:
        self._channel.sendall(json.dumps(message).encode() + b"\n")


def write_bytes(pool: Pool, slot: int, content: np.ndarray) -> None:
    """Copy encoded bytes, uint8 (n,), into a slot."""
    pool.view(slot, content.size)[:] = content
