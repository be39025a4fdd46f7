"""``edge-bench show`` and ``schema``: files, exit codes, the choice that is saved."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner
from sample_results import sample_result, sample_row, sample_rows

import benchmarks.show
from benchmarks.choosing import board_of, check_saveable, stated_accuracy
from benchmarks.cli import cli
from benchmarks.hardware import describe_machine
from benchmarks.schema import published
from benchmarks.show import Wishes
from edge_runtime.bundle import Bundle
from edge_runtime.choices import this_board
from edge_runtime.errors import SystemFailure, UsageError
from edge_runtime.manifest import AUTO, CHOICES_NAME

jsonschema = pytest.importorskip("jsonschema")


def run(*arguments):
    return CliRunner().invoke(cli, [*map(str, arguments)])


@pytest.fixture
def file(tmp_path):
    place = tmp_path / "bench.json"
    place.write_text(json.dumps(sample_result()))
    return place


def of_bundle(folder: Path, tmp_path: Path, **rows) -> Path:
    """A result of the files of a real bundle, as if it had been measured here."""
    made = []
    for artifact in Bundle.open(folder).manifest.artifacts:
        row = sample_row(artifact.format, 1, correct=None, **rows.get(artifact.format, {}))
        row["artifact"] |= {"subject": str(folder), "sha256": artifact.sha256}
        made.append(row)
    place = tmp_path / "own.json"
    place.write_text(json.dumps(sample_result(*made, machine=describe_machine())))
    return place


def test_table_and_every_kind_of_file(file, tmp_path):
    outs = [tmp_path / f"made.{ending}" for ending in ("json", "csv", "md", "html")]
    options = [word for out in outs for word in ("--out", out)]
    done = run("show", file, *options)
    assert done.exit_code == 0, done.output
    assert "is the fastest of the" in done.stdout and "wrote" not in done.stdout
    assert done.stderr.count("wrote ") == 4
    shown = json.loads(outs[0].read_text())
    jsonschema.validate(shown, published())
    assert shown["verdict"]["recommended"] == "tflite-int8, litert, 4 threads"
    assert outs[1].read_bytes().startswith(b"name,status,")
    assert b"\r\r\n" not in outs[1].read_bytes()
    assert outs[2].read_text().startswith("**")
    assert outs[3].read_text().startswith("<!DOCTYPE html>")
    again = run("show", file, *options)
    assert again.exit_code == 2 and "--overwrite" in again.stderr
    assert run("show", file, *options, "--overwrite", "--quiet").stderr == ""


def test_json_alone_is_on_stdout(file):
    done = run("show", file, "--json", "--min-accuracy", "0.9")
    found = json.loads(done.stdout)
    assert found["verdict"]["limits"] == {"--min-accuracy": 0.9}
    assert found["rows"] == sample_rows()


def test_limits_that_no_row_holds(file):
    done = run("show", file, "--max-latency-ms", "1")
    assert done.exit_code == 4
    assert "error: No row holds the limits; tflite-int8, litert, 4 threads comes nearest" in (
        done.stderr
    )
    assert "comes nearest" in " ".join(done.stdout.split())


def test_verdict_that_is_there_stays_unless_limits_are_given(tmp_path, file):
    judged = tmp_path / "judged.json"
    run("show", file, "--max-memory-mb", "65", "--out", judged)
    kept = json.loads(run("show", judged, "--json").stdout)["verdict"]
    assert kept["limits"] == {"--max-memory-mb": 65.0}
    other = json.loads(run("show", judged, "--json", "--percentile", "p99").stdout)["verdict"]
    assert other["limits"] == {} and other["percentile"] == "p99"


def test_percentile_that_is_named_is_the_one_that_counts(tmp_path, file):
    """The default's name, too, where the verdict that is there compared another one."""
    judged = tmp_path / "judged.json"
    run("show", file, "--percentile", "p50", "--out", judged)
    kept = json.loads(run("show", judged, "--json").stdout)["verdict"]
    assert kept["percentile"] == "p50"
    other = json.loads(run("show", judged, "--json", "--percentile", "p90").stdout)["verdict"]
    assert other["percentile"] == "p90"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--out", "{}/x.txt"], "ends with one of .json, .csv, .md, .html"),
        (["--out", "{}"], "is a folder"),
        (["--out", "{}/x.md", "--out", "{}/./x.md"], "is named twice"),
        (["--min-accuracy", "90"], "not in the range"),
        (["--max-latency-ms", "0"], "not in the range"),
        (["--percentile", "p42"], "is not one of"),
        (["--save-choice"], "bundle is no bundle"),
    ],
)
def test_usage(file, tmp_path, arguments, words):
    done = run("show", file, *[text.format(tmp_path) for text in arguments])
    assert done.exit_code == 2 and words in done.stderr
    assert list(tmp_path.glob("x*")) == []


def test_folder_with_an_extension(file, tmp_path):
    (tmp_path / "d.html").mkdir()
    done = run("show", file, "--out", tmp_path / "d.html")
    assert done.exit_code == 2 and "is a folder" in done.stderr


@pytest.mark.parametrize("shown", [(), ("--json",)])
def test_file_that_cannot_be_written_costs_nothing_else(file, tmp_path, monkeypatch, shown):
    genuine = benchmarks.show.write_text

    def fails(text, out, overwrite):
        if out.endswith(("x.csv", "x.html")):
            raise SystemFailure(f"{out}: no space left.")
        genuine(text, out, overwrite)

    monkeypatch.setattr(benchmarks.show, "write_text", fails)
    outs = [tmp_path / f"x.{ending}" for ending in ("csv", "html", "md", "json")]
    done = run("show", file, *shown, *[word for out in outs for word in ("--out", out)])
    assert (
        done.exit_code == 6 and "error: " in done.stderr and "x.csv: no space left" in done.stderr
    )
    assert "x.html was not written" in done.stderr
    assert done.stderr.index("x.json") < done.stderr.index("x.md")  # what the rest can be made of
    assert outs[2].exists() and json.loads(outs[3].read_text())["rows"] == sample_rows()
    assert "is the fastest of the" in done.stdout


def test_folder_that_takes_no_file_is_refused_before_measuring(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    with pytest.raises(SystemFailure, match="file is no folder"):
        Wishes(outs=(str(tmp_path / "file" / "new" / "x.json"),)).check()
    fine = Wishes(outs=(str(tmp_path / "new" / "newer" / "x.json"),))
    fine.check()
    assert not (tmp_path / "new").exists()
    monkeypatch.setattr(os, "access", lambda folder, mode: folder != str(tmp_path))  # root may all
    with pytest.raises(SystemFailure, match="may not be written to"):
        fine.check()


def test_no_result(tmp_path):
    assert run("show", tmp_path / "absent.json").exit_code == 2
    (tmp_path / "bad.json").write_text("{}")
    assert run("show", tmp_path / "bad.json").exit_code == 3


def test_schema_command():
    done = run("schema")
    assert json.loads(done.stdout) == published()


def test_the_board_of_a_result_is_what_the_runtime_calls_it():
    """Or --format auto would never find what was saved."""
    assert board_of(describe_machine()) == this_board()


def test_saved_choice_is_what_auto_takes(own_bundle, tmp_path):
    # By itself auto takes tflite-fp32; its onnx file is marked as failing parity in the manifest.
    file = of_bundle(own_bundle, tmp_path, **{"onnx-fp32": {"p50": 3.0}})
    before = (own_bundle / "manifest.json").read_bytes()
    assert Bundle.open(own_bundle).artifact(AUTO).format == "tflite-fp32"
    done = run("show", file, "--save-choice")
    assert done.exit_code == 0, done.output
    assert f"--format auto takes onnx-fp32, 1 thread on {this_board()}." in done.stderr
    bundle = Bundle.open(own_bundle)
    choice = bundle.choice()
    assert bundle.artifact(AUTO).format == choice.format == "onnx-fp32"
    assert (choice.threads, choice.interpreter) == (1, "onnxruntime")
    assert choice.reason.startswith("onnx-fp32, onnxruntime, 1 thread is the fastest")
    assert (own_bundle / "manifest.json").read_bytes() == before
    bundle.verify()


def test_interpreter_that_cannot_be_asked_for_is_left_open(own_bundle, tmp_path):
    file = of_bundle(own_bundle, tmp_path)
    data = json.loads(file.read_text())
    for row in data["rows"]:
        row["engine"]["interpreter"] = "keras"
    file.write_text(json.dumps(data))
    assert run("show", file, "--save-choice").exit_code == 0
    assert Bundle.open(own_bundle).choice().interpreter is None


@pytest.mark.parametrize("name", ["CUDA:device_id=0", "CUDAExecutionProvider:device_id=0"])
def test_provider_is_saved_by_its_full_name(own_bundle, tmp_path, name):
    file = of_bundle(own_bundle, tmp_path, **{"onnx-fp32": {"p50": 3.0}})
    data = json.loads(file.read_text())
    for row in data["rows"]:
        if row["artifact"]["format"] == "onnx-fp32":
            row["engine"]["delegate"] = name
    file.write_text(json.dumps(data))
    done = run("show", file, "--save-choice")
    assert done.exit_code == 0, done.output
    assert Bundle.open(own_bundle).choice().delegate == "CUDAExecutionProvider:device_id=0"


@pytest.mark.parametrize(
    "options",
    [
        ("--delegate", "default", "--delegate", "./libevil.so"),
        ("--provider", "QNN:backend_path=/usr/lib/libQnnHtp.so"),
    ],
)
def test_library_that_no_choice_may_name_is_refused_before_measuring(
    own_bundle, options, monkeypatch
):
    monkeypatch.setattr("benchmarks.measuring.run.run", lambda *_: pytest.fail("it measured"))
    done = run("run", own_bundle, "--save-choice", *options)
    assert done.exit_code == 2 and "no library and no path" in done.stderr


def test_newer_choices_are_refused_before_measuring(own_bundle, monkeypatch):
    (own_bundle / CHOICES_NAME).write_text('{"schema_version": 2, "boards": {}}')
    monkeypatch.setattr("benchmarks.measuring.run.run", lambda *_: pytest.fail("it measured"))
    done = run("run", own_bundle, "--save-choice")
    assert done.exit_code == 2 and "newer version" in done.stderr


@pytest.mark.parametrize(("status", "code"), [("failed", 1), ("invalid", 4), ("ok", 2)])
def test_choice_that_is_not_saved_hides_no_failure(own_bundle, tmp_path, monkeypatch, status, code):
    from benchmarks.measuring.run import Outcome

    result = json.loads(of_bundle(own_bundle, tmp_path).read_text())
    for row in result["rows"]:
        row["artifact"]["sha256"] = "1" * 64  # the bundle was exported again meanwhile
    if status != "ok":
        result["rows"].append(sample_row("tflite-int8", 2, status=status, reasons=("it is so.",)))
        result["status"] = "invalid"
    monkeypatch.setattr("benchmarks.measuring.run.run", lambda *_: Outcome(result))
    done = run("run", own_bundle, "--save-choice", "--strict")
    assert done.exit_code == code, done.output
    assert done.stderr.count("Measure this bundle again") == 1


def test_nothing_recommended_saves_nothing(own_bundle, tmp_path):
    file = of_bundle(own_bundle, tmp_path)
    done = run("show", file, "--save-choice", "--max-latency-ms", "0.1")
    assert done.exit_code == 4 and "No choice was saved." in done.stderr
    assert not (own_bundle / CHOICES_NAME).exists()


def test_bundle_that_changed_since_gets_no_choice(own_bundle, tmp_path):
    file = of_bundle(own_bundle, tmp_path)
    data = json.loads(file.read_text())
    for row in data["rows"]:
        row["artifact"]["sha256"] = "1" * 64
    file.write_text(json.dumps(data))
    done = run("show", file, "--save-choice")
    assert done.exit_code == 2 and "Measure this bundle again" in done.stderr


def test_run_that_is_invalid_as_a_whole_warns(own_bundle, tmp_path):
    file = of_bundle(own_bundle, tmp_path)
    data = json.loads(file.read_text()) | {"reasons": ["disturbed"], "status": "invalid"}
    file.write_text(json.dumps(data))
    assert "warning: the run as a whole is INVALID" in run("show", file, "--save-choice").stderr


def test_what_no_choice_can_be_written_into(own_bundle, tmp_path):
    packed = tmp_path / "bundle.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        archive.write(own_bundle / "manifest.json", "manifest.json")
    with pytest.raises(UsageError, match="zip file, and stays as it is"):
        check_saveable(str(packed))
    with pytest.raises(UsageError, match="no bundle; a single file"):
        check_saveable(str(own_bundle / "model-tflite-fp32.tflite"))
    with pytest.raises(UsageError, match="is no bundle that edge-export wrote"):
        check_saveable(str(tmp_path))


def test_accuracy_that_a_bundle_states(own_bundle, tmp_path):
    manifest = json.loads((own_bundle / "manifest.json").read_text())
    manifest["artifacts"][0]["parity"] = {"accuracy": 0.9, "n": 50}
    (own_bundle / "manifest.json").write_text(json.dumps(manifest))
    file = of_bundle(own_bundle, tmp_path)
    judged = tmp_path / "judged.json"
    assert run("show", file, "--out", judged).exit_code == 0
    found = json.loads(judged.read_text())
    assert found["verdict"]["accuracy_from"] == "bundle"
    assert "90.0% of the photos are right, as the bundle states" in found["verdict"]["reason"]
    # Elsewhere, without the bundle, the result still knows.
    for row in found["rows"]:
        row["artifact"]["subject"] = "gone"
    assert stated_accuracy(found)["gone", "tflite-fp32"][0] == 0.9


def test_accuracy_of_a_bundle_that_was_exported_again_says_nothing_of_old_files(
    own_bundle, tmp_path
):
    result = json.loads(of_bundle(own_bundle, tmp_path).read_text())
    manifest = json.loads((own_bundle / "manifest.json").read_text())
    for artifact in manifest["artifacts"]:
        artifact["parity"] = {"accuracy": 0.9, "n": 50}
    manifest["artifacts"][0]["sha256"] = "1" * 64
    (own_bundle / "manifest.json").write_text(json.dumps(manifest))
    again = manifest["artifacts"][0]["format"]
    assert {fmt for _, fmt in stated_accuracy(result)} == {
        artifact["format"] for artifact in manifest["artifacts"]
    } - {again}


def test_help_loads_nothing_heavy():
    import subprocess
    import sys

    code = (
        "import sys; from benchmarks.cli import cli\n"
        "for name in ('show', 'compare', 'schema'):\n"
        "    try: cli([name, '--help'])\n"
        "    except SystemExit: pass\n"
        "sys.exit(', '.join({'numpy', 'rich', 'jinja2', 'PIL'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("package", "arguments"), [("rich", ()), ("jinja2", ("--json", "--out", "{}/x.html"))]
)
def test_missing_package_names_its_extra(package, arguments, file, tmp_path):
    import subprocess
    import sys

    words = ["show", str(file), *[word.format(tmp_path) for word in arguments]]
    code = (
        f"import sys; sys.modules[{package!r}] = None\n"
        f"from benchmarks.cli import cli\ncli({words!r})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 5 and "edge-classify[bench]" in done.stderr
    assert done.stdout == "" and not (tmp_path / "x.html").exists()
