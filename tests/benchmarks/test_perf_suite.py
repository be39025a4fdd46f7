"""The suite of comparisons: what it is made of, and what becomes of its figures."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from benchmarks.perf import common
from benchmarks.perf.suite import __main__ as suite
from benchmarks.perf.suite import environments
from benchmarks.perf.suite.comparisons import COMPARISONS, Comparison, Inputs
from benchmarks.perf.suite.results import Outcome, holds, page

ROOT = Path(__file__).parents[2]


def outcome(**changes: Any) -> Outcome:
    """One that ran."""
    figure = {
        "what": "time", "median": 1.2, "low": 1.1, "high": 1.4, "count": 7, "unit": "x",
        "least": None, "most": 1.15,
    }  # fmt: skip
    made = Outcome("n", "a peer", "how long?", "python -m x", "2026-01-01", 5, {}, [figure], 0, "")
    return made._replace(**changes)


def test_every_comparison_is_there() -> None:
    names = [comparison.name for comparison in COMPARISONS]
    assert len(set(names)) == len(names)
    for comparison in COMPARISONS:
        assert importlib.util.find_spec(comparison.module) is not None
        arguments = comparison.arguments(Inputs(ROOT, ROOT, ROOT, quick=True))
        assert all(isinstance(argument, str) for argument in arguments)
        if comparison.environment is not None:
            assert comparison.environment in environments.ENVIRONMENTS
    listed = CliRunner().invoke(suite.main, ["--list"])
    assert listed.exit_code == 0 and all(name in listed.stdout for name in names)
    wrong = CliRunner().invoke(suite.main, ["--only", "nothing"])
    assert wrong.exit_code == 2 and "startup" in wrong.stderr


def test_page_says_what_missed_and_what_did_not_run() -> None:
    text = page("a machine", [outcome(), outcome(figures=[], code=None, reason="no wheel")], True)
    rows = [line for line in text.splitlines() if line.startswith("| a peer")]
    assert "1.200x | 1.100x to 1.400x | 7 | at most 1.150x | **no** |" in rows[0]
    assert "no wheel" in rows[1]
    assert "not to be quoted" in text and "a machine" in text
    assert not outcome().held
    assert outcome(figures=[], code=0).held
    assert not outcome(figures=[], code=4).held


@pytest.mark.parametrize(
    ("least", "most", "expected"),
    [(None, None, True), (1.0, None, True), (1.3, None, False), (None, 1.2, True)],
)
def test_limits(least: float | None, most: float | None, expected: bool) -> None:
    assert holds({"median": 1.2, "least": least, "most": most}) is expected


def test_figures_of_a_script_reach_the_suite(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(common.FIGURES_VARIABLE, raising=False)
    common.record("alone", [1.0])  # a script by itself: nothing happens
    script = tmp_path / "fake_comparison.py"
    script.write_text(
        "from benchmarks.perf.common import record\n"
        "record('time', [3.0, 1.0, 2.0], least=1.5)\n"
        "print('said')\n"
    )
    fake = Comparison("fake", "a peer", "?", "fake_comparison", lambda _: [], (), 1)
    inputs = Inputs(tmp_path, tmp_path, tmp_path, quick=True)
    command = [sys.executable, str(script)]
    code = suite._logged(command, tmp_path / "figures.jsonl", tmp_path / "log")
    assert code == 0 and (tmp_path / "log").read_text() == "said\n"
    figure = json.loads((tmp_path / "figures.jsonl").read_text())
    assert (figure["median"], figure["low"], figure["high"], figure["count"]) == (2, 1, 3, 3)
    missing = suite._run(fake, inputs, tmp_path)
    assert missing.code == 1 and "ended with 1" in missing.reason and not missing.held


def test_peer_that_does_not_install_is_a_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise environments.NotInstalled("no matching distribution")

    monkeypatch.setattr(suite, "prepared", refuse)
    comparison = next(c for c in COMPARISONS if c.environment == "mediapipe")
    found = suite._run(comparison, Inputs(tmp_path, tmp_path, tmp_path, quick=True), tmp_path)
    assert found.code is None and "no matching distribution" in found.reason and not found.held
