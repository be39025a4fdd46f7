"""The golden photos of a bundle, and the Keras model's answers that it remembers."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edge_runtime import Bundle, Classifier
from edge_runtime.errors import BundleError
from edge_runtime.manifest import FORMAT_SUFFIXES
from edge_runtime.preprocess import preprocess
from edge_runtime.rundir import RunDir
from exporter.golden import choose_golden
from exporter.record import read_record

#: Largest difference that was measured for this network is 3e-7; a float32 has 1.2e-7.
FLOAT32 = 2e-6

ORIENTATION = 0x0112


@pytest.fixture
def golden(exported: SimpleNamespace) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((exported.bundle / "golden" / "golden.json").read_text())
    return found


def test_layout(exported: SimpleNamespace, golden: dict[str, Any]) -> None:
    home = exported.bundle / "golden"
    names = Bundle.open(exported.bundle).manifest.info.class_names
    assert golden["version"] == 2
    assert len(golden["photos"]) == 4
    assert len({photo["label"] for photo in golden["photos"]}) == 3  # of three classes
    assert set(golden["tolerances"]) == set(FORMAT_SUFFIXES)
    for photo in golden["photos"]:
        assert hashlib.sha256((home / photo["file"]).read_bytes()).hexdigest() == photo["sha256"]
        assert names[photo["class_index"]] == photo["label"]
        assert photo["exact"] is photo["file"].endswith(".png")
        assert set(photo["scores"]) == {"keras", *FORMAT_SUFFIXES}
        pixels = np.asarray(Image.open(home / photo["pixels"]))
        assert hashlib.sha256(pixels.tobytes()).hexdigest() == photo["pixels_sha256"]


def test_the_decoder_has_something_to_do(
    exported: SimpleNamespace, golden: dict[str, Any], run: Path
) -> None:
    """A JPEG that lies on its side, a PNG to resize; and nothing of the original's EXIF."""
    home, spec = exported.bundle / "golden", RunDir.open(run).info.preprocess
    orientations = []
    for photo in golden["photos"]:
        image = Image.open(home / photo["file"])
        exif = dict(image.getexif())
        if photo["exact"]:
            assert image.size > (spec.width, spec.height)
            assert not exif
        else:
            assert max(image.size) <= 640
            assert set(exif) == {ORIENTATION}
            orientations.append(exif[ORIENTATION])
        stored = np.asarray(Image.open(home / photo["pixels"]))
        np.testing.assert_array_equal(preprocess(home / photo["file"], spec), stored)
    assert 6 in orientations


def test_scores_are_those_of_the_stored_photos(
    exported: SimpleNamespace, golden: dict[str, Any]
) -> None:
    for fmt in ("tflite-fp32", "tflite-int8", "onnx-fp32"):
        classifier = Classifier.open(exported.bundle, fmt)
        for photo in golden["photos"]:
            scores = classifier.scores(exported.bundle / "golden" / photo["file"])
            assert np.abs(scores - photo["scores"][fmt]).max() <= FLOAT32
            if fmt != "tflite-int8":
                assert np.abs(scores - photo["scores"]["keras"]).max() <= FLOAT32


def test_the_least_certain_right_answers_are_taken() -> None:
    scores = np.array([[1.0, 0.0], [0.7, 0.3], [0.45, 0.55], [0.2, 0.8], [0.9, 0.1]])
    assert choose_golden(scores, np.array([0, 0, 1, 1, 0]), 2) == [1, 3]
    assert choose_golden(scores, np.array([0, 0, 1, 1, 0]), 3) == [1, 3, 4]


def test_the_models_answers_are_remembered(exported: SimpleNamespace, run: Path) -> None:
    opened = RunDir.open(run)
    record = read_record(exported.bundle, opened.class_names)
    assert [photo["sha256"] for photo in record.photos] == [r.sha256 for r in opened.split("val")]
    assert not any(Path(photo["file"]).is_absolute() for photo in record.photos)
    np.testing.assert_array_equal(record.scores, np.load(exported.plain / "scores-validation.npy"))
    assert record.maps.shape == (18, 16, 16)  # 32 pixels behind one stride of 2


@pytest.mark.parametrize("damage", ["missing", "cut", "other classes"])
def test_a_damaged_memory(exported: SimpleNamespace, tmp_path: Path, damage: str) -> None:
    import shutil

    shutil.copytree(exported.bundle / "golden", tmp_path / "golden")
    file = tmp_path / "golden" / "reference.npz"
    names = ("blue dots", "green", "red stripes")
    if damage == "missing":
        file.unlink()
    elif damage == "cut":
        file.write_bytes(file.read_bytes()[:100])
    else:
        names = ("a", "b", "c")
    with pytest.raises(BundleError, match=r"(Export|Copy)"):
        read_record(tmp_path, names)
