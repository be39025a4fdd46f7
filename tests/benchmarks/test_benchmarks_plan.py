"""Which configurations are measured, on which photos, on which CPUs, started how."""

from __future__ import annotations

import os
import sys

import pytest
from PIL import Image

from benchmarks.measuring import children, cold
from benchmarks.measuring.children import Children
from benchmarks.measuring.pictures import choose_pictures, spread
from benchmarks.measuring.pinning import parse_cpus, pinned
from benchmarks.measuring.plan import Choices, Configuration, plan
from benchmarks.measuring.profile import summarize
from benchmarks.measuring.run import Settings
from benchmarks.measuring.subjects import Part, Subject
from benchmarks.measuring.throughput import usual_modes
from edge_runtime.errors import (
    ChildDied,
    EdgeError,
    MissingComponent,
    Overdue,
    SystemFailure,
    UsageError,
)
from edge_runtime.manifest import PreprocessSpec
from edge_runtime.settings import ModelSettings

SUFFIXES = {"tflite": ".tflite", "onnx": ".onnx", "keras": ".keras", "saved_model": ""}


def part(kind):
    artifact = {"subject": "b", "format": kind, "file": f"model{SUFFIXES[kind]}", "bytes": 1}
    artifact |= {"sha256": None, "quantization": None, "parity_passed": None}
    return Part(0, "/b", f"{kind}-fp32", kind, artifact)


def subject(*kinds):
    parts = tuple(part(kind) for kind in kinds)
    return Subject("b", "bundle", ("a", "b"), PreprocessSpec(16, 16), None, (), parts)


def planned(kinds, **choices):
    return [
        (each.part.kind, each.interpreter, each.threads, each.delegate)
        for each in plan([subject(*kinds)], Choices(**choices))
    ]


def test_usual_plan(monkeypatch):
    monkeypatch.setattr("benchmarks.measuring.plan.default_threads", lambda: 4)
    assert planned(["tflite", "saved_model"]) == [
        ("tflite", None, 1, None),
        ("tflite", None, 4, None),
        ("saved_model", None, None, None),  # TensorFlow chooses its threads itself
    ]


def test_interpreters_go_to_the_files_that_they_run():
    found = planned(
        ["tflite", "onnx", "keras"],
        threads=(1,),
        interpreters=("onnxruntime", "tflite-runtime", "litert"),
    )
    assert found == [
        ("tflite", "litert", 1, None),
        ("tflite", "tflite-runtime", 1, None),
        ("onnx", "onnxruntime", 1, None),
    ]


def test_all_are_those_that_are_installed(monkeypatch):
    monkeypatch.setattr(
        "benchmarks.measuring.plan.installed",
        lambda names: [n for n in names if n in ("litert", "tensorflow")],
    )
    found = planned(["tflite", "onnx"], threads=(1,), interpreters=("all",))
    assert found == [("tflite", "litert", 1, None), ("tflite", "tensorflow", 1, None)]


def test_delegates_and_providers_are_rows_of_their_own():
    found = plan(
        [subject("tflite", "onnx")],
        Choices(threads=(2,), delegates=("default", "none"), providers=("CUDA", "CUDA")),
    )
    engines = [each.engine for each in found]
    assert [(e.delegate, e.providers) for e in engines] == [
        (None, ()),
        ("none", ()),
        (None, ("CUDA",)),
    ]


@pytest.mark.parametrize(
    ("kinds", "choices", "message"),
    [
        (["tflite"], {"interpreters": ("onnxruntime",)}, "none of them runs these files"),
        (["onnx"], {"delegates": ("none",)}, "--delegate none is for .tflite files"),
        (["tflite"], {"providers": ("CUDA",)}, "--provider CUDA is for .onnx files"),
        (["tflite"], {"interpreters": ("litrt",)}, "--interpreters litrt: expected litert"),
    ],
)
def test_choices_that_fit_nothing(kinds, choices, message):
    with pytest.raises(UsageError, match=message):
        planned(kinds, **choices)


@pytest.mark.parametrize(
    ("batch", "threads", "cores", "modes"),
    [
        (1, 1, 1, [(1, 1)]),
        (1, 1, 4, [(1, 1), (4, 1)]),
        (1, 2, 4, [(1, 1), (2, 1)]),
        (1, 4, 4, [(1, 1)]),
        (None, 4, 4, [(1, 1), (1, 16)]),
        (8, 1, 2, [(1, 8), (2, 8)]),
        (None, None, 4, [(1, 1), (1, 16)]),
    ],
)
def test_usual_modes_of_throughput(batch, threads, cores, modes):
    assert usual_modes(batch, threads, cores) == modes


def test_start_is_asked_for_as_the_row_is_measured(tmp_path):
    settings = ModelSettings(
        labels=("a", "b c"), mean=(1.5, 2.0, 3.0), std=(2.0,), layout="NCHW", size=(8, 9)
    )
    one = Configuration(part("tflite"), "litert", 2, "none")
    cold.write_labels(settings, tmp_path)
    words = cold.image_command(one, settings, "/photo.jpg", tmp_path)
    assert words == [
        *("image", "--json", "--model", "/b", "--format", "tflite-fp32", "--threads", "2"),
        *("--interpreter", "litert", "--delegate", "none"),
        *("--labels", str(tmp_path / "labels.txt"), "--mean", "1.5,2.0,3.0", "--std", "2.0"),
        *("--layout", "NCHW", "--input-size", "8x9", "--", "/photo.jpg"),
    ]
    assert (tmp_path / "labels.txt").read_text() == "a\nb c\n"
    other = Configuration(part("onnx"), None, 1, "CUDA")
    assert cold.image_command(other, None, "/p", tmp_path)[-4:] == [
        "--provider",
        "CUDA",
        "--",
        "/p",
    ]


@pytest.mark.parametrize(
    ("code", "kind", "message"),
    [
        ("sys.exit('error: no such model.')", EdgeError, "no such model."),
        ("print('error: install it', file=sys.stderr); sys.exit(5)", MissingComponent, "install"),
        ("os.kill(os.getpid(), 9)", ChildDied, "signal 9"),
        ('print(\'{"error": "x.jpg: damaged"}\'); sys.exit(1)', EdgeError, "x.jpg: damaged"),
        ("pass", EdgeError, "gave no answer"),
        ("import time; time.sleep(600)", Overdue, "no answer within 0.5 s"),
    ],
)
def test_start_that_fails(monkeypatch, code, kind, message):
    command = (sys.executable, "-c", f"import os, sys\n{code}")
    monkeypatch.setattr(cold, "COMMAND", command)
    with pytest.raises(kind, match=message):
        cold.time_start([], 0.5 if kind is Overdue else 60)


def test_process_that_cannot_be_started_is_an_error_of_its_own(monkeypatch):
    monkeypatch.setattr(cold, "COMMAND", ("/nowhere/python",))
    with pytest.raises(SystemFailure, match=r"image could not be started: .*nowhere"):
        cold.time_start([], 60)
    monkeypatch.setattr(children, "COMMAND", ("/nowhere/python",))
    with Children(Settings()) as asked, pytest.raises(SystemFailure, match="could not be started"):
        asked.ask({})


def test_start_is_timed_to_the_answer_and_not_to_the_end(monkeypatch):
    code = "import time\nprint('{}', flush=True)\ntime.sleep(0.5)\n"
    monkeypatch.setattr(cold, "COMMAND", (sys.executable, "-c", code))
    import time

    begin = time.perf_counter()
    taken = cold.time_start([], 60)
    assert taken < (time.perf_counter() - begin) * 1e3 - 450  # the child sleeps for 500 ms


def test_photos_are_spread_over_the_folder_and_can_be_read(tmp_path):
    paths = []
    for number in range(40):
        path = tmp_path / f"{number:02}.png"
        Image.new("RGB", (20, 20), (number, 0, 0)).save(path)
        paths.append(str(path))
    assert spread(paths, 4) == [paths[0], paths[10], paths[20], paths[30]]
    assert spread(paths[:3], 4) == paths[:3]
    (tmp_path / "00.png").write_bytes(b"no picture")
    golden = (str(tmp_path / "01.pixels.png"), paths[0], paths[5])
    one = Subject("b", "bundle", ("a",), PreprocessSpec(16, 16), None, golden, ())
    chosen = choose_pictures(one, [])
    assert (chosen.source, chosen.photo, chosen.whole) == ("golden", paths[5], (paths[5],))
    chosen = choose_pictures(one, paths)
    assert (chosen.source, chosen.photo) == ("golden", paths[5])
    assert chosen.whole == tuple(paths[2::2])  # 20 of 40, of which the first cannot be read


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="Linux only")
def test_pinned_thread_and_its_children(capfd):
    import subprocess

    usable = sorted(os.sched_getaffinity(0))
    last = usable[-1]
    assert parse_cpus(f"{last},{last}-{last}") == (last,)
    with pinned((last,)):
        code = "import os; print(os.sched_getaffinity(0))"
        told = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
        assert told.stdout.decode().strip() == f"{{{last}}}"
    assert sorted(os.sched_getaffinity(0)) == usable


@pytest.mark.parametrize("text", ["x", "", "1-", "-1", "3-1", "0-99999", "4095", "0,,1"])
def test_cpus_that_do_not_exist(text):
    with pytest.raises(UsageError, match="--pin"):
        parse_cpus(text)


def event(name, ts, dur=0, **args):
    return {"cat": "Node" if args else "Session", "name": name, "ts": ts, "dur": dur, "args": args}


def test_profile_is_summed_by_operator_and_leaves_the_warm_up_out():
    cpu = {"provider": "CPUExecutionProvider"}
    events = [
        event("model_run", 0),
        event("a_kernel_time", 1, 9999, op_name="Conv", **cpu),
        event("model_run", 100),
        event("a_fence_before", 101, 5, op_name="Conv"),
        event("a_kernel_time", 102, 3000, op_name="Conv", **cpu),
        event("b_kernel_time", 103, 1000, op_name="Conv", **cpu),
        event("c_kernel_time", 104, 2000, op_name="Softmax", **cpu),
        event("model_run", 200),
        event("a_kernel_time", 202, 3000, op_name="Conv", **cpu),
        event("b_kernel_time", 203, 1000, op_name="Conv", **cpu),
        event("c_kernel_time", 204, 2000, op_name="Softmax", **cpu),
    ]
    found = summarize(events, warm_runs=1)
    assert (found["runs"], found["ms"]) == (2, 6.0)
    assert found["operators"] == [
        {"operator": "Conv", "calls": 2.0, "ms": 4.0, "share": 0.6667},
        {"operator": "Softmax", "calls": 1.0, "ms": 2.0, "share": 0.3333},
    ]
    assert found["providers"] == {"CPUExecutionProvider": 3}
