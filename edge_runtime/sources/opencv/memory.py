"""Shared memory in slots, without a name that could be left behind."""

from __future__ import annotations

import fcntl
import mmap
import os
import tempfile

import numpy as np

_PAGE = mmap.PAGESIZE


def nameless_file(folder: str | None = None) -> int:
    """Descriptor of a file that vanishes with its last descriptor and mapping.

    In memory where the system has such files (memfd_create(2) of Linux, a file of ``/dev/shm``
    that is removed at once), else in the folder for temporary files.

    Args:
        folder: Where to make it instead.
    """
    create = getattr(os, "memfd_create", None)
    if create is not None and folder is None:
        descriptor: int = create("edge-classify", os.MFD_CLOEXEC)
        return descriptor
    place = folder or ("/dev/shm" if os.path.isdir("/dev/shm") else None)  # noqa: S108
    descriptor, path = tempfile.mkstemp(prefix="edge-classify-", dir=place)
    os.unlink(path)
    return descriptor


def nameless_log() -> int:
    """Such a file for what a child says, which either side may empty: writers append."""
    descriptor = nameless_file()
    flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
    fcntl.fcntl(descriptor, fcntl.F_SETFL, flags | os.O_APPEND)
    return descriptor


class Pool:
    """Slots of one size in shared memory.

    Attributes:
        number: Tells pools apart: a new one is made when frames outgrow their slots.
        slot_bytes: Bytes of a slot.
    """

    def __init__(self, number: int, slot_bytes: int, count: int, descriptor: int) -> None:
        """Map a descriptor's memory, which it is made to have; the caller closes it afterwards."""
        self.number, self.slot_bytes = number, slot_bytes
        size = slot_bytes * count
        if os.fstat(descriptor).st_size < size:
            os.ftruncate(descriptor, size)
        self._map = mmap.mmap(descriptor, size)

    def view(self, slot: int, size: int) -> np.ndarray:
        """The first bytes of a slot, uint8 (size,); keeps the memory alive."""
        return np.frombuffer(self._map, np.uint8, size, slot * self.slot_bytes)


def slot_bytes_for(size: int) -> int:
    """Whole pages for a frame of so many bytes."""
    return -(-size // _PAGE) * _PAGE
