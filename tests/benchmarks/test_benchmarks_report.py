"""Order and table, from rows that nobody measured."""

from __future__ import annotations

import io

import pytest
from click import unstyle

from benchmarks.report import best_first, print_table
from benchmarks.rows import Accuracy, Configuration, make_row
from edge_runtime.manifest import Artifact


def row(fmt="tflite-fp32", passed=True, error=None, skipped=None, rounds=((2, 2), (2, 2)), **more):
    """A row made as the runner makes it; ``rounds`` are the samples of each, in milliseconds."""
    artifact = Artifact(fmt, f"model-{fmt}", 9_000_000, "0" * 64, "float32", passed)
    answers = [
        {
            "interpreter": "litert",
            "import_ms": 30.0 - number,
            "load_ms": 20.0 + number,
            "first_inference_ms": 3.0,
            "samples_ns": [n * 1_000_000 for n in samples],
            "prepare_ms": 0.01,
            "end_to_end_ms": None,
            "peak_memory_bytes": 50_000_000 + number,
            "resident_memory_bytes": 40_000_000,
        }
        for number, samples in enumerate(rounds)
    ]
    made = Configuration(artifact, 1, answers, skipped, error)
    return {**make_row(made, more.pop("accuracy", None)), **more}


def result(*rows, data):
    machine = {
        "cpu": "A CPU",
        "board": None,
        "cores": 4,
        "usable_cores": 4,
        "ram_bytes": None,
        "governor": None,
        "architecture": "aarch64",
        "system": "Linux 6",
        "python": "3.11.2",
        "packages": {"numpy": "2.0"},
    }
    return {
        "machine": machine,
        "bundle": {"path": "[bold]bundle", "classes": 8, "width": 224, "height": 224},
        "input": {"source": "pattern", "photo": None, "end_to_end_photo": None},
        "settings": {"data": data},
        "rows": list(rows),
    }


def printed(*rows, data="photos") -> str:
    stream = io.StringIO()
    print_table(result(*rows, data=data), stream)
    return stream.getvalue()


def test_samples_of_all_rounds_are_pooled():
    made = row(rounds=((1, 2, 3), (4, 5, 6, 7)))
    assert (made["runs"], made["p50_ms"], made["min_ms"], made["max_ms"]) == (7, 4.0, 1.0, 7.0)
    assert made["rounds_p50_ms"] == [2.0, 5.0]


def test_costs_are_the_smallest_and_memory_the_largest_of_the_rounds():
    made = row()
    assert (made["import_ms"], made["load_ms"]) == (29.0, 20.0)
    assert made["peak_memory_bytes"] == 50_000_001


def test_failed_row_has_no_figures_though_a_round_succeeded():
    made = row(error="died")
    assert made["p50_ms"] is made["load_ms"] is made["peak_memory_bytes"] is None
    assert made["size_bytes"] == 9_000_000


def test_accuracy_of_no_photo_is_none():
    assert Accuracy(0, 0, 3).accuracy is None
    assert row(accuracy=Accuracy(8, 6, 1))["accuracy"] == 0.75


def test_best_first():
    rows = [
        row(error="died"),
        row("tflite-int8", passed=False, rounds=((1,),)),
        row("saved_model", skipped="no TensorFlow"),
        row("onnx-fp32", rounds=((3,),)),
        row("tflite-fp16", rounds=((2,),)),
        row("tflite-dynamic", passed=False, rounds=((5,),)),
    ]
    assert [r["format"] for r in best_first(rows)] == [
        "tflite-fp16",
        "onnx-fp32",
        "tflite-int8",
        "tflite-dynamic",
        "saved_model",
        "tflite-fp32",
    ]


def test_names_are_printed_as_they_are():
    text = printed(row(accuracy=Accuracy(4, 3, 2)))
    assert "[bold]bundle: 8 classes, 224x224 pixels; timed on a generated pattern" in text
    assert "accuracy on 4 photos of photos (2 unreadable left out)" in text
    assert text.startswith("A CPU, 4 of 4 cores, governor not readable, Linux 6 aarch64, Python")


@pytest.mark.parametrize(("width", "narrow"), [(80, True), (200, False)])
def test_narrow_terminal_loses_columns_and_is_told(monkeypatch, width, narrow):
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich then treats the stream as a terminal
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", str(width))
    text = unstyle(printed(row("tflite-dynamic", accuracy=Accuracy(8, 6, 1))))
    table = text.split("\n\n")[1].splitlines()
    assert max(map(len, table)) <= width
    assert "…" not in text
    for header in ("format", "threads", "p50", "memory", "size", "accuracy", "parity"):
        assert header in table[0] + table[1]
    assert ("too narrow for: prepare, import" in text) == narrow


def test_columns_that_need_photos_are_there_only_with_photos():
    assert "accuracy" in printed(row())
    without = printed(row(), data=None).split("\n\n")[1]
    assert "accuracy" not in without
    assert "e2e" not in without


def test_reasons_stand_below_the_table():
    text = printed(
        row("saved_model", skipped="tensorflow is needed", threads=None, threads_note="own"),
        row("onnx-fp32", error="the process died"),
        row("tflite-int8", passed=False),
    )
    assert "skipped: saved_model, threads own: tensorflow is needed" in text
    assert "error: onnx-fp32, threads 1: the process died" in text
    assert "FAILED: its answers differ" in text
    assert "TensorFlow chooses" in text


def test_rounds_that_disagree_are_told():
    assert "not steady: tflite-fp32, threads 1" in printed(row(rounds=((10, 10), (13, 13))))
    assert "not steady" not in printed(row(rounds=((10, 10), (11, 11))))
