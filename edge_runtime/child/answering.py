"""The side of a child process that answers; :mod:`edge_runtime.child.asking` is the side that asks.

A message is one JSON object a line: ``{"log": LOGGER, "level": NUMBER, "text": LINE}`` as often as
there is something to say, then the answer, or ``{"error": MESSAGE, "class": NAME}`` with the class
of :mod:`edge_runtime.errors` that it is, and for what nobody expected the ``traceback``.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import queue
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from typing import Any, TextIO

from .. import errors
from ..errors import EdgeError, first_line, system_failure

#: From a request to its answer, both JSON objects.
Work = Callable[[dict[str, Any]], dict[str, Any]]


def serve(work: Work) -> None:
    """Answer the request on stdin: the other side of :func:`ask`.

    Args:
        work: From the request to the answer. What it raises becomes the answer's ``error``.
    """
    with _private_stdout() as out:
        json.dump(_outcome(work, sys.stdin.read()), out)


def serve_session(work: Work) -> None:
    """Answer requests line by line until stdin ends: the other side of :class:`Session`.

    Args:
        work: From a request to its answer. What it raises is raised in the parent; what it logs,
            logged there.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to act upon
    requests: queue.SimpleQueue[str] = queue.SimpleQueue()
    lines = sys.stdin
    threading.Thread(target=_listen, args=(lines, requests), daemon=True).start()
    with _private_stdout() as out:
        speaking = threading.Lock()

        def send(message: dict[str, Any]) -> None:
            with speaking:
                print(json.dumps(message), file=out, flush=True)

        _log_to(send)
        while True:
            send(_outcome(work, requests.get()))


def _listen(lines: TextIO, requests: queue.SimpleQueue[str]) -> None:
    """Queue what is asked; a parent that is gone, however it went, ends the work under way."""
    for line in lines:
        requests.put(line)
    os._exit(0)


class _Relay(logging.Handler):
    def __init__(self, send: Callable[[dict[str, Any]], None]) -> None:
        super().__init__()
        self._send = send

    def emit(self, record: logging.LogRecord) -> None:
        self._send({"log": record.name, "level": record.levelno, "text": record.getMessage()})


def _log_to(send: Callable[[dict[str, Any]], None]) -> None:
    from ..console import LOGGERS

    for name in LOGGERS:
        logger = logging.getLogger(name)
        logger.propagate = False
        logger.handlers[:] = [_Relay(send)]
        logger.setLevel(logging.DEBUG)  # the parent chooses


def _outcome(work: Work, request: str) -> dict[str, Any]:
    """The answer, or what stands for it: ``error``, and ``class`` of the toolkit's errors."""
    try:
        return work(json.loads(request))
    except EdgeError as error:
        return {"error": str(error), "class": _own_class(error)}
    except Exception as error:  # an interpreter's own: a reason for the report, not its end
        trace = "".join(traceback.format_exception(error))
        failure = system_failure(error)
        if failure is not None:
            return {"error": str(failure), "class": _own_class(failure), "traceback": trace}
        reason = first_line(error, otherwise="no reason given")
        text = f"unexpected {type(error).__name__}: {reason}"
        return {"error": text, "class": "EdgeError", "traceback": trace}


def _own_class(error: EdgeError) -> str:
    """The nearest class that the parent knows, too."""
    name: str = next(
        kind.__name__
        for kind in type(error).__mro__
        if getattr(errors, kind.__name__, None) is kind
    )
    return name


@contextlib.contextmanager
def _private_stdout() -> Iterator[TextIO]:
    """The real stdout; what interpreters print to descriptor 1 goes to stderr meanwhile."""
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as out:
        os.dup2(2, 1)
        yield out
