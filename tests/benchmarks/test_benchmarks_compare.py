"""``edge-bench compare``: what it takes for a regression, what for noise, and what it refuses."""

from __future__ import annotations

import copy
import json
import math
import random
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from click.testing import CliRunner
from sample_results import measured_again, sample_result, sample_row, sample_rows

from benchmarks.cli import cli
from benchmarks.compare.comparing import Allowed, compare_results
from benchmarks.compare.ratio import difference_of_shares, ratio_of_medians, student
from benchmarks.compare.showing import comparison_markdown
from edge_runtime.errors import UsageError

FP32, INT8 = "tflite-fp32, litert, 1 thread", "tflite-int8, litert, 1 thread"

#: Standard deviation of a round's median, and of what all rounds of a run have in common: what 30 real
#: runs of tflite-int8 with ten rounds had on a shared virtual machine (benchmarks/perf/bench_compare.py).
ROUNDS = 10
NOISE, BETWEEN = 0.014, 0.0115


def two_rows(**more):
    return sample_result(sample_row(**more), sample_row("tflite-int8", 1, 7.0, size=5.3, memory=64))


def alike(fmt):
    """A format at four thread counts, measured in :data:`ROUNDS` rounds."""
    return [sample_row(fmt, n, 20 / n, rounds=(20 / n,) * ROUNDS) for n in (1, 2, 3, 4)]


def compared(before, after, **allowed):
    found = compare_results(before, after, Allowed(**allowed))
    return found, {row["name"]: row for row in found["rows"]}


@pytest.mark.parametrize(
    ("degrees", "exact"), [(2, 4.303), (3, 3.182), (4, 2.776), (8, 2.306), (30, 2.042)]
)
def test_student(degrees, exact):
    """Exact values of the table of Student's t; the expansion is within 1 % of them."""
    assert student(0.95, degrees) == pytest.approx(exact, rel=0.01)


def test_interval_covers_the_true_ratio():
    """Of 400 intervals of 95 %, 95 % cover on average; 91 % is 3.7 standard errors below that."""
    generator = random.Random(1)
    hits = 0
    for _ in range(400):
        sides = [[f * math.exp(generator.gauss(0, 0.02)) for _ in range(5)] for f in (10, 10.8)]
        low, high = ratio_of_medians(*sides).interval
        hits += low <= 1.08 <= high
    assert hits >= 0.91 * 400


def test_one_round_has_no_interval():
    assert ratio_of_medians([10.0], [11.0]) == (pytest.approx(1.1), None)
    assert ratio_of_medians([10.0, 10.0], [11.0, 11.0]).interval == pytest.approx((1.1, 1.1))


def test_newcombe():
    """The first example of Newcombe 1998, table II, method 10: 56/70 - 48/80."""
    low, high = difference_of_shares((48, 80), (56, 70))
    assert (low, high) == (pytest.approx(0.0524, abs=5e-4), pytest.approx(0.3339, abs=5e-4))


def test_planted_slowdown_is_found_in_at_least_9_of_10():
    truth = sample_result(*alike("tflite-int8"))
    found = 0
    for seed in range(25):
        before = measured_again(truth, 1.0, NOISE, 2 * seed, BETWEEN)
        after = measured_again(truth, 1.08, NOISE, 2 * seed + 1, BETWEEN)
        found += sum("p50_ms" in row["regressions"] for row in compared(before, after)[0]["rows"])
    assert found >= 0.9 * 4 * 25


def test_equal_builds_raise_an_alarm_in_at_most_1_of_20():
    """Eight rows, each with p50 and p90: an alarm of any is an alarm."""
    truth = sample_result(*alike("tflite-int8"), *alike("onnx-fp32"))
    alarms = 0
    for seed in range(60):
        before = measured_again(truth, 1.0, NOISE, 2 * seed, BETWEEN)
        alarms += not compared(before, measured_again(truth, 1.0, NOISE, 2 * seed + 1, BETWEEN))[0][
            "passed"
        ]
    assert alarms <= 3


def test_noisy_runs_are_uncertain_and_no_regression():
    before = two_rows(rounds=(9.0, 10.0, 12.0, 10.5, 9.5))
    after = two_rows(rounds=(10.0, 11.5, 9.6, 11.0, 12.5))
    found, rows = compared(before, after)
    assert rows[FP32]["p50_ms"]["finding"] == "uncertain"
    assert found["passed"]
    assert "too noisy to exclude 5 %" in found["summary"]
    assert "uncertain: too noisy to exclude 5 %" in comparison_markdown(found)


@pytest.mark.parametrize(
    ("factor", "allowed", "finding"),
    [
        (1.08, 5, "regression"),
        (1.08, 10, "slower"),
        (1.03, 5, "slower"),
        (1.0, 5, "same"),
        (0.9, 5, "faster"),
        (1.001, 0, "uncertain"),
    ],
)
def test_findings_of_latency(factor, allowed, finding):
    before = two_rows()
    after = copy.deepcopy(before)
    spread = (0.997, 1.0, 1.003, 0.999, 1.001)
    for result, by in ((before, 1.0), (after, factor)):
        latency = result["rows"][0]["latency"]
        for one, noise in zip(latency["rounds"], spread, strict=True):
            one["p50_ms"] = 10.0 * by * noise
            one["p90_ms"] = 11.0 * noise
    rows = compared(before, after, max_regression=allowed)[1]
    assert rows[FP32]["p50_ms"]["finding"] == finding
    assert rows[FP32]["regressions"] == (["p50_ms"] if finding == "regression" else [])
    assert rows[FP32]["p50_ms"]["change"] == pytest.approx(factor - 1)


def test_slow_tail_alone_is_a_regression():
    before = two_rows()
    rows = compared(before, two_rows(p90=12.5))[1]
    assert rows[FP32]["regressions"] == ["p90_ms"]
    for row in before["rows"]:
        for one in row["latency"]["rounds"]:
            del one["p90_ms"]
    found, rows = compared(before, two_rows(p90=12.5))
    assert rows[FP32]["p90_ms"] is None and found["passed"]
    assert "p90 is not judged" in comparison_markdown(found)


@pytest.mark.parametrize(
    ("more", "regressions"),
    [
        ({"memory": 99}, []),  # 4.2 %
        ({"memory": 101}, ["memory_bytes"]),  # 6.3 %
        ({"size": 16.1}, []),
        ({"size": 17}, ["size_bytes"]),
        ({"memory": None}, []),
        ({"correct": 85}, []),  # 5 points of 100 photos are within noise
        ({"correct": 60}, ["accuracy"]),
        ({"correct": None}, []),
    ],
)
def test_memory_size_and_accuracy(more, regressions):
    assert compared(two_rows(), two_rows(**more))[1][FP32]["regressions"] == regressions


def test_small_processes_differ_in_memory_by_noise():
    """A fifth more, and less than two processes that do the same may differ by."""
    rows = compared(two_rows(memory=5.0), two_rows(memory=6.0))[1]
    assert rows[FP32]["memory_bytes"]["finding"] == "same"


def test_accuracy_on_other_photos_is_not_compared():
    after = two_rows(correct=10)
    after["settings"]["data"] = "elsewhere"
    found, rows = compared(two_rows(), after)
    assert rows[FP32]["accuracy"] is None
    assert "data: photos/test, then elsewhere" in found["notes"]


def test_rows_that_cannot_be_compared():
    after = sample_result(
        sample_row(status="failed", reasons=("died.",)),
        sample_row("tflite-int8", 1, 7.0, status="invalid", reasons=("throttled",)),
        sample_row("onnx-fp32", 2),
    )
    before = two_rows()
    before["rows"].append(sample_row("tflite-fp16"))
    found, rows = compared(before, after)
    assert rows == {}
    assert found["broken"] == {FP32: "died"}
    assert found["not_compared"] == {INT8: "INVALID after: throttled"}
    assert found["only_before"] == ["tflite-fp16, litert, 1 thread"]
    assert found["only_after"] == ["onnx-fp32, onnxruntime, 2 threads"]
    assert not found["passed"]
    text = comparison_markdown(found)
    assert "failing now" in text and "only before" in text and "throttled" in text


def unnamed(fmt="tflite-int8", threads=1, status="failed"):
    """A row as it is called whose process died before it told its interpreter."""
    row = sample_row(fmt, threads, status=status, reasons=("died.",))
    row["name"] = row["name"].replace(", litert", "")
    row["engine"]["interpreter"] = None
    return row


def test_row_that_dies_before_it_tells_its_interpreter_is_broken():
    before = sample_result(sample_row(), sample_row("tflite-int8"), sample_row("tflite-int8", 2))
    after = sample_result(sample_row(), unnamed(), sample_row("tflite-int8", 2))
    found, _ = compared(before, after)
    assert found["broken"] == {INT8: "died"} and not found["passed"]
    assert found["only_before"] == found["only_after"] == []
    found, _ = compared(after, before)  # the other way round it was mended
    assert found["not_compared"] == {unnamed()["name"]: "failed before: died"} and found["passed"]


def test_row_of_either_of_two_interpreters_is_matched_with_neither():
    other = sample_row("tflite-int8")
    other["name"] = other["name"].replace("litert", "tensorflow")
    other["engine"]["interpreter"] = "tensorflow"
    before = sample_result(sample_row(), sample_row("tflite-int8"), other)
    found, _ = compared(before, sample_result(sample_row(), unnamed()))
    assert found["only_before"] == [INT8, other["name"]]
    assert found["only_after"] == [unnamed()["name"]]


@pytest.mark.skipif(sys.platform == "win32", reason="the job runs in bash")
@pytest.mark.parametrize(("code", "compares"), [(0, True), (1, True), (3, False)])
def test_published_job_compares_after_a_row_has_failed(tmp_path, code, compares):
    page = Path(__file__).parents[2] / "docs/bench/showing.md"
    block = page.read_text(encoding="utf-8").split("- name: Measure both, and compare\n")[1]
    script = block.split("run: |\n")[1].split("- if:")[0]
    stand_in = f'edge-bench() {{ echo "$1"; if [ "$1" = run ]; then return {code}; fi; }}\n'
    done = subprocess.run(
        ["bash", "-e", "-c", stand_in + textwrap.dedent(script)],
        capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert ("compare" in done.stdout.split()) == compares
    assert (done.returncode == 0) == compares


def test_nothing_to_compare_does_not_pass():
    """A gate that lets everything through because nothing was valid is no gate."""
    noisy = sample_result(sample_row(status="invalid", reasons=("too noisy",)))
    found = compared(noisy, noisy)[0]
    assert not found["passed"]
    assert found["summary"] == "Nothing could be compared. 1 row could not be compared."


def test_other_machine_needs_force():
    after = two_rows()
    after["machine"] |= {"cpu": "Cortex-A76", "governor": "ondemand"}
    with pytest.raises(
        UsageError, match=r"processor Cortex-A72, then Cortex-A76; governor .*--force"
    ):
        compared(two_rows(), after)
    found = compared(two_rows(), after, force=True)[0]
    assert "another machine: processor Cortex-A72, then Cortex-A76" in found["notes"]


def test_other_versions_are_told():
    after = two_rows()
    after["machine"]["packages"] |= {"ai-edge-litert": "2.4.0", "onnxruntime": "1.33"}
    notes = compared(two_rows(), after)[0]["notes"]
    assert notes == ["ai-edge-litert: 2.3.0, then 2.4.0", "onnxruntime: unknown, then 1.33"]


def test_drift_of_all_rows_is_told():
    truth = sample_result(*[sample_row("tflite-int8", n, 20.0 / n) for n in (1, 2, 3)])
    after = measured_again(truth, 1.08, 0.0, 0)
    assert any("perhaps the machine did" in note for note in compared(truth, after)[0]["notes"])


def run(*arguments):
    return CliRunner().invoke(cli, ["compare", *map(str, arguments)])


@pytest.fixture
def files(tmp_path):
    places = []
    for name, result in (("a", two_rows()), ("b", measured_again(two_rows(), 1.08, 0.0, 0))):
        places.append(tmp_path / f"{name}.json")
        places[-1].write_text(json.dumps(result))
    return places


def test_command(files, tmp_path):
    outs = [tmp_path / "comment.md", tmp_path / "found.json"]
    done = run(*files, "--out", outs[0], "--out", outs[1])
    assert done.exit_code == 4
    assert "error: 2 of 2 configurations regressed" in done.stderr
    assert "REGRESSED: p50, p90" in done.stdout
    assert outs[0].read_text().startswith("❌ **2 of 2 configurations regressed")
    assert json.loads(outs[1].read_text())["passed"] is False
    quiet = run(*files, "--max-regression", 10, "--json", "--quiet")
    assert quiet.exit_code == 0 and quiet.stderr == ""
    assert json.loads(quiet.stdout)["passed"] is True
    again = run(*files, "--out", outs[0])
    assert again.exit_code == 2 and "--overwrite" in again.stderr


@pytest.mark.parametrize("out", ["x.txt", "x", "."])
def test_command_refuses_other_files(files, tmp_path, out):
    assert run(*files, "--out", tmp_path / out).exit_code == 2


def test_command_refuses_old_results(files):
    files[1].write_text('{"schema_version": 1, "rows": []}')
    done = run(*files)
    assert done.exit_code == 3 and "Measure again with this version" in done.stderr


def test_table_fits_80_columns(files, monkeypatch):
    from click import unstyle

    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    text = unstyle(run(*files).stdout)
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text


def test_every_kind_of_row_is_shown():
    before = sample_result(*sample_rows())
    text = comparison_markdown(compared(before, before)[0])
    assert text.count("\n| ") == 7  # the header, and the six rows that are whole in both
    assert "INVALID before: throttled" in text
