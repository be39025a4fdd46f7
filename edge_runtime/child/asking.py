"""Ask a fresh Python process, and survive whatever becomes of it.

The parent calls :func:`ask`, or keeps a :class:`Session`, with the command of
:func:`module_command`; the module's ``main`` calls a function of :mod:`.answering`. Request
and answer are one JSON object each, on stdin and stdout. The process is started anew, not forked,
so that nothing of the parent's memory is in it.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from .. import errors
from ..errors import ChildDied, EdgeError, Overdue
from ..procfs import resident_bytes
from .pipes import Silence, Talk

#: The child's working folder is the one that holds the packages, so that a folder of the
#: user's that is called like one of them cannot take its place.
_HOME = Path(__file__).resolve().parents[2]

#: Seconds that a child has to end by itself once nothing more is asked of it.
_FAREWELL = 5.0

#: Seconds between two looks at a child's memory: time for some 100 MB.
_GLANCE = 0.02

_HINTS = {
    "SIGKILL": "often the kernel's answer to a lack of memory",
    "SIGILL": "the interpreter was built for another CPU",
    "SIGSEGV": "a crash inside the interpreter",
    "SIGABRT": "a crash inside the interpreter",
}


def module_command(module: str) -> tuple[str, ...]:
    """The command that runs one of the toolkit's modules in a process of its own."""
    return (sys.executable, "-m", module)


def ask(
    command: Sequence[str],
    request: Mapping[str, Any],
    timeout: float | None = None,
    env: Mapping[str, str] | None = None,
    remedy: str = "",
    memory: int | None = None,
) -> dict[str, Any]:
    """Start a process, hand it a request, and return its answer.

    Args:
        command: Program and arguments. Paths in the request have to be absolute: the child works
            in another folder.
        request: JSON object.
        timeout: Seconds until the child is killed; None for as long as it takes.
        env: Environment variables on top of this process's.
        remedy: What the user can do when the time is up, or the memory; ends the message.
        memory: Bytes of memory (resident, on Linux) at which the child is killed; None for as
            much as there is.

    Raises:
        ChildDied: The child crashed, was killed, or ended with an exit code.
        Overdue: It took too long.
        EdgeError: The child failed; what it raised of the toolkit's own errors keeps its class.
    """
    pipe = subprocess.PIPE
    end = None if timeout is None else time.monotonic() + timeout
    given: bytes | None = json.dumps(request).encode()
    with subprocess.Popen(
        command,
        stdin=pipe,
        stdout=pipe,
        stderr=pipe,
        cwd=_HOME,
        env={**os.environ, **(env or {})},
    ) as process:
        try:
            while True:
                left = None if end is None else max(0.0, end - time.monotonic())
                if memory is not None:
                    left = _GLANCE if left is None else min(_GLANCE, left)
                try:
                    out, err = process.communicate(given, left)
                    break
                except subprocess.TimeoutExpired as error:
                    if end is not None and time.monotonic() >= end:
                        raise Overdue(_overdue(timeout, remedy)) from error
                    _check_memory(process.pid, memory, remedy)
                    given = None  # it has been taken over, whether it is written yet or not
        except BaseException:
            process.kill()
            raise
    if process.returncode:
        raise ChildDied(_why(process.returncode, err))
    return _raised(_parsed(out, err))


def _check_memory(pid: int, limit: int | None, remedy: str) -> None:
    """Raise ChildDied if a process holds more than it may; where /proc is missing, never."""
    if limit is not None and (resident_bytes(pid) or 0) > limit:
        text = f"the process took more than {limit / 1e6:.0f} MB of memory. {remedy}"
        raise ChildDied(text.rstrip())


class Session:
    """A child process that answers one request after the other, so that they share its start.

    The process starts with the first request. One that died, took too long, or was interrupted is
    replaced at the next. What it logs meanwhile appears in this process's logs. To be used from
    one thread at a time; leaving the ``with`` block, by Ctrl-C or SIGTERM too, ends the process,
    and so does the end of this one.

    Example::

        with Session(module_command("exporter.converter")) as session:
            session.ask({"format": "tflite-fp32"})
            session.ask({"format": "tflite-int8"})
    """

    def __init__(self, command: Sequence[str], env: Mapping[str, str] | None = None) -> None:
        """Remember what to start.

        Args:
            command: Program and arguments; the program calls ``serve_session``. It works in
                another folder, so paths in requests have to be absolute.
            env: Environment variables on top of this process's.
        """
        self._command, self._env = tuple(command), dict(env or {})
        self._process: subprocess.Popen[bytes] | None = None
        self._talk: Talk | None = None

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close(patiently=kind is None)

    @property
    def pid(self) -> int | None:
        """Number of the running process; None before the first request and after a death."""
        return None if self._process is None else self._process.pid

    def ask(
        self, request: Mapping[str, Any], timeout: float | None = None, remedy: str = ""
    ) -> dict[str, Any]:
        """Hand over a request and wait for its answer.

        Args:
            request: JSON object.
            timeout: Seconds until the child is killed; None for as long as it takes.
            remedy: What the user can do when the time is up; ends the message.

        Raises:
            ChildDied: The child crashed, was killed, or ended; the message says how.
            Overdue: It took too long.
            EdgeError: The child failed; what it raised of the toolkit's own errors keeps its
                class, a refusal of the system is a SystemFailure.
        """
        process, talk = self._running()
        try:
            for line in talk.exchange(json.dumps(request).encode() + b"\n", timeout):
                message = _parsed(line, talk.said)
                if "log" not in message:
                    break
                _relay(message)
            else:
                raise ChildDied(_why(_end_of(process), talk.said))
        except Silence as error:
            self.close(patiently=False)
            raise Overdue(_overdue(timeout, remedy)) from error
        except BaseException:  # out of step with it: its next line would answer this request
            self.close(patiently=False)
            raise
        return _raised(message)

    def close(self, patiently: bool = True) -> None:
        """End the process, if there is one; the next :meth:`ask` starts another.

        Args:
            patiently: Whether it may end by itself; else it is killed.
        """
        process, self._process, self._talk = self._process, None, None
        if process is None:
            return
        if not patiently:
            process.kill()
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()
        _end_of(process)

    def _running(self) -> tuple[subprocess.Popen[bytes], Talk]:
        if self._process is None or self._talk is None or self._process.poll() is not None:
            self.close(patiently=False)
            pipe = subprocess.PIPE
            self._process = subprocess.Popen(
                self._command,
                stdin=pipe,
                stdout=pipe,
                stderr=pipe,
                bufsize=0,
                cwd=_HOME,
                env={**os.environ, **self._env},
            )
            self._talk = Talk(self._process)
        return self._process, self._talk


def _end_of(process: subprocess.Popen[bytes]) -> int:
    """Exit code of a process that has nothing left to do; killed if it goes on all the same."""
    try:
        return process.wait(_FAREWELL)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def _relay(message: Mapping[str, Any]) -> None:
    logging.getLogger(message["log"]).log(message["level"], "%s", message["text"])


class _Elsewhere(Exception):
    """The traceback of another process."""


def _raised(message: dict[str, Any]) -> dict[str, Any]:
    """The answer; or raises the error that stands in its place."""
    if "error" not in message:
        return message
    trace = message.get("traceback")
    kind = getattr(errors, str(message.get("class")), EdgeError)
    raise kind(message["error"]) from (None if trace is None else _Elsewhere(f"\n{trace}"))


def _parsed(text: bytes, stderr: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(text)
    except ValueError as error:
        raise EdgeError(f"the process answered no JSON{_last_line(stderr)}.") from error
    if not isinstance(answer, dict):
        raise EdgeError(f"the process answered {type(answer).__name__}, expected an object.")
    return answer


def _overdue(timeout: float | None, remedy: str) -> str:
    return f"no answer within {timeout:g} s. {remedy}".rstrip()


def _why(code: int, stderr: bytes) -> str:
    if code > 0:
        return f"the process failed with exit code {code}{_last_line(stderr)}."
    if code == 0:
        return f"the process ended without an answer{_last_line(stderr)}."
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    hint = f" ({_HINTS[name]})" if name in _HINTS else ""
    return f"the process died of {name}{hint}{_last_line(stderr)}."


def _last_line(stderr: bytes) -> str:
    lines = stderr.decode(errors="replace").strip().splitlines()
    return f": {lines[-1].strip().rstrip('.')}" if lines else ""
