"""``edge-bench run`` on a real bundle: rows, order, errors, exit codes, purity of stdout."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import pytest
from bench_models import COLORS, SHARPNESS, SIDE, build_bundle, write_manifest
from click.testing import CliRunner, Result

from benchmarks import runner
from benchmarks.cli import cli

QUICK = ("--min-seconds", "0.01", "--min-runs", "4")

FIGURES = (
    *("import_ms", "load_ms", "first_inference_ms", "prepare_ms"),
    *("min_ms", "mean_ms", "p50_ms", "p90_ms", "p99_ms", "max_ms"),
    *("peak_memory_bytes", "resident_memory_bytes"),
)


def bench(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["run", *map(str, arguments), *QUICK])


@pytest.fixture
def faults(monkeypatch):
    """Let a format's process meet a fault: ``faults(tflite_fp32="kill")``."""
    script = Path(__file__).with_name("worker_with_faults.py")

    def plan(**by_format: str) -> None:
        monkeypatch.setattr(runner, "COMMAND", (sys.executable, str(script)))
        monkeypatch.setenv("PYTHONPATH", str(Path(runner.__file__).parents[1]))
        for fmt, fault in by_format.items():
            monkeypatch.setenv(f"FAULT_{fmt.upper()}", fault)

    return plan


@pytest.fixture(scope="module")
def measured(bench_bundle, bench_photos, tmp_path_factory):
    """One whole run with everything, its stdout and its file."""
    out = tmp_path_factory.mktemp("out") / "bench.json"
    done = bench(bench_bundle, "--data", bench_photos, "--threads", "2,1,2", "--json", "--out", out)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout), out, done


def test_a_row_for_every_format_and_thread_count(measured):
    result, _, _ = measured
    found = [(row["format"], row["threads"]) for row in result["rows"]]
    assert sorted(found) == [
        ("onnx-fp32", 1),
        ("onnx-fp32", 2),
        ("tflite-fp32", 1),
        ("tflite-fp32", 2),
    ]


def test_figures_are_there_and_in_order(measured):
    result, _, _ = measured
    for row in result["rows"]:
        assert all(row[key] > 0 for key in FIGURES), row
        assert row["min_ms"] <= row["p50_ms"] <= row["p90_ms"] <= row["p99_ms"] <= row["max_ms"]
        assert row["min_ms"] <= row["mean_ms"] <= row["max_ms"]
        assert row["runs"] >= 4
        assert len(row["rounds_p50_ms"]) == 2
        assert row["end_to_end_ms"] > 0  # the labelled photos are real ones
        assert row["error"] is row["skipped"] is None


def test_size_interpreter_and_quantisation(measured, bench_bundle):
    result, _, _ = measured
    for row in result["rows"]:
        assert row["size_bytes"] == (bench_bundle / row["file"]).stat().st_size
        assert row["quantization"] == "float32"
        assert row["interpreter"] in ("litert", "tflite-runtime", "onnxruntime")


def test_accuracy_counts_readable_photos(measured):
    result, _, done = measured
    for row in result["rows"]:
        assert (row["correct"], row["photos"], row["unreadable"]) == (8, 9, 1)
        assert row["accuracy"] == 8 / 9
    assert done.stderr.count("cut.png") == 1  # once, not once a format


def test_accuracy_equals_edge_classify(measured, bench_bundle, bench_photos):
    from edge_runtime.cli import cli as classify

    result, _, _ = measured
    for fmt in ("tflite-fp32", "onnx-fp32"):
        done = CliRunner().invoke(
            classify,
            ["image", "--model", str(bench_bundle), "--format", fmt, "--json", str(bench_photos)],
        )
        answers = [json.loads(line) for line in done.stdout.splitlines()]
        right = sum(a["label"] == Path(a["path"]).parent.name for a in answers if not a["error"])
        assert {r["correct"] for r in result["rows"] if r["format"] == fmt} == {right}


def test_what_passed_parity_comes_first_each_by_speed(measured):
    result, _, _ = measured
    assert [row["parity_passed"] for row in result["rows"]] == [True, True, False, False]
    for half in (result["rows"][:2], result["rows"][2:]):
        assert half[0]["p50_ms"] <= half[1]["p50_ms"]


def test_machine_bundle_and_settings_are_told(measured, bench_bundle, bench_photos):
    result, _, _ = measured
    assert result["schema_version"] == 1
    assert result["machine"]["python"] == sys.version.split()[0]
    assert result["bundle"]["path"] == str(bench_bundle)
    assert (result["bundle"]["width"], result["bundle"]["classes"]) == (SIDE, len(COLORS))
    assert result["settings"]["rounds"] == 2
    assert result["input"] == {
        "source": "data",
        "photo": str(bench_photos / "blue/0.png"),
        "end_to_end_photo": str(bench_photos / "blue/0.png"),
    }


def test_file_holds_what_stdout_held(measured):
    result, out, _ = measured
    assert json.loads(out.read_text()) == result
    assert [file.name for file in out.parent.iterdir()] == [out.name]


def test_table(bench_bundle, bench_photos, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    done = bench(bench_bundle, "--data", bench_photos, "--threads", "1")
    assert done.exit_code == 0
    machine, subject, _, *rest = done.stdout.splitlines()
    assert "cores" in machine
    assert "Python" in machine
    assert "3 classes, 16x16 pixels" in subject
    assert "accuracy on 9 photos of" in subject
    assert rest[1].split()[:2] == ["format", "threads"]
    assert [rest[2].split()[0], rest[2].split()[-1]] == ["tflite-fp32", "passed"]
    assert [rest[3].split()[0], rest[3].split()[-1]] == ["onnx-fp32", "FAILED"]
    assert "0.8889" in rest[2]
    assert "round 2 of 2" in done.stderr


def test_golden_photo_is_what_is_timed(own_bundle, bench_photos):
    shutil.copytree(bench_photos / "red", own_bundle / "golden")
    done = bench(own_bundle, "--threads", "1", "--formats", "tflite-fp32", "--json")
    assert json.loads(done.stdout)["input"] == {
        "source": "golden",
        "photo": str(own_bundle / "golden/0.png"),
        "end_to_end_photo": None,
    }


def test_without_any_photo_a_pattern_is_timed(bench_bundle):
    done = bench(bench_bundle, "--threads", "1", "--formats", "onnx-fp32", "--json")
    result = json.loads(done.stdout)
    assert result["input"] == {"source": "pattern", "photo": None, "end_to_end_photo": None}
    (row,) = result["rows"]
    assert row["p50_ms"] > 0
    assert row["end_to_end_ms"] is row["accuracy"] is None


def test_saved_model_without_tensorflow_is_skipped(own_bundle, tmp_path, monkeypatch):
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "tensorflow.py").write_text("raise ImportError('hidden')")
    monkeypatch.setenv("PYTHONPATH", str(hidden))
    folder = own_bundle / "model-saved_model"
    folder.mkdir()
    (folder / "saved_model.pb").write_bytes(b"never read")
    write_manifest(own_bundle, ("tflite-fp32", "saved_model"))
    done = bench(own_bundle, "--threads", "1,2", "--json")
    rows = json.loads(done.stdout)["rows"]
    assert [row["format"] for row in rows] == ["tflite-fp32", "tflite-fp32", "saved_model"]
    assert "edge-classify[train]" in rows[2]["skipped"]
    assert rows[2]["threads"] is rows[2]["error"] is rows[2]["p50_ms"] is None
    assert rows[2]["threads_note"] == "TensorFlow's own"
    assert done.exit_code == 0
    alone = bench(own_bundle, "--formats", "saved_model")
    assert alone.exit_code == 5
    assert "edge-classify[train]" in alone.stderr


def test_killed_process_is_a_row_and_the_others_go_on(bench_bundle, bench_photos, faults):
    faults(tflite_fp32="kill")
    done = bench(bench_bundle, "--threads", "1", "--json")
    good, bad = json.loads(done.stdout)["rows"]
    assert (good["format"], good["error"]) == ("onnx-fp32", None)
    assert good["p50_ms"] > 0
    assert bad["error"].startswith("the process died of SIGKILL")
    assert bad["p50_ms"] is None
    assert done.exit_code == 1
    assert "1 of 2 configurations failed" in done.stderr


def test_process_killed_while_counting_accuracy(bench_bundle, bench_photos, faults):
    faults(onnx_fp32="kill")
    done = bench(bench_bundle, "--threads", "1", "--data", bench_photos, "--json")
    good, bad = json.loads(done.stdout)["rows"]
    assert (good["accuracy"], bad["accuracy"]) == (8 / 9, None)
    assert "SIGKILL" in bad["error"]
    assert done.exit_code == 1


def test_process_that_takes_too_long(bench_bundle, faults):
    faults(onnx_fp32="sleep")
    done = bench(
        bench_bundle, "--formats", "onnx-fp32", "--threads", "1,2", "--timeout", "1", "--json"
    )
    rows = json.loads(done.stdout)["rows"]
    assert [row["error"].partition(".")[0] for row in rows] == ["no answer within 1 s"] * 2
    assert done.exit_code == 1


def test_unexpected_error_in_the_process(bench_bundle, faults):
    faults(onnx_fp32="raise")
    done = bench(bench_bundle, "--threads", "1", "--json")
    good, bad = json.loads(done.stdout)["rows"]
    assert good["p50_ms"] > 0
    assert bad["error"] == "unexpected TypeError: incompatible function arguments."
    assert done.exit_code == 1


def test_interpreter_that_prints_does_not_spoil_the_answer(bench_bundle, faults):
    faults(tflite_fp32="chatter")
    done = bench(bench_bundle, "--threads", "1", "--formats", "tflite-fp32", "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["rows"][0]["p50_ms"] > 0


def test_error_row_in_the_table(bench_bundle, faults):
    faults(tflite_fp32="kill")
    done = bench(bench_bundle, "--threads", "1")
    assert "error: tflite-fp32, threads 1: the process died of SIGKILL" in done.stdout
    assert done.exit_code == 1


def test_altered_model_is_a_row_and_the_others_go_on(own_bundle):
    file = own_bundle / "model-tflite-fp32.tflite"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    done = bench(own_bundle, "--threads", "1", "--json")
    good, bad = json.loads(done.stdout)["rows"]
    assert good["p50_ms"] > 0
    assert "SHA-256" in bad["error"]
    assert str(file) in bad["error"]
    assert done.exit_code == 1


def test_damaged_model_with_a_true_checksum(own_bundle):
    file = own_bundle / "model-onnx-fp32.onnx"
    file.write_bytes(file.read_bytes()[:100])
    write_manifest(own_bundle, ("tflite-fp32", "onnx-fp32"))
    done = bench(own_bundle, "--threads", "1", "--json")
    good, bad = json.loads(done.stdout)["rows"]
    assert good["format"] == "tflite-fp32"
    assert f"{file}: onnxruntime cannot load it" in bad["error"]
    assert done.exit_code == 1


def test_model_cut_in_half_contradicts_its_manifest(own_bundle, tmp_path):
    file = own_bundle / "model-tflite-fp32.tflite"
    file.write_bytes(file.read_bytes()[:100])
    done = bench(own_bundle, "--out", tmp_path / "out.json")
    assert done.exit_code == 3
    assert f"{file}: manifest.json says" in done.stderr
    assert not (tmp_path / "out.json").exists()


def test_existing_file_stays(bench_bundle, tmp_path):
    out = tmp_path / "out.json"
    out.write_text("precious")
    done = bench(bench_bundle, "--out", out)
    assert done.exit_code == 2
    assert "--overwrite" in done.stderr
    assert done.stdout == ""
    assert out.read_text() == "precious"
    done = bench(bench_bundle, "--threads", "1", "--out", out, "--overwrite")
    assert done.exit_code == 0
    assert len(json.loads(out.read_text())["rows"]) == 2


def test_unreadable_photos_only(bench_bundle, tmp_path):
    (tmp_path / "red").mkdir()
    (tmp_path / "red" / "text.jpg").write_text("not a photo")
    done = bench(bench_bundle, "--data", tmp_path, "--json")
    assert done.exit_code == 3
    assert done.stdout == ""
    assert "none of the 1 labelled photos can be read" in done.stderr
    assert "text.jpg" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["nowhere"], 2, "nowhere: no such bundle"),
        (["{photos}"], 3, "not a bundle, manifest.json is missing"),
        (["{bundle}", "--formats", "tflite-fp23"], 2, "Did you mean tflite-fp32?"),
        (["{bundle}", "--formats", "tflite-int8"], 2, "The bundle has no tflite-int8"),
        (["{bundle}", "--formats", ","], 2, "--formats is empty"),
        (["{bundle}", "--threads", "1,x"], 2, "--threads 1,x: expected numbers"),
        (["{bundle}", "--threads", "0"], 2, "from 1 to 256"),
        (["{bundle}", "--threads", ""], 2, "expected numbers"),
        (["{bundle}", "--min-runs", "0"], 2, "--min-runs"),
        (["{bundle}", "--min-seconds", "-1"], 2, "--min-seconds"),
        (["{bundle}", "--data", "nowhere"], 2, "nowhere: no such folder"),
        (["{bundle}", "--data", "{bundle}"], 3, "no photo in a class folder"),
        (["{bundle}", "--out", "{photos}"], 2, "is a folder"),
        (["{bundle}", "--nonsense"], 2, "No such option"),
    ],
)
def test_bad_input(bench_bundle, bench_photos, arguments, code, message):
    places = {"{bundle}": str(bench_bundle), "{photos}": str(bench_photos)}
    done = CliRunner().invoke(cli, ["run", *(places.get(a, a) for a in arguments)])
    assert done.exit_code == code
    assert message in done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.output


def test_rich_missing_is_said_before_measuring(bench_bundle, monkeypatch):
    monkeypatch.setitem(sys.modules, "rich", None)
    done = bench(bench_bundle)
    assert done.exit_code == 5
    assert "edge-classify[bench]" in done.stderr
    assert "round" not in done.stderr


@pytest.mark.parametrize("command", [[], *([name] for name in cli.commands)])
def test_every_command_has_help(command):
    done = CliRunner().invoke(cli, [*command, "--help"])
    assert done.exit_code == 0
    if command:
        assert "Example" in done.output
        assert "edge-bench" in done.output


def test_version():
    assert CliRunner().invoke(cli, ["--version"]).output.startswith("edge-bench, version ")


def test_names_beyond_ascii(bench_photos, tmp_path):
    bundle = build_bundle(tmp_path / "modèle", ("tflite-fp32",))
    folder = shutil.copytree(bench_photos, tmp_path / "caf\u00e9")
    try:
        os.rename(folder / "red/0.png", os.fsencode(folder) + b"/red/\xe9.png")
        cut = os.fsdecode(os.fsencode(folder) + b"/blue/\xe9.png")
        os.rename(folder / "blue/cut.png", cut)
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    done = bench(bundle, "--threads", "1", "--data", folder, "--json")
    assert done.exit_code == 0, done.output
    (row,) = json.loads(done.stdout)["rows"]
    assert (row["correct"], row["photos"], row["unreadable"]) == (8, 9, 1)
    assert "\\udce9.png: damaged" in done.stderr


@pytest.mark.slow
def test_saved_model_is_measured_once(own_bundle, bench_photos):
    from edge_runtime.backends.full_model import import_tensorflow

    tf = import_tensorflow()
    module = tf.Module()
    spec = tf.TensorSpec((1, SIDE, SIDE, 3), tf.float32, name="image")
    module.serve = tf.function(
        lambda image: {"probabilities": tf.nn.softmax(tf.reduce_mean(image, [1, 2]) * SHARPNESS)},
        input_signature=[spec],
    )
    folder = str(own_bundle / "model-saved_model")
    tf.saved_model.save(module, folder, signatures={"serve": module.serve})
    write_manifest(own_bundle, ("saved_model",))
    done = bench(own_bundle, "--threads", "1,2", "--data", bench_photos, "--json")
    assert done.exit_code == 0, done.output
    (row,) = json.loads(done.stdout)["rows"]
    assert row["threads"] is None
    assert row["interpreter"] == "saved_model"
    assert row["correct"] == 8
    assert row["p50_ms"] > 0
