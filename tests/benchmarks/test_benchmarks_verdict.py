"""The verdict: what is left out, the front, the rule, limits, and what the sentence says."""

from __future__ import annotations

import itertools

import pytest
from sample_results import sample_result, sample_row, sample_rows

from benchmarks.pareto import front
from benchmarks.verdict import Limits, decide, misses

FP32_1, FP32_4 = "tflite-fp32, litert, 1 thread", "tflite-fp32, litert, 4 threads"
INT8_1, INT8_4 = "tflite-int8, litert, 1 thread", "tflite-int8, litert, 4 threads"
DYNAMIC_4 = "tflite-dynamic, litert, 4 threads"


def verdict(*rows, stated=None, reasons=(), **limits):
    return decide(sample_result(*rows, reasons=list(reasons)), Limits(**limits), stated)


def test_rows_that_cannot_be_trusted_are_left_out_and_named_why():
    found = verdict(*sample_rows())
    assert found["left_out"] == {
        "onnx-fp32, onnxruntime, 4 threads": "failed its parity check: it does not answer as the "
        "model does",
        "onnx-fp32, onnxruntime, 1 thread": "invalid: throttled: the board was too hot for its clock",
        "onnx-int8, onnxruntime, 1 thread": "skipped: onnxruntime is not installed",
        "tflite-int16x8, litert, 1 thread": "failed: killed by SIGKILL: out of memory?",
    }
    assert set(found["compared"]) == {FP32_1, FP32_4, INT8_1, INT8_4, DYNAMIC_4}


def test_the_fastest_of_the_most_accurate_wins_without_limits():
    found = verdict(*sample_rows())
    assert found["recommended"] == INT8_4
    # 92 of 100 is within a point of 93; dynamic range gets 80.
    assert found["reason"] == (
        f"{INT8_4} is the fastest of the 4 configurations that can be trusted and are as accurate "
        "as the best: 9 of 10 inferences take at most 7.70 ms, and 92.0% of the photos are right."
    )
    assert found["percentile"] == "p90"
    assert found["accuracy_from"] == "data"
    assert found["limits"] == {}
    assert found["nearest"] is None


def test_accuracy_is_not_given_up_for_speed_unasked():
    rows = [
        sample_row("tflite-fp32", 1, 40, correct=93),
        sample_row("tflite-int8", 1, 9, correct=91),
    ]
    # Their intervals overlap by far, but 2 points are more than a point.
    assert verdict(*rows)["recommended"] == FP32_1
    assert verdict(*rows, min_accuracy=0.9)["recommended"] == INT8_1


def test_front():
    # 4 threads of int8 lose to 1 thread in memory by 2 MB, those of fp32 beat 1 thread.
    found = verdict(*sample_rows())
    assert found["pareto"] == [INT8_4, DYNAMIC_4, INT8_1]


def test_rows_that_are_behind_by_noise_alone_stay_on_the_front():
    rows = [
        sample_row("tflite-fp32", 1, 10.0, half=0.03, memory=95.0),
        sample_row("tflite-fp16", 1, 10.2, half=0.03, memory=95.9, size=16.0),
    ]
    assert len(verdict(*rows)["pareto"]) == 2
    rows[1] = sample_row("tflite-fp16", 1, 11.0, half=0.03, memory=95.9, size=16.0)
    assert verdict(*rows)["pareto"] == [FP32_1]


def test_front_is_never_empty_though_ties_are_not_transitive():
    """A beats B by latency, B beats C by memory, C beats A by accuracy; all else is tied."""
    figures = {
        name: {
            "latency_ms": 10.0,
            "latency_ci_ms": latency,
            "accuracy": accuracy[0],
            "accuracy_ci": accuracy,
            "memory_bytes": memory,
            "size_bytes": 7,
        }
        for name, latency, accuracy, memory in (
            ("a", (9.0, 9.5), (0.80, 0.84), 101_500_000),
            ("b", (9.6, 10.0), (0.83, 0.87), 100_000_000),
            ("c", (9.4, 9.8), (0.86, 0.90), 103_000_000),
        )
    }
    for names in itertools.permutations(figures):
        assert front({name: figures[name] for name in names}) == ["a", "b", "c"]


def test_simpler_wins_where_latency_cannot_be_told_apart():
    rows = [
        sample_row("tflite-int8", 2, 7.0, memory=66, size=5.3),
        sample_row("tflite-int8", 1, 7.2, memory=64, size=5.3),  # 4 % slower: not worth a thread
        sample_row("tflite-int8", 4, 6.95, memory=67, size=5.3),
    ]
    found = verdict(*rows)
    assert found["recommended"] == INT8_1
    assert (
        f"about as fast as the fastest of the 3 configurations that can be trusted ({INT8_4}, "
        in (found["reason"])
    )
    assert "needs fewer threads" in found["reason"]
    far = [sample_row("tflite-int8", 1, 8.0), sample_row("tflite-int8", 2, 7.0)]
    assert verdict(*far)["recommended"] == "tflite-int8, litert, 2 threads"
    wide = [
        sample_row("tflite-int8", 1, 8.0, half=0.1),
        sample_row("tflite-int8", 2, 7.0, half=0.1),
    ]
    assert verdict(*wide)["recommended"] == INT8_1


def test_then_less_memory_then_the_smaller_file():
    light = sample_row("tflite-fp16", 1, 10.1, memory=80)
    assert verdict(sample_row(memory=95), light)["recommended"] == light["name"]
    small = sample_row("tflite-fp16", 1, 10.1, memory=95, size=8)
    found = verdict(sample_row(memory=95), small)
    assert found["recommended"] == small["name"]
    assert "needs less space" in found["reason"]


@pytest.mark.parametrize(
    ("limits", "recommended"),
    [
        ({"max_latency_ms": 30}, INT8_4),
        ({"max_size_mb": 5.0, "min_accuracy": 0.75}, DYNAMIC_4),
        ({"max_memory_mb": 65}, INT8_1),
        ({"min_accuracy": 0.93}, FP32_4),
        ({"min_accuracy": 0.93, "max_memory_mb": 96}, FP32_1),
        ({"max_latency_ms": 7.7}, INT8_4),  # a limit that is just held is held: 7 * 1.1
    ],
)
def test_limits(limits, recommended):
    found = verdict(*sample_rows(), **limits)
    assert found["recommended"] == recommended
    assert set(found["limits"]) == {f"--{name.replace('_', '-')}" for name in limits}
    assert "the limits" in found["reason"]


def test_percentile_that_is_compared():
    rows = [sample_row("tflite-int8", 1, 7.0, p90=30.0), sample_row("tflite-fp32", 1, 10.0)]
    assert verdict(*rows)["recommended"] == FP32_1
    found = verdict(*rows, percentile="p50")
    assert found["recommended"] == INT8_1
    assert "half of the inferences take at most 7.00 ms" in found["reason"]


def test_no_row_holds_the_limits():
    found = verdict(*sample_rows(), max_latency_ms=7.0, min_accuracy=0.9)
    assert found["recommended"] is None
    assert found["nearest"] == INT8_4
    assert found["reason"] == (
        f"No row holds the limits; {INT8_4} comes nearest, with p90 7.70 ms where "
        "--max-latency-ms is 7."
    )


def test_accuracy_that_nobody_knows():
    rows = [sample_row(correct=None), sample_row("tflite-int8", 1, 7.0, correct=None)]
    found = verdict(*rows)
    assert found["recommended"] == INT8_1
    assert found["accuracy_from"] is None
    assert "its accuracy is not known, give --data to count it" in found["reason"]
    asked = verdict(*rows, min_accuracy=0.5)
    assert asked["recommended"] is None
    assert "accuracy unknown where --min-accuracy is 0.5 (give --data" in asked["reason"]


def test_accuracy_that_the_bundle_states():
    rows = [sample_row(correct=None), sample_row("tflite-int8", 1, 7.0, correct=None)]
    stated = {
        ("bundle", "tflite-fp32"): (0.97, (0.9, 0.99)),
        ("bundle", "tflite-int8"): (0.90, (0.8, 0.95)),
    }
    found = verdict(*rows, stated=stated)
    assert found["recommended"] == FP32_1
    assert found["accuracy_from"] == "bundle"
    assert "97.0% of the photos are right, as the bundle states" in found["reason"]


def test_run_that_is_invalid_as_a_whole_is_judged_by_its_valid_rows():
    assert verdict(*sample_rows(), reasons=["something ran."])["recommended"] == INT8_4


def test_nothing_measured():
    found = verdict(sample_row(status="failed", reasons=("died",)))
    assert found["recommended"] is found["nearest"] is None
    assert found["pareto"] == []


def test_memory_that_was_not_measured_holds_no_limit():
    figures = verdict(sample_row(memory=None))["compared"][FP32_1]
    assert figures["memory_bytes"] is None
    assert misses(figures, Limits(max_memory_mb=1e6)) == {"--max-memory-mb": "memory unknown"}
