"""The stores of decoded photos as folders beside each other: using, counting and removing them.

Whoever has a store open, or pixels of it mapped, holds a shared lock on its ``pixels.bin``; to
remove it takes an exclusive one, so that nobody loses a store that he fills or trains from. One
more lock, ``.lock`` beside the stores, is held while pixels are written: so the stores together
keep to their limit, and the pixels within a store to their order.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from edge_runtime.files import size_of

_PIXELS, _LOCK = "pixels.bin", ".lock"

#: How often a store may be removed by others while it is being opened.
_ATTEMPTS = 100


def hold_store(folder: Path) -> int:
    """Make or open ``pixels.bin`` of a store; the store stays until every copy is closed.

    Returns:
        A descriptor with a shared lock.

    Raises:
        OSError: The folder cannot be written.
    """
    import fcntl

    for _ in range(_ATTEMPTS):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            handle = _open(folder)
        except FileNotFoundError:  # removed between the two lines
            continue
        try:
            fcntl.flock(handle, fcntl.LOCK_SH)
            if _is_at(handle, folder / _PIXELS):
                return handle
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)  # removed while this waited for the lock
    raise FileNotFoundError(f"{folder} is removed again and again")


def remove_store(folder: Path) -> bool:
    """Remove a store unless somebody uses it, in this process or another.

    Returns:
        Whether it is gone.
    """
    import fcntl

    try:
        handle = _open(folder)
    except FileNotFoundError:  # the folder itself is gone
        return True
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        if _is_at(handle, folder / _PIXELS):  # else another process removed it just now
            aside = tempfile.mkdtemp(prefix=".old.", dir=folder.parent)
            os.rename(folder, os.path.join(aside, folder.name))
            shutil.rmtree(aside, ignore_errors=True)
        return not folder.exists()
    finally:
        os.close(handle)


def other_stores(folder: Path) -> list[tuple[float, Path, int]]:
    """The stores beside one: time of the last use, folder and bytes, oldest first."""
    found = []
    for other in folder.parent.iterdir():
        if other != folder and other.is_dir():
            with contextlib.suppress(OSError):  # it went away
                found.append((other.stat().st_mtime, other, size_of(other)))
    return sorted(found)


@contextlib.contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Keep other processes from writing into a store and those beside it."""
    import fcntl

    with open(folder.parent / _LOCK, "w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def _open(folder: Path) -> int:
    return os.open(folder / _PIXELS, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)


def _is_at(handle: int, path: Path) -> bool:
    """Whether a file that is open still lies at a path."""
    try:
        return os.path.samestat(os.fstat(handle), os.stat(path))
    except FileNotFoundError:
        return False
