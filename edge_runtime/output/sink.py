"""Where answers go to: standard output, or a file that is whole or absent."""

from __future__ import annotations

import contextlib
import os
import stat
import sys
from collections.abc import Callable, Iterator
from typing import IO

from ..errors import UsageError

Write = Callable[[str], object]


def to_stdout(text: str) -> None:
    """Write and flush, so that a reader of a pipe gets each answer as it comes.

    Raises:
        OSError: The reader is gone, or the disk is full; what is left unwritten is dropped then,
            or Python would try, and fail, once more at its end.
    """
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError as error:
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            raise
        raise OSError(error.errno, error.strerror, "standard output") from error


@contextlib.contextmanager
def to_file(path: str, overwrite: bool) -> Iterator[Write]:
    """Write a file that takes its name when all answers are in it.

    Args:
        path: A device or a pipe is written to as it is.
        overwrite: Whether an existing file may be replaced.

    Raises:
        OutputExists: It is there.
        SystemFailure: Disk full or no permission.
    """
    from ..files import atomic_file, system_failures

    with contextlib.ExitStack() as stack:
        if is_special(path):
            place: str | os.PathLike[str] = path
            stack.enter_context(system_failures(path))
        else:
            # A link to a file stays one.
            place = stack.enter_context(atomic_file(os.path.realpath(path), overwrite))
        stream = stack.enter_context(_open(place, "w"))
        yield stream.write


@contextlib.contextmanager
def appended(path: str, head: str, begin: str, overwrite: bool) -> Iterator[Write]:
    """Write line by line to a file that a run without an end adds to.

    Args:
        path: Made if it is not there.
        head: Written into an empty file.
        begin: What a file that is not empty has to begin with.
        overwrite: Whether what it holds is dropped.

    Raises:
        UsageError: It begins with something else.
        SystemFailure: Disk full or no permission.
    """
    from ..files import system_failures

    with system_failures(path):
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        with _open(path, "w" if overwrite else "a") as stream:
            if stream.seekable() and stream.tell():
                # The last line of a run that was cut off is ended, so that the next one is whole.
                head = "" if _ends_whole(path, begin) else "\n"

            def write(text: str) -> None:
                stream.write(text)
                stream.flush()

            if head:
                write(head)
            yield write


def _ends_whole(path: str, begin: str) -> bool:
    with open(path, "rb") as stream:
        if stream.read(len(begin.encode())) != begin.encode():
            raise UsageError(
                f"{path}: holds something else than these answers would be added to. "
                "Choose another name, or replace it with --overwrite."
            )
        stream.seek(-1, os.SEEK_END)
        return stream.read(1) == b"\n"


def _open(path: str | os.PathLike[str], mode: str) -> IO[str]:
    # Bytes of names that are not UTF-8 would make a file that readers refuse.
    return open(path, mode, encoding="utf-8", errors="backslashreplace", newline="")


def is_special(path: str) -> bool:
    """Whether a path is a device, a pipe, or a name of an open file such as ``/dev/stdout``."""
    if path.startswith(("/dev/", "/proc/")) and not path.startswith("/dev/shm/"):  # noqa: S108
        return True
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))
