"""Comparing an exported file with the Keras model."""

from __future__ import annotations

import numpy as np
import pytest

from edge_runtime.confidence import mcnemar, wilson
from edge_runtime.manifest import FORMAT_SUFFIXES
from exporter import parity
from exporter.thresholds import device_tolerance


def scores(*first: float) -> np.ndarray:
    """Probabilities of two classes, given those of the first."""
    return np.array([[p, 1 - p] for p in first], np.float32)


def test_every_format_has_a_threshold_with_a_reason() -> None:
    assert set(parity.THRESHOLDS) == set(FORMAT_SUFFIXES)
    for threshold in parity.THRESHOLDS.values():
        found = threshold.to_dict()
        assert len(found) > 1
        assert len(found["reason"]) > 20


def test_figures() -> None:
    reference, found = scores(0.9, 0.6, 0.2, 0.4), scores(0.9, 0.4, 0.2, 0.5)
    figures = parity.compare("tflite-int8", reference, found, np.array([0, 0, 1, 0]))
    assert figures["n"] == 4
    assert figures["max_abs_diff"] == pytest.approx(0.2, abs=1e-7)
    assert figures["mean_abs_diff"] == pytest.approx((0.2 + 0.1) * 2 / 8, abs=1e-7)
    assert figures["agreement"] == 0.5  # a tie is answered with the first class
    assert figures["accuracy"] == 0.75
    assert (figures["lost"], figures["gained"]) == (1, 1)
    assert figures["mcnemar_p"] == 1


@pytest.mark.parametrize(
    ("fmt", "difference", "passed"),
    [
        ("tflite-fp32", 1.9e-5, True),
        ("tflite-fp32", 2.1e-5, False),
        ("onnx-fp32", 2.1e-5, False),
        ("saved_model", 2.1e-5, False),
        ("tflite-fp16", 4.9e-3, True),
        ("tflite-fp16", 5.1e-3, False),
        ("onnx-fp16", 5.1e-3, False),
        ("tflite-dynamic", 0.3, True),  # the probabilities may move, the answers may not
        ("tflite-int8", 0.3, True),
        ("tflite-int8w", 0.3, True),
        ("tflite-int16x8", 0.3, True),
        ("onnx-int8", 0.3, True),
    ],
)
def test_thresholds(fmt: str, difference: float, passed: bool) -> None:
    reference, found = scores(0.1, 0.9), scores(0.1 + difference, 0.9)
    assert parity.compare(fmt, reference, found, np.array([1, 0]))["passed"] is passed


@pytest.mark.parametrize(
    ("n", "changed", "passed"),
    [(10, 1, True), (10, 2, False), (150, 3, True), (150, 4, False)],
)
def test_quantised_formats_may_change_two_percent_and_always_one(
    n: int, changed: int, passed: bool
) -> None:
    reference = scores(*[0.9] * n)
    found = scores(*[0.1] * changed, *[0.9] * (n - changed))
    figures = parity.compare("tflite-int8", reference, found, np.zeros(n, int))
    assert figures["passed"] is passed


def test_quantised_formats_may_lose_no_more_answers_than_change() -> None:
    """Answers that change for the better are no loss, but they do change."""
    reference, found = scores(*[0.4] * 10), scores(*[0.6] * 10)
    figures = parity.compare("tflite-int8", reference, found, np.zeros(10, int))
    assert (figures["accuracy"], figures["passed"]) == (1.0, False)


@pytest.mark.parametrize(
    ("lost", "gained", "p"),
    [(0, 0, 1.0), (5, 5, 1.0), (10, 0, 2 / 1024), (8, 2, 2 * (1 + 10 + 45) / 1024)],
)
def test_mcnemar(lost: int, gained: int, p: float) -> None:
    """Binomial tail with p = 1/2, by hand."""
    assert mcnemar(lost, gained) == pytest.approx(p)


@pytest.mark.parametrize(
    ("count", "n", "low", "high"),
    [(46, 46, 0.9229, 1.0), (0, 10, 0.0, 0.2775), (81, 263, 0.2553, 0.3662)],
)
def test_wilson(count: int, n: int, low: float, high: float) -> None:
    """Ends from closed forms n/(n+z^2) and z^2/(n+z^2), and Newcombe 1998, table I, method 3."""
    assert wilson(count, n) == pytest.approx([low, high], abs=1e-4)


def test_ties_are_what_the_threshold_cannot_tell() -> None:
    """Of two float16 scores each may move by 5e-3: 0.504 and 0.496 prove no order."""
    reference, found = scores(0.504, 0.9), scores(0.4995, 0.9)
    figures = parity.compare("tflite-fp16", reference, found, np.array([0, 0]))
    assert (figures["ties"], figures["agreement"], figures["agreement_except_ties"]) == (1, 0.5, 1)
    assert figures["passed"]
    assert parity.compare("tflite-int8", reference, found, np.array([0, 0]))["ties"] is None


def test_differences() -> None:
    reference = scores(*[0.5] * 200)
    found = scores(0.7, *[0.5] * 199)
    figures = parity.compare("tflite-int8", reference, found, np.zeros(200, int))
    assert figures["p99_abs_diff"] == 0  # 2 of 400 differ
    assert figures["max_abs_diff"] == pytest.approx(0.2, abs=1e-7)


def test_photos_with_other_pixels_prove_no_probability() -> None:
    """A JPEG decoder that differs is not the file's fault; the other photos still count."""
    reference, found = scores(0.1, 0.9), scores(0.101, 0.9)
    labels = np.array([1, 0])
    for exact, passed in (([True, True], False), ([False, True], True), ([False, False], True)):
        figures = parity.compare("onnx-fp32", reference, found, labels, exact=np.array(exact))
        assert figures["passed"] is passed
        assert bool(figures["warnings"]) is not any(exact)


def test_correlation_of_heat_maps() -> None:
    ramp = np.arange(4.0).reshape(2, 2)
    flat = np.ones((2, 2))
    found = parity.correlate([ramp, ramp, ramp, flat], [3 * ramp + 1, 3 - ramp, flat, ramp])
    assert (found["n"], found["constant"]) == (2, 2)
    assert found["min"] == pytest.approx(-1)
    assert found["mean"] == pytest.approx(0)
    assert parity.correlate([flat], [ramp])["mean"] is None
    with pytest.raises(ValueError, match="expected"):
        parity.correlate([ramp], [np.ones((3, 3))])


@pytest.mark.parametrize(
    ("fmt", "mean", "passed", "warned"),
    [
        ("tflite-fp32", 0.9991, True, False),
        ("tflite-fp32", 0.9989, False, False),
        ("onnx-fp16", 0.9989, False, False),
        ("tflite-int8", 0.951, True, False),
        ("tflite-int8", 0.949, True, True),  # a warning alone does not fail a quantised format
    ],
)
def test_heat_maps_count(fmt: str, mean: float, passed: bool, warned: bool) -> None:
    reference = scores(0.9)
    heatmap = {"n": 1, "constant": 0, "mean": mean, "min": mean}
    figures = parity.compare(fmt, reference, reference, np.array([0]), heatmap)
    assert (figures["passed"], bool(figures["warnings"])) == (passed, warned)


def test_a_float_file_that_should_have_a_heat_map() -> None:
    broken = {**parity.correlate([], []), "error": "no such tensor."}
    figures = parity.compare("onnx-fp32", scores(0.9), scores(0.9), np.array([0]), broken)
    assert not figures["passed"]
    assert "no such tensor" in figures["failures"][0]


def test_every_format_has_a_tolerance_between_devices() -> None:
    """Interpreters were seen to differ by up to 7 of 255 in int8."""
    for fmt in FORMAT_SUFFIXES:
        assert len(device_tolerance(fmt)["reason"]) > 20
    assert device_tolerance("tflite-int8")["max_abs_diff"] >= 7 / 255
