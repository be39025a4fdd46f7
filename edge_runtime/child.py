"""Ask a fresh Python process, and survive whatever becomes of it.

The parent calls :func:`ask` with the command of :func:`module_command`; the module's ``main``
calls :func:`serve`. Request and answer are one JSON object each, on stdin and stdout. The process
is started anew, not forked, so that nothing of the parent's memory is in it.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from .errors import EdgeError, MissingComponent, first_line

#: The child's working folder is the one that holds the packages, so that a folder of the
#: user's that is called like one of them cannot take its place.
_HOME = Path(__file__).resolve().parent.parent

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
) -> dict[str, Any]:
    """Start a process, hand it a request, and return its answer.

    Args:
        command: Program and arguments. Paths in the request have to be absolute: the child works
            in another folder.
        request: JSON object.
        timeout: Seconds until the child is killed; None for as long as it takes.
        env: Environment variables on top of this process's.
        remedy: What the user can do when the time is up; ends the message.

    Raises:
        MissingComponent: A package is not installed; the message names the extra.
        EdgeError: The child failed, crashed or took too long; the message says which.
    """
    try:
        done = subprocess.run(
            command,
            input=json.dumps(request).encode(),
            capture_output=True,
            timeout=timeout,
            cwd=_HOME,
            env={**os.environ, **(env or {})},
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise EdgeError(f"no answer within {timeout:g} s. {remedy}".rstrip()) from error
    if done.returncode:
        raise EdgeError(_why(done.returncode, done.stderr))
    try:
        answer = json.loads(done.stdout)
    except ValueError as error:
        raise EdgeError(f"the process answered no JSON{_last_line(done.stderr)}.") from error
    if not isinstance(answer, dict):
        raise EdgeError(f"the process answered {type(answer).__name__}, expected an object.")
    if "error" in answer:
        raise (MissingComponent if answer["missing"] else EdgeError)(answer["error"])
    return answer


def serve(work: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Answer the request on stdin: the other side of :func:`ask`.

    Args:
        work: From the request to the answer. What it raises becomes the answer's ``error``.
    """
    with _private_stdout() as out:
        try:
            answer = work(json.load(sys.stdin))
        except EdgeError as error:
            answer = {"error": str(error), "missing": isinstance(error, MissingComponent)}
        except Exception as error:  # an interpreter's own: a reason for the report, not its end
            reason = first_line(error, otherwise="no reason given")
            answer = {"error": f"unexpected {type(error).__name__}: {reason}", "missing": False}
        json.dump(answer, out)


@contextlib.contextmanager
def _private_stdout() -> Iterator[TextIO]:
    """The real stdout; what interpreters print to descriptor 1 goes to stderr meanwhile."""
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as out:
        os.dup2(2, 1)
        yield out


def _why(code: int, stderr: bytes) -> str:
    if code > 0:
        return f"the process failed with exit code {code}{_last_line(stderr)}."
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    hint = f" ({_HINTS[name]})" if name in _HINTS else ""
    return f"the process died of {name}{hint}{_last_line(stderr)}."


def _last_line(stderr: bytes) -> str:
    lines = stderr.decode(errors="replace").strip().splitlines()
    return f": {lines[-1].strip().rstrip('.')}" if lines else ""
