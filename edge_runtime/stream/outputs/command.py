"""``--exec``: a program that is started for each event, which it reads from standard input.

One at a time. No shell: the words are split as a shell does it, and handed over as they are, so
that a label cannot become a command. Who wants a shell writes ``sh -c '...'``.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Collection

from ...errors import EdgeError, SystemFailure, UsageError
from ..results import Event
from ..status import Status
from .base import Output
from .messages import message, state_of
from .tail import Tail

#: Seconds between SIGTERM and SIGKILL.
_GRACE = 1.0

#: Seconds that a program has that is under way when the stream ends.
_FAREWELL = 3.0

_POLL = 0.05

#: Characters of one variable: Linux takes 128 kB.
_LONGEST = 4096


class Command(Output):
    """Runs a program."""

    name = "exec"
    wants_pictures = False
    wants_results = False
    capacity = 32

    def __init__(
        self, command: str, status: Status, kinds: Collection[str], seconds: float = 10.0
    ) -> None:
        """Find the program; nothing runs yet.

        Args:
            command: Program and arguments, as in a shell.
            status: Of the stream, for the source's name.
            kinds: Of events that it is run for.
            seconds: That it may take; then it is killed, with its children.

        Raises:
            UsageError: Quotes that do not close, or no such program.
        """
        try:
            self._words = shlex.split(command)
        except ValueError as error:
            raise UsageError(f"--exec: {error} in {command!r}.") from error
        if not self._words:
            raise UsageError("--exec: the command is empty.")
        if shutil.which(self._words[0]) is None:
            raise UsageError(
                f"--exec: there is no program {self._words[0]!r} that could be run. For a shell "
                "write: --exec \"sh -c '...'\""
            )
        self._source, self._kinds, self._seconds = status.source, kinds, seconds
        self._hurried = threading.Event()

    def event(self, event: Event) -> None:
        """Run it, and wait for its end.

        Raises:
            EdgeError: It took too long, or ended with an exit code.
            SystemFailure: It could not be started.
        """
        if event.kind not in self._kinds:
            return
        told = json.dumps(message(event, self._source)) + "\n"
        try:
            process = self._start(told, _environment(event, self._source))
        except OSError as error:
            raise SystemFailure(f"{self._words[0]}: {error.strerror or error}.") from error
        tail = Tail(process.stderr)
        try:
            done = self._wait(process)
        finally:
            _kill(process)
        said = tail.last_line()
        if not done:
            raise EdgeError(f"{self._words[0]}: took too long, and was killed.{said}")
        if process.returncode:
            raise EdgeError(f"{self._words[0]}: ended with {process.returncode}.{said}")

    def hurry(self) -> None:
        """Grant what runs a moment, and start nothing that would take longer."""
        self._hurried.set()

    def _start(self, told: str, environment: dict[str, str]) -> subprocess.Popen[bytes]:
        with tempfile.TemporaryFile() as given:  # unlike a pipe it waits for no reader
            given.write(told.encode())
            given.seek(0)
            return subprocess.Popen(
                self._words,
                stdin=given,
                stdout=subprocess.DEVNULL,  # ours is for results
                stderr=subprocess.PIPE,
                env={**os.environ, **environment},
                start_new_session=True,  # a group of its own, which can be killed as a whole
            )

    def _wait(self, process: subprocess.Popen[bytes]) -> bool:
        """Whether it ended in time."""
        end, hurried = time.monotonic() + self._seconds, False
        while time.monotonic() < end:
            try:
                process.wait(_POLL)
                return True
            except subprocess.TimeoutExpired:
                if self._hurried.is_set() and not hurried:
                    hurried, end = True, min(end, time.monotonic() + _FAREWELL)
        return False


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End a program that did not end by itself, and its children."""
    if process.poll() is None:
        _signal(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE)
        _signal(process.pid, signal.SIGKILL)
        process.wait()


def _signal(group: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _environment(event: Event, source: str) -> dict[str, str]:
    data = event.data
    values = {
        "EDGE_EVENT": event.kind,
        "EDGE_TIME": event.to_dict()["time"],
        "EDGE_SOURCE": source,
        "EDGE_STATE": state_of(event) if event.kind == "label" else data.get("state"),
        "EDGE_LABEL": data.get("label"),
        "EDGE_SCORE": data.get("score"),
        "EDGE_FRAME": data.get("frame"),
    }
    told = {name: "" if value is None else str(value) for name, value in values.items()}
    # An environment holds no NUL, and nothing very long; standard input has it as it is.
    return {name: value.replace("\0", "")[:_LONGEST] for name, value in told.items()}
