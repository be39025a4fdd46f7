"""The suite of comparisons: what it is made of, and what becomes of its figures."""

from __future__ import annotations

import importlib
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
        "what": "time", "median": 1.2, "low": 1.1, "high": 1.4, "interval": False, "count": 7,
        "unit": "x", "least": None, "most": 1.15,
    }  # fmt: skip
    made = Outcome(
        *("startup", "a peer", "how long?", "python -m x", "2026-01-01", 5, {}, [figure], 0, ""),
        quick=False,
        machine="a machine",
    )
    return made._replace(**changes)


def test_every_comparison_is_there() -> None:
    names = [comparison.name for comparison in COMPARISONS]
    assert len(set(names)) == len(names)
    for comparison in COMPARISONS:
        if comparison.environment is not None:
            assert comparison.environment in environments.ENVIRONMENTS
    listed = CliRunner().invoke(suite.main, ["--list"])
    assert listed.exit_code == 0 and all(name in listed.stdout for name in names)
    wrong = CliRunner().invoke(suite.main, ["--only", "nothing"])
    assert wrong.exit_code == 2 and "startup" in wrong.stderr


@pytest.mark.parametrize("quick", [True, False])
@pytest.mark.parametrize("comparison", COMPARISONS, ids=lambda comparison: comparison.name)
def test_arguments_of_every_comparison_are_its_scripts_own(
    comparison: Comparison, quick: bool, tmp_path: Path
) -> None:
    inputs = Inputs(tmp_path, tmp_path, tmp_path, quick)
    inputs.video.parent.mkdir()
    inputs.video.touch()
    (tmp_path / "data" / "groceries" / "test").mkdir(parents=True)
    arguments = comparison.arguments(inputs)
    if comparison.peer_python:
        arguments += ["--python", sys.executable]
    script = importlib.import_module(comparison.module).main
    script.make_context(comparison.name, arguments)  # parses, and runs nothing


def test_page_says_what_missed_and_what_did_not_run() -> None:
    text = page(
        [outcome(quick=True), outcome(quick=True, figures=[], code=None, reason="no wheel")]
    )
    rows = [line for line in text.splitlines() if line.startswith("| a peer")]
    assert "1.200x | 1.100x to 1.400x | 7 | at most 1.150x | **no** |" in rows[0]
    assert "no wheel" in rows[1]
    assert "not to be quoted" in text and "\nMachine: a machine\n" in text
    assert "not to be quoted" not in page([outcome()])
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


def test_interval_and_count_are_shown_as_such(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(common.FIGURES_VARIABLE, str(tmp_path / "figures"))
    common.record("the median", [1.01], least=0.95, interval=(0.9, 1.1), count=400)
    figure = json.loads((tmp_path / "figures").read_text())
    assert "| 1.010x | 95 %: 0.900x to 1.100x | 400 |" in page([outcome(figures=[figure])])


class Suite:
    """The suite with comparisons that measure nothing."""

    def __init__(self, work: Path) -> None:
        self.work, self.page = work, work / "page.md"
        self.ran: list[str] = []
        self.changes: dict[str, Any] = {}

    def measure(self, comparison: Comparison, inputs: Inputs, work: Path) -> Outcome:
        self.ran.append(comparison.name)
        return outcome(name=comparison.name, quick=inputs.quick, **self.changes)

    def run(self, *arguments: str) -> Any:
        self.ran.clear()
        self.done = CliRunner().invoke(suite.main, ["--work", str(self.work), *arguments])
        return self.ran


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Suite:
    made = Suite(tmp_path / "work")
    monkeypatch.setattr(suite, "_run", made.measure)
    monkeypatch.setattr(suite, "HERE", tmp_path)
    monkeypatch.setattr(
        suite, "_inputs", lambda *given: Inputs(tmp_path, tmp_path, tmp_path, given[-1])
    )
    return made


def test_rows_of_others_stay_on_the_page(fake: Suite, tmp_path: Path) -> None:
    names = [comparison.name for comparison in COMPARISONS]
    assert fake.run() == names
    fake.changes = {"machine": "another machine", "date": "2026-02-02"}
    assert fake.run("--only", "startup,bench") == ["startup", "bench"]
    text = (tmp_path / "RESULTS.md").read_text()
    assert all(f"| {name} | `" in text for name in names)
    assert "- startup, bench: another machine" in text
    # Nothing is kept of the others elsewhere: the page is not made shorter.
    assert fake.run("--only", "folder", "--work", str(tmp_path / "new")) == []
    assert fake.done.exit_code == 2 and "would be lost" in fake.done.stderr
    assert (tmp_path / "RESULTS.md").read_text() == text
    (tmp_path / "RESULTS.md").write_text(text + "| of-old | `python -m gone` | | | |\n")
    fake.run("--only", "folder")
    assert "of-old" not in (tmp_path / "RESULTS.md").read_text()


@pytest.mark.parametrize(
    ("changes", "again"),
    [
        ({}, []),
        ({"code": 4}, []),
        ({"code": None, "figures": [], "reason": "does not install"}, ["startup"]),
        ({"code": 1, "reason": "ended with 1, see its log"}, ["startup"]),
    ],
)
def test_resume_tries_again_what_did_not_end(
    fake: Suite, changes: dict[str, Any], again: list[str]
) -> None:
    fake.changes = changes
    fake.run("--only", "startup")
    fake.changes = {}
    assert fake.run("--only", "startup", "--resume") == again
    assert fake.run("--only", "startup") == ["startup"]


def test_quick_figures_are_never_taken_for_others(fake: Suite, tmp_path: Path) -> None:
    fake.run("--only", "startup", "--quick")
    assert "not to be quoted" in (fake.work / "RESULTS.md").read_text()
    assert not (tmp_path / "RESULTS.md").exists()
    assert fake.run("--only", "startup", "--resume") == ["startup"]
    assert "not to be quoted" not in (tmp_path / "RESULTS.md").read_text()
    assert fake.run("--only", "startup", "--resume", "--quick") == []


def test_kept_file_that_is_damaged_is_measured_again(fake: Suite) -> None:
    fake.run("--only", "startup")
    (fake.work / "startup.json").write_text("{")
    assert fake.run("--only", "startup", "--resume") == ["startup"]
