"""Rows out of what processes answered, their names and order."""

from __future__ import annotations

import base64

import numpy as np
import pytest

from benchmarks.conditions import Span
from benchmarks.measuring import worker
from benchmarks.measuring.accuracy import Answers
from benchmarks.measuring.counting import Counted
from benchmarks.measuring.figures import end_to_end_of, measured, memory_of, throughput_of
from benchmarks.measuring.plan import Configuration
from benchmarks.measuring.rows import Record, best_first, make_row, name_rows
from benchmarks.measuring.subjects import Part, Subject
from benchmarks.validity import Limits
from edge_runtime.backends.litert import LiteRtBackend
from edge_runtime.classifier import Classifier

LIMITS = Limits(cores=4)


def part(fmt="tflite-int8", passed=True, subject=0):
    artifact = {"subject": "bundle", "format": fmt, "file": f"model-{fmt}.tflite", "bytes": 10}
    artifact |= {"sha256": "0" * 64, "quantization": "int8", "parity_passed": passed}
    return Part(subject, "/bundle", fmt, "tflite", artifact)


def answer(ms, steady=True, stages=(), peak=50_000_000):
    samples = (np.asarray(ms) * 1e6).astype(np.int64)
    return {
        "running": {
            "interpreter": "litert",
            "version": "2.3.0",
            "effective": "XNNPACK (9 of 9 operators)",
            "placement": {"operators": 9, "delegated": 9, "parts": 1},
            "providers": None,
        },
        "import_ms": 5.0,
        "load_ms": 7.0,
        "first_ms": 9.0,
        "samples": base64.b64encode(samples.tobytes()).decode(),
        "seconds": 1.0,
        "warm_up_runs": 30,
        "steady": steady,
        "peak_bytes": peak,
        "steady_bytes": peak - 1_000_000,
        "stages": list(stages),
    }


QUIET = Span(1.0, 0.0, 0, frozenset())


def record(rounds=(4.0, 4.0, 4.0), threads=1, delegate=None, **fields):
    made = Record(Configuration(part(**fields), None, threads, delegate))
    for ms in rounds:
        made.answers.append(answer(np.linspace(ms, ms * 1.01, 100)))
        made.spans.append(QUIET)
        made.starts.append(150.0)
    return made


def row_of(one, name="row", **fields):
    return make_row(one, name, LIMITS, fields.get("counted"), fields.get("reference"))


def test_latency_of_known_samples():
    one = record(rounds=())
    for place in range(4):  # 1 to 100 ms, dealt out to four rounds
        one.answers.append(answer(range(place + 1, 101, 4)))
        one.spans.append(QUIET)
    latency = row_of(one)["latency"]
    assert latency["runs"] == 100
    expected = {"min": 1, "mean": 50.5, "p50": 50, "p90": 90, "p95": 95, "p99": 99, "max": 100}
    assert {key: latency[f"{key}_ms"] for key in expected} == expected
    assert latency["p99_9_ms"] == 100
    assert sum(latency["histogram"]["counts"]) == 100
    assert [each["p50_ms"] for each in latency["rounds"]] == [49, 50, 51, 52]
    assert [each["p90_ms"] for each in latency["rounds"]] == [89, 90, 91, 92]  # the 23rd of 25
    assert latency["rounds"][0]["warm_up_runs"] == 30


def test_valid_row():
    row = row_of(record())
    assert (row["status"], row["reasons"]) == ("ok", [])
    assert row["cold_start"] == {"median_ms": 150.0, "min_ms": 150.0, "ci_ms": (150.0, 150.0)}
    assert (row["imports"]["median_ms"], row["load"]["median_ms"]) == (5.0, 7.0)
    assert row["first"]["median_ms"] == 9.0
    assert row["engine"] == {
        "interpreter": "litert",
        "version": "2.3.0",
        "threads": 1,
        "delegate": None,
        "effective": "XNNPACK (9 of 9 operators)",
    }
    assert row["accuracy"] is row["end_to_end"] is row["profile"] is None


def test_rounds_that_differ_make_a_row_invalid():
    row = row_of(record(rounds=(4.0, 5.0, 4.0)))
    assert row["status"] == "invalid"
    assert "too noisy" in row["reasons"][0]
    assert row["latency"]["p50_ms"] > 4  # measured all the same


def test_load_in_half_of_the_rounds_makes_a_row_invalid():
    one = record()
    one.spans[1] = Span(1.0, 2.0, 0, frozenset())
    row = row_of(one)
    assert row["status"] == "invalid"
    assert "other processes used 0.67 of 4 cores" in row["reasons"][0]
    assert [each["other_load"] for each in row["latency"]["rounds"]] == [0.0, 2.0, 0.0]


@pytest.mark.parametrize(("field", "status"), [("error", "failed"), ("skipped", "skipped")])
def test_row_that_stopped_has_its_reason_and_no_figures(field, status):
    one = record()
    setattr(one, field, "the process died of SIGKILL.")
    row = row_of(one)
    assert (row["status"], row["reasons"]) == (status, ["the process died of SIGKILL."])
    assert row["latency"] is row["memory"] is row["cold_start"] is None


def test_end_to_end_is_the_median_over_photos_of_the_median_of_rounds():
    quick, slow, middle = ([n, 1.0, 2.0, n - 4, 1.0] for n in (10.0, 30.0, 20.0))
    late = [99.0, *quick[1:]]
    found = end_to_end_of([[quick, slow, middle], [late, slow, middle], [quick, slow, middle]])
    assert (found["photos"], found["p50_ms"], found["p90_ms"]) == (3, 20.0, 30.0)
    assert (found["decode_ms"], found["preprocess_ms"]) == (1.0, 2.0)
    assert (found["infer_ms"], found["postprocess_ms"]) == (16.0, 1.0)
    assert found["p50_ci_ms"][0] <= 20 <= found["p50_ci_ms"][1]
    assert end_to_end_of([[], []]) is None


@pytest.mark.parametrize("rounds", [1, 2])
def test_end_to_end_of_few_rounds_has_no_interval(rounds):
    found = end_to_end_of([[[10.0, 1.0, 2.0, 6.0, 1.0]]] * rounds)
    assert (found["p50_ms"], found["p50_ci_ms"]) == (10.0, None)


def test_throughput_is_the_mean_of_the_rounds():
    rounds = [
        {"modes": [{"streams": 2, "batch": 16, "per_second": [90.0 + n, 110.0 + n]}]}
        for n in (-1, 0, 1)
    ]
    (found,) = throughput_of(rounds)
    assert (found["streams"], found["batch"], found["per_second"]) == (2, 16, 100.0)
    assert found["ci_per_second"][0] < 100 < found["ci_per_second"][1]
    assert throughput_of([]) == []


def test_memory_is_the_largest_peak_and_what_usually_stays():
    answers = [answer([1], peak=peak) for peak in (50_000_000, 90_000_000, 60_000_000)]
    assert memory_of(answers) == {"peak_bytes": 90_000_000, "steady_bytes": 59_000_000}
    unknown = answer([1]) | {"peak_bytes": None, "steady_bytes": None}
    assert memory_of([unknown]) == {"peak_bytes": None, "steady_bytes": None}


def test_figure_of_two_rounds_has_no_interval():
    assert measured([3.0, 5.0]) == {"median_ms": 4.0, "min_ms": 3.0, "ci_ms": None}
    assert measured([]) is None


def test_accuracy_agreement_and_calibration():
    ours = Counted([0, 0, 1, 2], [(0, 1.0), (1, 0.5), (1, 1.0), None])
    reference = Counted([0, 0, 1, 2], [(0, 0.9), (0, 0.9), (1, 0.9), (2, 0.9)])
    found = row_of(record(), counted=ours, reference=(reference, "float"))["accuracy"]
    assert (found["photos"], found["unreadable"], found["correct"]) == (3, 1, 2)
    assert found["accuracy"] == found["agreement"] == 2 / 3
    assert found["reference"] == "float"
    # Two photos of score 1.0 are right; one of 0.5 is wrong: off by 0.5, a third of the photos.
    assert found["ece"] == pytest.approx(0.5 / 3)
    assert found["ci"][0] < 2 / 3 < found["ci"][1]


def test_file_is_not_compared_with_itself():
    """Two thread counts of a lone file have one answer; a second file has another."""
    subjects = [Subject(f"{n}.tflite", "file", ("a",), None, None, (), ()) for n in range(2)]
    parts = [part(subject=number) for number in range(2)]
    records = [Record(Configuration(parts[0], None, threads, None)) for threads in (1, 4)]
    answers = Answers(subjects, dict.fromkeys((records[0].configuration.answers_as,)))
    assert answers.reference(records[1], records) is None
    records.append(Record(Configuration(parts[1], None, 1, None)))
    answers.counted[records[2].configuration.answers_as] = None
    assert answers.reference(records[2], records) is records[0]


def test_decoding_is_in_no_figure_of_memory(bench_bundle, bench_photos, tmp_path, monkeypatch):
    """Another process decodes the timed photo, as large as it may be."""
    photo, file = str(bench_photos / "red/0.png"), str(tmp_path / "pixels.npy")
    name = "tflite-fp32"
    asked = {"model": str(bench_bundle), "format": name, "file": f"model-{name}.tflite"}
    asked |= {"engine": {"threads": 1}, "settings": None}
    assert worker.write_pixels(asked | {"photo": photo, "out": file}) == {}
    expected, timed = Classifier.open(str(bench_bundle), name).pixels(photo), []

    def record_pixels(self, pixels):
        timed.append(pixels)
        return genuine(self, pixels)

    genuine = LiteRtBackend.prepare
    monkeypatch.setattr(LiteRtBackend, "prepare", record_pixels)
    monkeypatch.delattr(Classifier, "pixels")
    found = worker.latency(
        asked | {"task": "latency", "pixels": file, "photos": [], "min_seconds": 0, "min_runs": 1}
    )
    assert len(found["stages"]) == 0 and len(worker.samples_of(found)) >= 1
    np.testing.assert_array_equal(timed[0], expected)


def test_names_tell_rows_apart():
    records = [
        record(threads=2),
        record(threads=None, fmt="saved_model"),
        record(delegate="none"),
        record(delegate="none"),
        record(subject=1, rounds=()),
    ]
    assert name_rows(records, ["b0: ", ""]) == [
        "b0: tflite-int8, litert, 2 threads",
        "b0: saved_model, litert, own threads",
        "b0: tflite-int8, litert, 1 thread, none",
        "b0: tflite-int8, litert, 1 thread, none (2)",
        "tflite-int8, 1 thread",
    ]


def test_best_first():
    slow, quick, bad = record((9.0,) * 3), record(), record((1.0,) * 3, passed=False)
    failed, skipped = record(), record()
    failed.error, skipped.skipped = "died", "absent"
    rows = [row_of(r, n) for r, n in ((failed, "f"), (bad, "b"), (slow, "s"), (skipped, "k"))]
    rows.append(row_of(quick, "q"))
    assert [row["name"] for row in best_first(rows)] == ["q", "s", "b", "k", "f"]
