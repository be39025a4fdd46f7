"""A frame that stands in the memory that parent and child share."""

from __future__ import annotations

import contextlib
import threading
from typing import Any

import numpy as np

from .link import Link
from .memory import Pool


class Held:
    """A slot of shared memory that is freed when its frame was copied, or is dropped."""

    def __init__(self, link: Link, pool: Pool, message: dict[str, Any]) -> None:
        """Take over what a ``frame`` message has told of."""
        self._link, self._pool = link, pool
        self._slot, self._bytes = message["frame"], message["bytes"]
        self._shape = message.get("shape")
        self._copying = threading.Lock()
        self._copy: bytes | np.ndarray | None = None

    def copy_out(self) -> bytes | np.ndarray:
        """Free the slot; the frame is kept in this process's own memory."""
        with self._copying:
            if self._copy is None:
                view = self._pool.view(self._slot, self._bytes)
                whole = self._shape is None
                self._copy = view.tobytes() if whole else view.reshape(self._shape).copy()
                self._free()
            return self._copy

    def data(self) -> bytes | np.ndarray:
        """The frame: bytes of a JPEG, or uint8 (h, w, 3) RGB of its own."""
        return self.copy_out()

    def _free(self) -> None:
        self._link.send(b"free %d %d\n" % (self._pool.number, self._slot))

    def __del__(self) -> None:
        with contextlib.suppress(Exception):  # the interpreter may be half taken apart
            if self._copy is None:
                self._free()
