"""``--state FILE``: a small JSON object about a running stream, for whoever looks after it."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import stat
import threading
from pathlib import Path
from types import TracebackType
from typing import Any

from ..errors import SystemFailure, UsageError
from .status import Status

_log = logging.getLogger("edge_runtime")

#: Seconds between two writings, and how soon after one an event may cause the next.
_PERIOD, _SOONEST = 1.0, 0.1

#: Keys of a snapshot that are too long for a small file.
_LONG = ("histograms", "last")


class StateFile:
    """Replaces a file about once a second, and when something happens, on a thread of its own.

    The file is renamed into its place, so that a reader meets a whole one. It is not synced: it says
    nothing after a crash, and an SD card would be worn for nothing; best it lies in /run.
    """

    def __init__(self, path: str, status: Status, period: float = _PERIOD) -> None:
        """Write it once, and start the thread.

        Args:
            path: The file; its folder has to be there.
            status: What is written.
            period: Seconds.

        Raises:
            UsageError: It is a folder, a device or a pipe.
            SystemFailure: It cannot be written.
        """
        self._path, self._status, self._period = Path(path), status, period
        self._new = self._path.with_name(f".{self._path.name}.new")
        self._woken, self._ended = threading.Event(), threading.Event()
        self._warned = False
        with contextlib.suppress(OSError):
            if not stat.S_ISREG(os.stat(path).st_mode):
                raise UsageError(f"--state {path}: not a file, and it would be replaced by one.")
        try:
            self._write()
        except OSError as error:
            raise SystemFailure(
                f"--state {path}: {error.strerror}. Name a file in a folder that is there and may "
                "be written to, such as one below /run."
            ) from error
        status.watch(self._woken.set)
        self._thread = threading.Thread(target=self._work, name="state-file", daemon=True)
        self._thread.start()

    def __enter__(self) -> StateFile:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Write it for the last time, in five seconds at most; it stays there."""
        self._ended.set()
        self._woken.set()
        self._thread.join(5.0)  # a file system that hangs keeps the thread

    def _work(self) -> None:
        while not self._ended.is_set():
            self._woken.wait(self._period)
            self._ended.wait(_SOONEST)  # several events at once are one writing
            self._woken.clear()
            self._try_to_write()
        self._try_to_write()  # what came to an end while the last one was written

    def _try_to_write(self) -> None:
        try:
            self._write()
            self._warned = False
        except OSError as error:
            if not self._warned:
                _log.warning("--state %s: %s", self._path, error.strerror)
            self._warned = True

    def _write(self) -> None:
        # A key a line; json's own indentation leaves a cycle of objects behind at each call.
        state = state_of(self._status.snapshot())
        lines = ",\n".join(f"{json.dumps(key)}: {json.dumps(state[key])}" for key in state)
        self._new.write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")
        os.replace(self._new, self._path)


def state_of(snapshot: dict[str, Any]) -> dict[str, Any]:
    """What the file holds of :meth:`Status.snapshot <edge_runtime.stream.status.Status.snapshot>`.

    In place of the histograms and the last result: ``infer_ms``, ``total_ms`` and ``age_ms``, each
    with ``p50``, ``p95`` and ``max`` since the start; and ``last_age_ms``, how old the last frame was
    when its inference started.
    """
    last = snapshot["last"]
    times = {
        name: {key: histogram[key] for key in ("p50", "p95", "max")}
        for name, histogram in snapshot["histograms"].items()
    }
    age = {"last_age_ms": None if last is None else last["age_ms"]}
    return {key: value for key, value in snapshot.items() if key not in _LONG} | times | age
