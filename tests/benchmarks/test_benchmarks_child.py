"""Whatever becomes of a child process, its parent gets an answer or a reason."""

from __future__ import annotations

import sys

import pytest

from benchmarks import child
from edge_runtime.errors import EdgeError, MissingComponent


def run_instead(monkeypatch, code: str) -> None:
    monkeypatch.setattr(child, "COMMAND", (sys.executable, "-c", code))


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", r"died of SIGKILL \(.*memory"),
        ("import os; os.abort()", "died of SIGABRT"),
        ("raise ValueError('no such thing')", "exit code 1: ValueError: no such thing"),
        ("print('hello')", "answered no JSON"),
        ("print(1)", "expected an object"),
        ("pass", "answered no JSON"),
    ],
)
def test_failure_has_its_reason(monkeypatch, code, reason):
    run_instead(monkeypatch, code)
    with pytest.raises(EdgeError, match=reason):
        child.ask({}, timeout=60)


def test_timeout(monkeypatch):
    run_instead(monkeypatch, "import time; time.sleep(600)")
    with pytest.raises(EdgeError, match=r"no answer within 1 s\. Allow more with --timeout"):
        child.ask({}, timeout=1)


def test_errors_of_the_toolkit_come_through(monkeypatch):
    run_instead(monkeypatch, """print('{"error": "install it", "missing": true}')""")
    with pytest.raises(MissingComponent, match="install it"):
        child.ask({}, timeout=60)


def test_folder_named_benchmarks_does_not_take_the_place_of_ours(monkeypatch, tmp_path):
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks/__init__.py").write_text("raise SystemExit('the wrong one')")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(EdgeError, match="nowhere: no such model"):
        child.ask({"task": "accuracy", "bundle": "nowhere", "format": None, "photos": []}, 60)
