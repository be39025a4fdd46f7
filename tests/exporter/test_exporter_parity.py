"""Comparing an exported file with the Keras model."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from edge_runtime.manifest import FORMAT_SUFFIXES, ModelInfo, PreprocessSpec
from exporter import parity

INFO = ModelInfo(("a", "b"), PreprocessSpec(4, 4))


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
        ("tflite-fp32", 0.9e-4, True),
        ("tflite-fp32", 1.1e-4, False),
        ("onnx-fp32", 1.1e-4, False),
        ("saved_model", 1.1e-4, False),
        ("tflite-fp16", 0.9e-2, True),
        ("tflite-fp16", 1.1e-2, False),
        ("tflite-dynamic", 0.3, True),  # the probabilities may move, the answers may not
        ("tflite-int8", 0.3, True),
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
    assert parity.mcnemar(lost, gained) == pytest.approx(p)


@pytest.fixture
def pixels(tmp_path: Path) -> Path:
    np.save(tmp_path / "pixels.npy", np.zeros((2, 4, 4, 3), np.uint8))
    return tmp_path / "pixels.npy"


def child(code: str) -> tuple[str, ...]:
    return (sys.executable, "-c", code)


def test_a_crash_is_a_reason(pixels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kill = "import os, signal; os.kill(os.getpid(), signal.SIGILL)"
    monkeypatch.setattr(parity, "COMMAND", child(kill))
    with pytest.raises(parity.NotRun, match=r"died of SIGILL \(.*another CPU\)"):
        parity.artifact_scores(tmp_path / "model.tflite", pixels, 2, INFO)


def test_an_exit_is_a_reason(pixels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parity, "COMMAND", child("raise SystemExit('no more memory')"))
    with pytest.raises(parity.NotRun, match=r"exit code 1: no more memory"):
        parity.artifact_scores(tmp_path / "model.tflite", pixels, 2, INFO)


def test_no_answer_is_a_reason(
    pixels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parity, "COMMAND", child("pass"))
    with pytest.raises(parity.NotRun, match="answered no JSON"):
        parity.artifact_scores(tmp_path / "model.tflite", pixels, 2, INFO)


def test_scores_that_are_no_numbers(
    pixels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = (
        "import json, sys, numpy as np; "
        "np.save(json.load(sys.stdin)['out'], np.full((2, 2), np.nan)); print('{}')"
    )
    monkeypatch.setattr(parity, "COMMAND", child(code))
    with pytest.raises(parity.NotRun, match="not finite"):
        parity.artifact_scores(tmp_path / "model.tflite", pixels, 2, INFO)


def test_a_file_that_the_interpreter_refuses(pixels: Path, tmp_path: Path) -> None:
    (tmp_path / "model.tflite").write_bytes(b"\0\0\0\0TFL3" + bytes(100))
    with pytest.raises(parity.NotRun, match="cannot load it"):
        parity.artifact_scores(tmp_path / "model.tflite", pixels, 2, INFO)


def test_a_file_with_another_description(pixels: Path, exported: SimpleNamespace) -> None:
    with pytest.raises(parity.NotRun, match="another description"):
        parity.artifact_scores(exported.bundle / "model-onnx-fp32.onnx", pixels, 2, INFO)
