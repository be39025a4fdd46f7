"""Silence for C++ libraries that write to stderr or stdout whatever their log level."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import sys
from collections.abc import Iterator
from typing import TextIO


@contextlib.contextmanager
def quiet_stderr() -> Iterator[None]:
    """Throw away what is written to file descriptor 2 meanwhile; exceptions are not lost.

    What other threads log waits.
    """
    with messages_held(), _quiet(2, sys.stderr):
        yield


@contextlib.contextmanager
def messages_held() -> Iterator[None]:
    """Let other threads wait with what they log."""
    with contextlib.ExitStack() as locks:
        for handler in logging.getLogger("edge_runtime").handlers:
            if handler.lock is not None:
                locks.enter_context(handler.lock)
        yield


@contextlib.contextmanager
def quiet_stdout() -> Iterator[None]:
    """Throw away what is written to file descriptor 1 meanwhile: it is for results."""
    import ctypes

    with _quiet(1, sys.stdout):
        try:
            yield
        finally:
            ctypes.CDLL(None).fflush(None)  # or C would write it later


@functools.lru_cache(maxsize=1)
def silence_libtiff() -> None:
    """Have libtiff write nothing to stderr, in this process and on all threads; errors still raise.

    Its two handlers are switched off, see https://libtiff.gitlab.io/libtiff/functions/TIFFError.html:
    turning file descriptor 2 away would take the messages of other threads along.
    """
    import ctypes

    # A Pillow without libtiff, or one that has it inside, offers no handlers.
    with contextlib.suppress(OSError, AttributeError, KeyError):
        # What libtiff hangs on, whatever its own file is called.
        library = ctypes.CDLL(sys.modules["PIL._imaging"].__file__)
        for setter in (library.TIFFSetErrorHandler, library.TIFFSetWarningHandler):
            setter.argtypes, setter.restype = [ctypes.c_void_p], ctypes.c_void_p
            setter(None)


@contextlib.contextmanager
def _quiet(descriptor: int, stream: TextIO | None) -> Iterator[None]:
    if stream is not None:
        stream.flush()
    try:
        kept = os.dup(descriptor)
    except OSError:  # started without it
        yield
        return
    try:
        with open(os.devnull, "wb") as sink:
            os.dup2(sink.fileno(), descriptor)
        yield
    finally:
        os.dup2(kept, descriptor)
        os.close(kept)
