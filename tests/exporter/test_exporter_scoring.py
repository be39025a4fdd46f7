"""Asking an exported file in a process of its own."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from edge_runtime.bundle import Bundle
from edge_runtime.errors import SystemFailure
from edge_runtime.manifest import ModelInfo, PreprocessSpec
from exporter import scoring

INFO = ModelInfo(("a", "b"), PreprocessSpec(4, 4))


@pytest.fixture
def pixels(tmp_path: Path) -> Path:
    np.save(tmp_path / "pixels.npy", np.zeros((2, 4, 4, 3), np.uint8))
    return tmp_path / "pixels.npy"


def child(code: str) -> tuple[str, ...]:
    return (sys.executable, "-c", code)


def test_a_crash_is_a_reason(pixels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kill = "import os, signal; os.kill(os.getpid(), signal.SIGILL)"
    monkeypatch.setattr(scoring, "COMMAND", child(kill))
    with pytest.raises(scoring.NotRun, match=r"died of SIGILL \(.*another CPU\)"):
        scoring.answers(tmp_path / "model.tflite", pixels, 2, INFO)


def test_an_exit_is_a_reason(pixels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoring, "COMMAND", child("raise SystemExit('no more memory')"))
    with pytest.raises(scoring.NotRun, match=r"exit code 1: no more memory"):
        scoring.answers(tmp_path / "model.tflite", pixels, 2, INFO)


def test_no_answer_is_a_reason(
    pixels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scoring, "COMMAND", child("pass"))
    with pytest.raises(scoring.NotRun, match="answered no JSON"):
        scoring.answers(tmp_path / "model.tflite", pixels, 2, INFO)


def test_scores_that_are_no_numbers(
    pixels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = (
        "import json, sys, numpy as np; "
        "np.savez(json.load(sys.stdin)['out'], raw=np.full((2, 2), np.nan)); print('{}')"
    )
    monkeypatch.setattr(scoring, "COMMAND", child(code))
    with pytest.raises(scoring.NotRun, match="not finite"):
        scoring.answers(tmp_path / "model.tflite", pixels, 2, INFO)


def test_a_file_that_the_interpreter_refuses(pixels: Path, tmp_path: Path) -> None:
    (tmp_path / "model.tflite").write_bytes(b"\0\0\0\0TFL3" + bytes(100))
    with pytest.raises(scoring.NotRun, match="cannot load it"):
        scoring.answers(tmp_path / "model.tflite", pixels, 2, INFO)


def test_a_file_with_another_description(pixels: Path, exported: SimpleNamespace) -> None:
    with pytest.raises(scoring.NotRun, match="another description"):
        scoring.answers(exported.bundle / "model-onnx-fp32.onnx", pixels, 2, INFO)


def test_a_full_disk_is_no_fault_of_the_file(
    pixels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = (
        "from edge_runtime.child.answering import serve\n"
        "def work(request): raise OSError(28, 'No space left on device')\n"
        "serve(work)"
    )
    monkeypatch.setattr(scoring, "COMMAND", child(code))
    with pytest.raises(SystemFailure):
        scoring.answers(tmp_path / "model.tflite", pixels, 2, INFO)


def test_maps_of_the_photos_that_are_asked_for(exported: SimpleNamespace, tmp_path: Path) -> None:
    """Of the reference's answer where wanted, and of the file's own where it is another."""
    bundle = Bundle.open(exported.bundle)
    artifact, file = bundle.file("tflite-int8")
    random = np.random.default_rng(0)
    np.save(tmp_path / "pixels.npy", random.integers(0, 256, (4, 32, 32, 3), np.uint8))
    info = bundle.manifest.info_of(artifact)
    plain = scoring.answers(file, tmp_path / "pixels.npy", 4, info)
    assert plain.maps is None
    assert plain.step == pytest.approx(1 / 256)  # the softmax of the TFLite 8-bit specification
    others = [(int(index) + 1) % 3 for index in plain.scores.argmax(axis=1)]
    found = scoring.answers(
        file, tmp_path / "pixels.npy", 4, info, classes=others, mapped=[0, 2], changed=3
    )
    assert found.maps is not None and len(found.maps) == 2
    surest = np.argsort(-plain.scores.max(axis=1), kind="stable")[:3]
    assert list(found.own or {}) == surest.tolist()
    np.testing.assert_array_equal(found.scores, plain.scores)
