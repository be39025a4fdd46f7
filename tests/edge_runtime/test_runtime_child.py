"""Whatever becomes of a child process, its parent gets an answer or a reason."""

from __future__ import annotations

import sys

import pytest

from edge_runtime.child.asking import ask, module_command
from edge_runtime.errors import EdgeError, MissingComponent


def python(code: str) -> tuple[str, ...]:
    return (sys.executable, "-c", code)


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
def test_failure_has_its_reason(code, reason):
    with pytest.raises(EdgeError, match=reason):
        ask(python(code), {}, timeout=60)


def test_timeout():
    with pytest.raises(EdgeError, match=r"no answer within 1 s\. Allow more with --timeout"):
        ask(python("import time; time.sleep(600)"), {}, 1, remedy="Allow more with --timeout.")


def test_errors_of_the_toolkit_come_through():
    code = """print('{"error": "install it", "class": "MissingComponent"}')"""
    with pytest.raises(MissingComponent, match="install it"):
        ask(python(code), {}, timeout=60)


def test_folder_named_benchmarks_does_not_take_the_place_of_ours(monkeypatch, tmp_path):
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks/__init__.py").write_text("raise SystemExit('the wrong one')")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(EdgeError, match="nowhere: no such model"):
        request = {"task": "accuracy", "model": "nowhere", "format": None, "photos": []}
        command = module_command("benchmarks.measuring.worker")
        ask(command, {**request, "engine": {}, "settings": None}, 60)


def test_answer_and_environment():
    """What a library prints to descriptor 1 does not reach the answer."""
    code = (
        "import os; from edge_runtime.child.answering import serve\n"
        "def work(request):\n"
        "    os.write(1, b'INFO: started')\n"
        "    return {'twice': 2 * request['n'], 'seen': os.environ['SEEN']}\n"
        "serve(work)"
    )
    assert ask(python(code), {"n": 4}, env={"SEEN": "yes"}) == {"twice": 8, "seen": "yes"}
