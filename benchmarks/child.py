"""Ask a fresh child process, and survive whatever becomes of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from edge_runtime.errors import EdgeError, MissingComponent

#: The command of the child. Its working folder is the one that holds this package, so that
#: a folder of the user's that is called ``benchmarks`` cannot take its place.
COMMAND = (sys.executable, "-m", "benchmarks.worker")
_HOME = Path(__file__).resolve().parent.parent

_HINTS = {
    "SIGKILL": "often the kernel's answer to a lack of memory",
    "SIGILL": "the interpreter was built for another CPU",
    "SIGSEGV": "a crash inside the interpreter",
    "SIGABRT": "a crash inside the interpreter",
}


def ask(request: dict[str, Any], timeout: float) -> dict[str, Any]:
    """Start :mod:`benchmarks.worker`, hand it a request, and return its answer.

    The process is started anew, not forked, so that nothing of this one's memory is in it.

    Args:
        request: See :mod:`benchmarks.worker`.
        timeout: Seconds until the child is killed.

    Raises:
        MissingComponent: A package is not installed; the message names the extra.
        EdgeError: The child failed, crashed or took too long; the message says which.
    """
    try:
        done = subprocess.run(
            COMMAND,
            input=json.dumps(request).encode(),
            capture_output=True,
            timeout=timeout,
            cwd=_HOME,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise EdgeError(
            f"no answer within {timeout:g} s. Allow more with --timeout, or ask for fewer --min-runs."
        ) from error
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


def absolute(path: str | os.PathLike[str]) -> str:
    """A path that holds in the child's working folder too."""
    return os.path.abspath(os.fspath(path))
