"""Pictures for a process of its own: the side that sends, and what both sides agree on.

A message is a line of JSON, and behind it the bytes that its ``bytes`` counts: a picture, RGB, row by
row. The process answers with lines of JSON on its standard output. It ends when its input does, so
that whatever becomes of us, it can finish what it writes; signals to a whole group pass it by.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import threading
from collections.abc import Iterator
from typing import IO, Any

from ... import errors
from ...child.asking import module_command
from ...errors import EdgeError, SystemFailure
from .tail import Tail

#: The working folder of the process is the one that holds the packages.
_HOME = os.path.abspath(os.path.join(os.path.dirname(__file__), *[os.pardir] * 3))

Answer = dict[str, Any]


class PictureProcess:
    """The process, as seen from here; used by one thread."""

    def __init__(self, module: str, what: str) -> None:
        """Start it.

        Args:
            module: Whose ``main`` reads with :func:`messages` and writes with :func:`say`.
            what: Its name in errors.
        """
        self._what = what
        self._process = subprocess.Popen(
            module_command(module),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=_HOME,
            start_new_session=True,
        )
        self._tail = Tail(self._process.stderr)
        self._answers: queue.SimpleQueue[Answer | None] = queue.SimpleQueue()
        threading.Thread(target=self._listen, daemon=True).start()

    def send(self, message: dict[str, Any], picture: bytes = b"") -> None:
        """Hand over a message; waits while the process is busy with earlier ones.

        Raises:
            SystemFailure: It is gone.
        """
        stream = self._process.stdin
        head = json.dumps({**message, "bytes": len(picture)}).encode() + b"\n"
        try:
            if stream is None:
                raise BrokenPipeError
            stream.write(head)
            stream.write(picture)
            stream.flush()
        except (OSError, ValueError) as error:
            raise self._gone() from error

    def answer(self, seconds: float) -> Answer:
        """Wait for its next line.

        Raises:
            SystemFailure: It is gone, or silent for too long.
            EdgeError: What it says went wrong, with its class.
        """
        try:
            found = self._answers.get(timeout=seconds)
        except queue.Empty:
            raise SystemFailure(f"{self._what}: no answer for {seconds:g} s.") from None
        if found is None:
            self._answers.put(None)
            raise self._gone()
        return _raised(found)

    @property
    def ended(self) -> int | None:
        """Its exit code; None while it runs."""
        return self._process.poll()

    def close(self, seconds: float) -> bool:
        """End its input, and let it finish; whether it did. Else it is killed."""
        with contextlib.suppress(OSError, ValueError):
            if self._process.stdin is not None:
                self._process.stdin.close()
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            return False
        return True

    def _listen(self) -> None:
        stream = self._process.stdout
        with contextlib.suppress(OSError, ValueError):
            for line in stream or ():
                with contextlib.suppress(ValueError):  # what a library printed there
                    self._answers.put(dict(json.loads(line)))
        self._answers.put(None)

    def _gone(self) -> SystemFailure:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(1)
        code = self._process.returncode
        how = "is gone" if code is None else f"ended with {code}"
        return SystemFailure(f"{self._what}: its process {how}.{self._tail.last_line()}")


def messages(stream: IO[bytes]) -> Iterator[tuple[dict[str, Any], bytes]]:
    """What the process is told, until there is no more; half a message at the end is left out."""
    while line := stream.readline():
        try:
            head = json.loads(line)
        except ValueError:
            return
        picture = stream.read(head["bytes"])
        if len(picture) < head["bytes"]:
            return
        yield head, picture


def say(stream: IO[bytes], message: Answer) -> None:
    """Answer, in the process; nobody listens any more where the parent was killed."""
    with contextlib.suppress(OSError):
        stream.write(json.dumps(message).encode() + b"\n")
        stream.flush()


def own_streams() -> tuple[IO[bytes], IO[bytes]]:
    """Input and output of the process, which libraries that print to descriptor 1 cannot reach."""
    given, told = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return given, told


def ignore_signals() -> None:
    """Outlive a SIGTERM to the whole control group, which systemd sends: the parent decides."""
    import signal

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def _raised(answer: Answer) -> Answer:
    if "error" not in answer:
        return answer
    kind = getattr(errors, str(answer.get("class")), SystemFailure)
    if not (isinstance(kind, type) and issubclass(kind, EdgeError)):
        kind = SystemFailure
    raise kind(answer["error"])
