"""``edge-bench run`` on real models: rows, errors, exit codes, purity of stdout."""

from __future__ import annotations

import errno
import json
import os
import shutil
import sys
from pathlib import Path

import pytest
from bench_models import COLORS, SHARPNESS, SIDE, build_bundle, write_manifest
from click.testing import CliRunner, Result

from benchmarks.cli import cli
from benchmarks.measuring import children, rounds
from edge_runtime.console import EXIT_INTERRUPTED

#: Two rounds of some milliseconds: enough for every figure, and for nothing to be trusted.
QUICK = ("--min-seconds", "0.02", "--min-runs", "4", "--rounds", "2")


def bench(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["run", *map(str, arguments), *QUICK])


@pytest.fixture
def faults(monkeypatch):
    """Let a format's process meet a fault: ``faults(tflite_fp32="kill")``."""
    script = Path(__file__).with_name("worker_with_faults.py")

    def plan(task: str | None = None, **by_format: str) -> None:
        monkeypatch.setattr(children, "COMMAND", (sys.executable, str(script)))
        monkeypatch.setenv("PYTHONPATH", str(Path(children.__file__).parents[2]))
        if task is not None:
            monkeypatch.setenv("FAULT_TASK", task)
        for fmt, fault in by_format.items():
            monkeypatch.setenv(f"FAULT_{fmt.upper()}", fault)

    return plan


@pytest.fixture(scope="module")
def measured(bench_bundle, bench_photos, tmp_path_factory):
    """One whole run with everything, its stdout and its file."""
    out = tmp_path_factory.mktemp("out") / "bench.json"
    options = ("--threads", "2,1,2", "--profile", "--json", "--out", out)
    done = bench(bench_bundle, "--data", bench_photos, *options)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout), out, done


def test_a_row_for_every_format_and_thread_count(measured):
    result, _, _ = measured
    names = sorted(row["name"] for row in result["rows"])
    assert names == [
        "onnx-fp32, onnxruntime, 1 thread",
        "onnx-fp32, onnxruntime, 2 threads",
        "tflite-fp32, litert, 1 thread",
        "tflite-fp32, litert, 2 threads",
    ]


def test_latency_is_there_and_in_order(measured):
    result, _, _ = measured
    order = ("min", "p50", "p90", "p95", "p99", "p99_9", "max")
    for row in result["rows"]:
        latency = row["latency"]
        values = [latency[f"{name}_ms"] for name in order]
        assert values[0] > 0
        assert values == sorted(values)
        assert latency["runs"] == sum(each["runs"] for each in latency["rounds"]) >= 4
        assert len(latency["rounds"]) == 2
        assert sum(latency["histogram"]["counts"]) == latency["runs"]
        assert all(each["warm_up_runs"] >= 9 for each in latency["rounds"])


def test_every_other_figure_is_there(measured):
    result, _, _ = measured
    for row in result["rows"]:
        for key in ("cold_start", "imports", "load", "first"):
            assert 0 < row[key]["min_ms"] <= row[key]["median_ms"]
        # From start to answer is more than loading a model in a process that runs already.
        assert row["cold_start"]["min_ms"] > row["load"]["min_ms"]
        assert 0 < row["memory"]["steady_bytes"] <= row["memory"]["peak_bytes"]
        whole = row["end_to_end"]
        assert whole["photos"] == 9
        parts = [whole[f"{p}_ms"] for p in ("decode", "preprocess", "infer", "postprocess")]
        assert min(parts) > 0
        assert whole["p50_ms"] <= whole["p90_ms"]
        assert {mode["streams"] for mode in row["throughput"]} >= {1}
        assert all(mode["per_second"] > 0 for mode in row["throughput"])


def test_artifact_and_engine(measured, bench_bundle):
    result, _, _ = measured
    for row in result["rows"]:
        artifact, engine = row["artifact"], row["engine"]
        assert artifact["bytes"] == (bench_bundle / artifact["file"]).stat().st_size
        assert artifact["subject"] == str(bench_bundle)
        assert artifact["quantization"] == "float32"
        assert engine["version"][0].isdigit()
        assert engine["delegate"] is None
        assert ("CPUExecutionProvider" in engine["effective"]) == (
            artifact["format"] == "onnx-fp32"
        )


def test_profile_of_onnx_and_none_of_tflite(measured):
    result, _, _ = measured
    for row in result["rows"]:
        if row["artifact"]["format"] == "onnx-fp32":
            operators = {each["operator"] for each in row["profile"]["operators"]}
            assert "Softmax" in operators
            assert sum(each["share"] for each in row["profile"]["operators"]) == pytest.approx(
                1, abs=0.001
            )
        else:
            assert row["profile"]["profiler"] is None
            assert "no profiler" in row["profile"]["reason"]


def test_accuracy_counts_readable_photos(measured):
    result, _, done = measured
    for row in result["rows"]:
        found = row["accuracy"]
        assert (found["correct"], found["photos"], found["unreadable"]) == (8, 9, 1)
        assert found["accuracy"] == 8 / 9
        assert found["agreement"] == 1.0
        assert found["reference"] == "tflite-fp32, litert, 2 threads"  # as asked for, first
        assert found["ci"][0] < 8 / 9 < found["ci"][1]
        # Eight photos of score 1.0 are right, one is wrong.
        assert found["ece"] == pytest.approx(1 / 9, abs=1e-3)
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
        rows = [row for row in result["rows"] if row["artifact"]["format"] == fmt]
        assert {row["accuracy"]["correct"] for row in rows} == {right}


def test_what_passed_parity_comes_first_each_by_speed(measured):
    result, _, _ = measured
    passed = [row["artifact"]["parity_passed"] for row in result["rows"]]
    assert passed == [True, True, False, False]
    p50 = [row["latency"]["p50_ms"] for row in result["rows"]]
    assert p50[0] <= p50[1]
    assert p50[2] <= p50[3]


def test_machine_subject_and_settings_are_told(measured, bench_bundle, bench_photos):
    result, _, _ = measured
    assert result["schema_version"] == 2
    assert result["machine"]["python"] == sys.version.split()[0]
    subject = result["subject"]
    assert (subject["path"], subject["kind"]) == (str(bench_bundle), "bundle")
    assert (subject["width"], subject["classes"], subject["default"]) == (SIDE, 3, "tflite-fp32")
    assert result["settings"]["rounds"] == 2
    assert result["settings"]["data"] == str(bench_photos)
    assert result["input"]["photo"] == str(bench_photos / "blue/0.png")
    assert result["input"]["source"] == "data"
    assert result["input"]["end_to_end_photos"] == 9


def test_run_that_is_too_short_says_so(measured):
    result, _, _ = measured
    assert result["status"] == "invalid"
    for row in result["rows"]:
        assert row["status"] == "invalid"
        assert any(reason.startswith("too short: 2 rounds") for reason in row["reasons"])


def test_conditions_are_told(measured):
    result, _, _ = measured
    assert set(result["conditions"]) == {"before", "during", "after"}
    if sys.platform.startswith("linux"):
        assert result["conditions"]["during"]["other_load"] >= 0
        assert result["conditions"]["during"]["swapped_bytes"] >= 0


def test_file_holds_what_stdout_held(measured):
    result, out, _ = measured
    assert json.loads(out.read_text()) == result
    assert [file.name for file in out.parent.iterdir()] == [out.name]


ONE = ("--threads", "1", "--formats", "tflite-fp32", "--no-throughput")


def test_strict_makes_an_invalid_row_a_failed_check(bench_bundle):
    done = bench(bench_bundle, *ONE, "--strict", "--json")
    assert done.exit_code == 4
    assert "error: INVALID, 1 of its rows: " in done.stderr
    assert json.loads(done.stdout)["rows"][0]["latency"]["p50_ms"] > 0  # it is shown all the same


def test_table(bench_bundle, bench_photos, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    done = bench(bench_bundle, "--data", bench_photos, "--threads", "1", "--no-throughput")
    assert done.exit_code == 0
    assert "3 classes, 16x16 pixels" in done.stdout
    assert "tflite-fp32, litert, 1 thread" in done.stdout
    assert "88.9" in done.stdout
    assert "INVALID: tflite-fp32, litert, 1 thread: " in done.stdout and "too short" in done.stdout
    assert "round 2 of 2" in done.stderr


def test_golden_photo_is_what_is_timed(own_bundle, bench_photos, monkeypatch):
    shutil.copytree(bench_photos / "red", own_bundle / "golden")
    genuine, asked = children.ask, []

    def ask(command, request, *arguments, **more):
        asked.append(request)
        return genuine(command, request, *arguments, **more)

    monkeypatch.setattr(children, "ask", ask)
    done = bench(own_bundle, *ONE, "--json")
    decoded, *timed = asked  # decoded once, apart from the processes whose memory counts
    assert (decoded["task"], decoded["photo"]) == ("pixels", str(own_bundle / "golden/0.png"))
    assert [(each["task"], each["pixels"]) for each in timed] == [("latency", decoded["out"])] * 2
    result = json.loads(done.stdout)
    assert result["input"]["source"] == "golden"
    assert result["input"]["photo"] == str(own_bundle / "golden/0.png")
    assert result["rows"][0]["end_to_end"]["photos"] == 3


def test_without_any_photo_a_pattern_is_timed(bench_bundle):
    done = bench(bench_bundle, "--threads", "1", "--formats", "onnx-fp32", "--json")
    result = json.loads(done.stdout)
    assert (result["input"]["source"], result["input"]["photo"]) == ("pattern", None)
    (row,) = result["rows"]
    assert row["latency"]["p50_ms"] > 0
    assert row["cold_start"]["median_ms"] > 0
    assert row["end_to_end"] is row["accuracy"] is row["profile"] is None


def test_single_files_and_a_bundle_together(bench_bundle, bench_photos, tmp_path):
    """Files without a description of their own: the toolkit is told what they lack."""
    for kind in ("tflite", "onnx"):
        shutil.copy(bench_bundle / f"model-{kind}-fp32.{kind}", tmp_path / f"foreign.{kind}")
    labels = tmp_path / "labels.txt"
    labels.write_text("\n".join(COLORS))
    files = [tmp_path / f"foreign.{kind}" for kind in ("tflite", "onnx")]
    options = ("--labels", labels, "--normalization", "raw", "--output-kind", "probabilities")
    done = bench(
        *files, "--data", bench_photos, "--threads", "1", "--no-throughput", *options, "--json"
    )
    assert done.exit_code == 0, done.output
    result = json.loads(done.stdout)
    assert result["subject"]["kind"] == "several"
    assert [member["kind"] for member in result["subject"]["members"]] == ["file", "file"]
    rows = {row["artifact"]["format"]: row for row in result["rows"]}
    assert rows["tflite"]["name"] == "foreign.tflite, litert, 1 thread"
    assert rows["tflite"]["artifact"]["parity_passed"] is None
    assert len(rows["onnx"]["artifact"]["sha256"]) == 64
    for row in rows.values():
        assert row["accuracy"]["correct"] == 8
        assert row["accuracy"]["reference"] == "foreign.tflite, litert, 1 thread"
        assert row["cold_start"]["median_ms"] > 0


def test_zip_of_a_bundle(bench_bundle, tmp_path):
    zipped = shutil.make_archive(str(tmp_path / "bundle"), "zip", bench_bundle)
    done = bench(zipped, "--threads", "1", "--formats", "onnx-fp32", "--profile", "--json")
    assert done.exit_code == 0, done.output
    (row,) = json.loads(done.stdout)["rows"]
    assert row["artifact"]["subject"] == zipped
    assert row["latency"]["p50_ms"] > 0
    assert row["profile"]["operators"]


def test_provider_that_runs_nothing_makes_the_row_invalid(bench_bundle):
    """onnxruntime lists its Azure provider as in use, and runs every operator on the CPU."""
    import onnxruntime

    if "AzureExecutionProvider" not in onnxruntime.get_available_providers():
        pytest.skip("this build of onnxruntime has no provider that runs nothing")
    options = ("--formats", "onnx-fp32", "--threads", "1", "--provider", "Azure", "--json")
    done = bench(bench_bundle, *options, "--no-throughput")
    (row,) = json.loads(done.stdout)["rows"]
    assert row["reasons"][0].startswith("provider Azure was asked for, and ran none of the")
    assert row["engine"]["effective"].startswith("CPUExecutionProvider (")


def test_streams_and_batches_that_were_asked_for(bench_bundle):
    options = ("--formats", "tflite-fp32", "--threads", "1", "--streams", "1,3", "--batch", "1,4")
    done = bench(bench_bundle, *options, "--json")
    (row,) = json.loads(done.stdout)["rows"]
    modes = [(mode["streams"], mode["batch"]) for mode in row["throughput"]]
    assert modes == [(1, 1), (3, 1)]  # the model takes one photo a run


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="Linux only")
def test_pinned_to_one_cpu(bench_bundle):
    cpu = max(os.sched_getaffinity(0))
    before = os.sched_getaffinity(0)
    done = bench(
        bench_bundle, "--formats", "tflite-fp32", "--no-throughput", "--pin", cpu, "--json"
    )
    result = json.loads(done.stdout)
    assert result["settings"]["pin"] == [cpu]
    assert [row["engine"]["threads"] for row in result["rows"]] == [1]  # all that one CPU can use
    assert os.sched_getaffinity(0) == before


def test_ctrl_c_keeps_what_was_measured(bench_bundle, tmp_path, faults):
    faults("throughput", tflite_fp32="interrupt", onnx_fp32="interrupt")
    out = tmp_path / "out.json"
    done = bench(bench_bundle, "--threads", "1", "--out", out, "--json")
    assert done.exit_code == EXIT_INTERRUPTED
    result = json.loads(out.read_text())
    assert result["status"] == "invalid"
    assert result["reasons"][0] == "interrupted after 0 of 2 rounds"
    measured = [row for row in result["rows"] if row["latency"]]
    (rest,) = (row for row in result["rows"] if not row["latency"])
    assert len(measured[0]["latency"]["rounds"]) == 1
    assert rest["reasons"] == ["the run was interrupted before it was measured."]


def test_ctrl_c_before_any_figure_writes_nothing(bench_bundle, tmp_path, faults):
    faults("latency", tflite_fp32="interrupt", onnx_fp32="interrupt")
    out = tmp_path / "out.json"
    done = bench(bench_bundle, "--threads", "1", "--out", out, "--json")
    assert done.exit_code == EXIT_INTERRUPTED
    assert done.stdout == ""
    assert not out.exists()


def test_fault_after_the_first_figures_keeps_them(bench_bundle, tmp_path, monkeypatch):
    genuine, calls = rounds.time_start, []

    def breaks(words, timeout):
        calls.append(words)
        if len(calls) > 2:  # untimed, first round, second round
            raise ZeroDivisionError("of the second round")
        return genuine(words, timeout)

    monkeypatch.setattr(rounds, "time_start", breaks)
    out = tmp_path / "out.json"
    done = bench(bench_bundle, *ONE, "--out", out, "--json")
    assert done.exit_code == 1
    assert isinstance(done.exception, ZeroDivisionError) or "ZeroDivision" in done.stderr
    result = json.loads(out.read_text())
    assert json.loads(done.stdout) == result and result["status"] == "invalid"
    assert result["reasons"][0] == (
        "interrupted after 1 of 2 rounds by ZeroDivisionError: of the second round"
    )
    assert len(result["rows"][0]["latency"]["rounds"]) == 1


def test_full_disk_during_the_rounds_costs_nothing(bench_bundle, tmp_path, monkeypatch):
    """What the starts need is written before the first of them, and never again."""
    genuine, photos = rounds.time_start, set()

    def full(self, *_, **__):
        raise OSError(errno.ENOSPC, "No space left on device", str(self))

    def starts(words, timeout):
        photos.add(words[-1])
        monkeypatch.setattr(Path, "write_text", full)
        monkeypatch.setattr("PIL.Image.Image.save", full)
        return genuine(words, timeout)

    monkeypatch.setattr(rounds, "time_start", starts)
    file = shutil.copy(bench_bundle / "model-tflite-fp32.tflite", tmp_path / "foreign.tflite")
    labels = tmp_path / "labels.txt"
    labels.write_text("\n".join(COLORS))
    options = ("--labels", labels, "--normalization", "raw", "--output-kind", "probabilities")
    done = bench(file, "--threads", "1", "--no-throughput", *options, "--json")
    assert done.exit_code == 0, done.output
    (row,) = json.loads(done.stdout)["rows"]
    assert row["cold_start"]["median_ms"] > 0 and len(row["latency"]["rounds"]) == 2
    assert len(photos) == 1  # the generated one


def test_saved_model_without_tensorflow_is_skipped(own_bundle, tmp_path, monkeypatch):
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "tensorflow.py").write_text("raise ImportError('hidden')")
    monkeypatch.setenv("PYTHONPATH", str(hidden))
    folder = own_bundle / "model-saved_model"
    folder.mkdir()
    (folder / "saved_model.pb").write_bytes(b"never read")
    write_manifest(own_bundle, ("tflite-fp32", "saved_model"))
    done = bench(own_bundle, "--threads", "1", "--no-throughput", "--json")
    rows = json.loads(done.stdout)["rows"]
    assert [row["artifact"]["format"] for row in rows] == ["tflite-fp32", "saved_model"]
    assert rows[1]["status"] == "skipped"
    assert "edge-classify[train]" in rows[1]["reasons"][0]
    assert rows[1]["engine"]["threads"] is rows[1]["latency"] is None
    assert rows[1]["name"] == "saved_model, own threads"
    assert done.exit_code == 0
    alone = bench(own_bundle, "--formats", "saved_model")
    assert alone.exit_code == 5
    assert "edge-classify[train]" in alone.stderr


def test_interpreter_that_is_not_installed_is_skipped(bench_bundle):
    from edge_runtime.tried import installed

    if installed(["tflite-runtime"]):
        pytest.skip("it is installed here")
    done = bench(bench_bundle, *ONE, "--interpreters", "litert,tflite-runtime", "--json")
    good, absent = json.loads(done.stdout)["rows"]
    assert good["engine"]["interpreter"] == "litert"
    assert (absent["status"], absent["engine"]["interpreter"]) == ("skipped", "tflite-runtime")
    assert done.exit_code == 0


def split(done):
    """The rows with figures, and those without."""
    rows = json.loads(done.stdout)["rows"]
    return [r for r in rows if r["latency"]], [r for r in rows if not r["latency"]]


@pytest.mark.parametrize(
    ("task", "fault", "reason"),
    [
        ("latency", "kill", "the process died of SIGKILL"),
        ("accuracy", "kill", "the process died of SIGKILL"),
        ("latency", "raise", "unexpected TypeError: incompatible function arguments."),
    ],
)
def test_process_that_fails_is_a_row_and_the_others_go_on(
    bench_bundle, bench_photos, tmp_path, faults, task, fault, reason
):
    faults(task, tflite_fp32=fault)
    out = tmp_path / "out.json"
    options = ("--threads", "1", "--no-throughput", "--json", "--out", out)
    done = bench(bench_bundle, "--data", bench_photos, *options)
    (good,), (bad,) = split(done)
    assert good["accuracy"]["correct"] == 8
    assert (bad["status"], bad["accuracy"]) == ("failed", None)
    assert bad["reasons"][0].startswith(reason)
    assert done.exit_code == 1
    assert "1 of 2 configurations failed" in done.stderr
    assert json.loads(out.read_text()) == json.loads(done.stdout)


def test_process_that_takes_too_long(bench_bundle, faults):
    faults("latency", onnx_fp32="sleep")
    options = ("--formats", "onnx-fp32", "--threads", "1", "--timeout", "10", "--json")
    done = bench(bench_bundle, *options)
    rows = json.loads(done.stdout)["rows"]
    reasons = [row["reasons"][0].partition(".")[0] for row in rows]
    assert reasons == ["no answer within 10 s"]
    assert done.exit_code == 1


def test_throughput_that_fails_leaves_the_latency(bench_bundle, faults):
    faults("throughput", tflite_fp32="kill")
    done = bench(bench_bundle, "--formats", "tflite-fp32", "--threads", "1", "--json")
    (row,) = json.loads(done.stdout)["rows"]
    assert row["latency"]["p50_ms"] > 0
    assert row["throughput"] == []
    assert "throughput of tflite-fp32, 1 thread was not measured" in done.stderr
    assert done.exit_code == 0


def test_interpreter_that_prints_does_not_spoil_the_answer(bench_bundle, faults):
    faults(tflite_fp32="chatter")
    done = bench(bench_bundle, *ONE, "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["rows"][0]["latency"]["p50_ms"] > 0


def test_altered_model_is_a_row_and_the_others_go_on(own_bundle):
    file = own_bundle / "model-tflite-fp32.tflite"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    done = bench(own_bundle, "--threads", "1", "--no-throughput", "--json")
    (_,), (bad,) = split(done)
    assert "SHA-256" in bad["reasons"][0]
    assert str(file) in bad["reasons"][0]
    assert done.exit_code == 1


def test_damaged_model_with_a_true_checksum(own_bundle):
    file = own_bundle / "model-onnx-fp32.onnx"
    file.write_bytes(file.read_bytes()[:100])
    write_manifest(own_bundle, ("tflite-fp32", "onnx-fp32"))
    done = bench(own_bundle, "--threads", "1", "--no-throughput", "--json")
    (good,), (bad,) = split(done)
    assert good["artifact"]["format"] == "tflite-fp32"
    assert f"{file}: onnxruntime cannot load it" in bad["reasons"][0]
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
    done = bench(bench_bundle, *ONE, "--out", out, "--overwrite")
    assert done.exit_code == 0
    assert len(json.loads(out.read_text())["rows"]) == 1


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
        (["nowhere"], 2, "nowhere: no such bundle or model file"),
        ([], 2, "Missing argument"),
        (["{photos}"], 3, "not a model"),
        (["{bundle}", "--formats", "tflite-fp23"], 2, "Did you mean tflite-fp32?"),
        (["{bundle}", "--formats", "tflite-int8"], 2, "The bundle has no tflite-int8"),
        (["{bundle}", "--formats", ","], 2, "--formats is empty"),
        (["{bundle}", "--threads", "1,x"], 2, "--threads 1,x: expected numbers"),
        (["{bundle}", "--threads", "0"], 2, "from 1 to 256"),
        (["{bundle}", "--threads", ""], 2, "expected numbers"),
        (["{bundle}", "--interpreters", "onnx"], 2, "--interpreters onnx: expected litert"),
        (["{bundle}", "--formats", "tflite-fp32", "--provider", "CUDA"], 2, "is for .onnx files"),
        (["{bundle}", "--pin", "4095"], 2, "CPU 4095 does not exist"),
        (["{bundle}", "--pin", "x"], 2, "expected CPU numbers"),
        (["{bundle}", "--rounds", "0"], 2, "--rounds"),
        (["{bundle}", "--streams", "0"], 2, "--streams 0: expected numbers"),
        (["{bundle}/model-tflite-fp32.tflite", "--formats", "onnx-fp32"], 2, "no bundle was given"),
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

    def placed(text: str) -> str:
        for name, place in places.items():
            text = text.replace(name, place)
        return text

    done = CliRunner().invoke(cli, ["run", *map(placed, arguments)])
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
        os.rename(folder / "blue/0.png", os.fsencode(folder) + b"/blue/\xea.png")
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    done = bench(bundle, "--threads", "1", "--no-throughput", "--data", folder, "--json")
    assert done.exit_code == 0, done.output
    (row,) = json.loads(done.stdout)["rows"]
    found = row["accuracy"]
    assert (found["correct"], found["photos"], found["unreadable"]) == (8, 9, 1)
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
    assert row["engine"]["threads"] is None
    assert row["engine"]["interpreter"] == "tensorflow"
    assert row["accuracy"]["correct"] == 8
    assert row["latency"]["p50_ms"] > 0
