"""One child process for many requests: its answers, its errors, its deaths."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from edge_runtime.child.asking import Session
from edge_runtime.errors import ChildDied, EdgeError, ModelError, SystemFailure

#: A child that does as it is told.
CHILD = """
import errno, logging, os, signal, sys, time
from edge_runtime.child.answering import serve_session
from edge_runtime.errors import ModelError

class NothingPassed(ModelError):
    "Known to this process only."

seen = []

def work(request):
    seen.append(request)
    todo = request.get("do")
    if todo == "refuse":
        raise NothingPassed("model.tflite: nothing passed")
    if todo == "full":
        raise OSError(errno.ENOSPC, "No space left on device", "/out/x")
    if todo == "full in C++":
        raise RuntimeError("UNKNOWN: /out/x; No space left on device")
    if todo == "stumble":
        return {}["x"]
    if todo == "die":
        print("last words", file=sys.stderr, flush=True)
        os.kill(os.getpid(), request["signal"])
        time.sleep(60)
    if todo == "exit":
        raise SystemExit(3)
    if todo == "sleep":
        time.sleep(600)
    if todo == "chatter":
        os.write(1, b"x" * 300_000 + b"\\n")  # more than a pipe holds
        logging.getLogger("exporter").info("tflite-fp32: %s", "converting")
        logging.getLogger("exporter.deep").debug("detail")
    return {"pid": os.getpid(), "count": len(seen), "size": len(str(request))}

serve_session(work)
"""


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    with Session((sys.executable, "-c", CHILD)) as session:
        yield session


def test_requests_share_a_process(session: Session) -> None:
    first = session.ask({})
    second = session.ask({"n": 2})
    assert first["pid"] == second["pid"] == session.pid
    assert second["count"] == first["count"] + 1


@pytest.mark.parametrize(
    ("todo", "kind", "said"),
    [
        # A class of the child's own comes as the nearest one that both know.
        ("refuse", ModelError, r"^model\.tflite: nothing passed$"),
        ("full", SystemFailure, "/out/x: No space left on device"),
        ("full in C++", SystemFailure, "No space left on device"),
        ("stumble", EdgeError, "unexpected KeyError: 'x'"),
    ],
)
def test_errors_keep_their_class(
    session: Session, todo: str, kind: type[EdgeError], said: str
) -> None:
    before = session.ask({})["pid"]
    with pytest.raises(kind, match=said) as caught:
        session.ask({"do": todo})
    assert type(caught.value) is kind
    assert session.ask({})["pid"] == before  # an error is an answer, no death
    assert (todo == "refuse") == (caught.value.__cause__ is None)  # else the child's traceback


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        ({"do": "die", "signal": int(signal.SIGKILL)}, r"SIGKILL \(.*memory.*\): last words"),
        ({"do": "die", "signal": int(signal.SIGSEGV)}, r"SIGSEGV \(a crash"),
        ({"do": "exit"}, "exit code 3"),
    ],
)
def test_death_is_told_and_mended(session: Session, request_: dict, said: str) -> None:
    before = session.ask({})["pid"]
    with pytest.raises(ChildDied, match=said):
        session.ask(request_)
    after = session.ask({})
    assert after["pid"] != before and after["count"] == 1


def test_death_between_two_requests_costs_nothing(session: Session) -> None:
    before = session.ask({})["pid"]
    os.kill(before, signal.SIGKILL)
    # Not by /proc: its first thread is a zombie there before the others have ended.
    os.waitid(os.P_PID, before, os.WEXITED | os.WNOWAIT)
    assert session.ask({})["pid"] != before


def test_timeout_kills(session: Session) -> None:
    before = session.ask({})["pid"]
    with pytest.raises(EdgeError, match=r"no answer within 0\.5 s\. Give it more\."):
        session.ask({"do": "sleep"}, timeout=0.5, remedy="Give it more.")
    assert not alive(before)
    assert session.ask({})["pid"] != before


def test_chatter_and_logs(session: Session, caplog: pytest.LogCaptureFixture) -> None:
    """What libraries print goes nowhere; what the toolkit logs arrives at the parent's logger."""
    with caplog.at_level(logging.INFO, "exporter"):
        session.ask({"do": "chatter"})
    assert [(r.name, r.levelno, r.getMessage()) for r in caplog.records] == [
        ("exporter", logging.INFO, "tflite-fp32: converting")
    ]


def test_request_larger_than_a_pipe(session: Session) -> None:
    assert session.ask({"text": "ü" * 500_000})["size"] > 500_000


def test_leaving_the_block_ends_the_process() -> None:
    with Session((sys.executable, "-c", CHILD)) as session:
        pid = session.ask({})["pid"]
        assert alive(pid)
    assert not alive(pid) and session.pid is None


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_end_of_the_parent_ends_the_child(how: signal.Signals) -> None:
    """Even where the parent cannot say farewell, and the child is at work."""
    code = f"""
import signal, sys
from edge_runtime.child.asking import Session
from edge_runtime.console import Terminated, _install_sigterm
_install_sigterm()
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
try:
    with Session((sys.executable, "-c", {CHILD!r})) as session:
        print(session.ask({{}})["pid"], flush=True)
        session.ask({{"do": "sleep"}})
except (KeyboardInterrupt, Terminated):
    print("clean", flush=True)
"""
    with subprocess.Popen(
        (sys.executable, "-c", code), stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        parent.send_signal(how)
        rest = parent.stdout.read()
        parent.wait(60)
    assert rest == ("" if how == signal.SIGKILL else "clean\n")
    assert dies(child)


def dies(pid: int, seconds: float = 60) -> bool:
    """Whether a process ends in time."""
    deadline = time.monotonic() + seconds
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    return not alive(pid)


def alive(pid: int) -> bool:
    """Whether a process runs; one that ended but was not waited for does not."""
    try:
        with open(f"/proc/{pid}/stat") as stream:
            return stream.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
