"""Ctrl-C and SIGTERM while training: wait for the end of the batch, then stop."""

from __future__ import annotations

import contextlib
import logging
import signal
import threading
from collections.abc import Iterator
from typing import Any

from edge_runtime.console import Terminated

_log = logging.getLogger("trainer")

_asked: list[type[BaseException]] = []


@contextlib.contextmanager
def patient_signals() -> Iterator[None]:
    """Within the block the first SIGINT or SIGTERM only asks; a second one acts at once.

    Outside the main thread (a notebook's worker, tests) signals stay as they are.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {}

    def ask(number: int, frame: Any) -> None:
        error = KeyboardInterrupt if number == signal.SIGINT else Terminated
        if _asked:
            raise error
        _asked.append(error)
        _log.warning("Stopping after this batch; once more stops at once.")

    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) != signal.SIG_IGN:  # a background job ignores Ctrl-C
            before[number] = signal.signal(number, ask)
    try:
        yield
    finally:
        _asked.clear()
        for number, handler in before.items():
            signal.signal(number, handler)


def check_stop() -> None:
    """Raise KeyboardInterrupt or Terminated if it was asked for."""
    if _asked:
        raise _asked[0]()
