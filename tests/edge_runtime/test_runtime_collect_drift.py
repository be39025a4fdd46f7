"""How far a frame is from the training photos, by what a bundle says of them."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from color_model import COLORS, SIDE, ColorModels, edit_manifest

from edge_runtime import Bundle, Classifier
from edge_runtime.errors import BundleError, ModelError
from edge_runtime.manifest import FEATURES_NAME, MANIFEST_NAME, Manifest
from edge_runtime.stream.collect.drift import NoDrift, open_drift
from edge_runtime.training_features import (
    block,
    class_means,
    distances,
    read_training_features,
    threshold_of,
)

FILES = ("tflite-fp32", "tflite-int8", "onnx-fp32")


def even(*color: int) -> np.ndarray:
    return np.full((SIDE, SIDE, 3), color, np.uint8)


def add_features(bundle: Path, threshold: float = 0.1) -> None:
    """Say that it was trained on pure colours, whose features are the colours themselves."""
    stream = io.BytesIO()
    np.save(stream, np.eye(3, dtype=np.float16))
    (bundle / FEATURES_NAME).write_bytes(stream.getvalue())
    entry = block(stream.getvalue(), dict.fromkeys(FILES, threshold), 3, 3)
    edit_manifest(bundle, training_features=entry)


@pytest.mark.parametrize("fmt", FILES)
def test_pooled_features_of_every_file(color_models: ColorModels, fmt: str) -> None:
    """The features of this network are the mean colour; int8 rounds it to steps of one."""
    random = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
    with Classifier.open(color_models.bundle, fmt) as classifier:
        pooling = classifier.backend.pooling()
        before = classifier.scores(random)
        for pixels in (random, even(10, 200, 30)):
            found = pooling(pixels)
            assert found.dtype == np.float32
            assert found == pytest.approx(pixels.mean(axis=(0, 1)), abs=1.0)
        assert (classifier.scores(random) == before).all()


@pytest.mark.parametrize("fmt", FILES)
def test_what_is_like_the_training_photos_is_near(bundle: Path, fmt: str) -> None:
    add_features(bundle)
    with Classifier.open(bundle, fmt) as classifier:
        drift = open_drift(str(bundle), fmt, classifier.backend)
    for color in COLORS.values():
        assert drift.distance(even(*color)) == pytest.approx(0, abs=1e-3)
    grey = drift.distance(even(128, 128, 128))
    assert grey == pytest.approx(1 - 1 / 3**0.5, abs=1e-3)
    assert drift.distance(even(128, 0, 0)) == pytest.approx(0, abs=1e-3)  # of the same direction
    assert grey > drift.threshold == 0.1


def test_distances_are_of_the_nearest_mean() -> None:
    vectors = np.array([[2.0, 0.0], [4.0, 0.0], [0.0, 1.0]])
    means = class_means(vectors, np.array([0, 0, 2]))  # no photo of class 1
    assert means.tolist() == [[1, 0], [0, 1]]
    found = distances(np.array([[5.0, 0.0], [3.0, 4.0], [-1.0, 0.0], [0.0, 0.0]]), means)
    assert found == pytest.approx([0, 0.2, 1, 1], abs=1e-6)


def test_the_threshold_holds_99_percent() -> None:
    assert threshold_of(np.arange(1000) / 1000) == pytest.approx(0.99, abs=1e-3)
    assert threshold_of(np.array([0.1, 0.3, 0.2])) == 0.3  # of few the largest


def test_a_bundle_without_them_and_a_file_alone_say_so(color_models: ColorModels) -> None:
    with Classifier.open(color_models.tflite) as classifier:
        with pytest.raises(NoDrift, match="only a bundle"):
            open_drift(str(color_models.tflite), "tflite", classifier.backend)
        with pytest.raises(NoDrift, match="does not say"):
            open_drift(str(color_models.bundle), "tflite-fp32", classifier.backend)


def test_the_manifest_keeps_the_entry_and_older_ones_have_none(bundle: Path) -> None:
    assert "training_features" not in Bundle.open(bundle).manifest.to_json()
    add_features(bundle)
    text = (bundle / MANIFEST_NAME).read_text()
    manifest = Manifest.from_json(text, "m")
    assert json.loads(manifest.to_json())["training_features"]["photos"] == 3
    assert Manifest.from_json(manifest.to_json(), "m") == manifest


def test_a_newer_entry_is_left_aside(bundle: Path) -> None:
    add_features(bundle)
    edit_manifest(bundle, training_features=lambda old: {"version": 2, "trees": old})
    assert read_training_features(Bundle.open(bundle), "tflite-fp32") is None


@pytest.mark.parametrize("fmt", ["tflite-fp16", "keras"])
def test_a_file_without_a_threshold(bundle: Path, fmt: str) -> None:
    add_features(bundle)
    assert read_training_features(Bundle.open(bundle), fmt) is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sha256": "0" * 64}, "altered or damaged"),
        ({"file": "../x.npy"}, "not allowed|leaves"),
        ({"file": "none.npy"}, "No such file"),
        ({"thresholds": {"tflite-fp32": "far"}}, "not readable"),
        ({"thresholds": []}, "not readable"),
        ({"thresholds": {"tflite-fp32": float("nan")}}, "nan"),
    ],
)
def test_a_damaged_entry(bundle: Path, change: dict[str, object], message: str) -> None:
    add_features(bundle)
    edit_manifest(bundle, training_features=lambda old: old | change)
    with pytest.raises(BundleError, match=message):
        read_training_features(Bundle.open(bundle), "tflite-fp32")


def test_an_entry_that_is_no_object(bundle: Path) -> None:
    edit_manifest(bundle, training_features=[1])
    with pytest.raises(BundleError, match="training_features: expected an object"):
        Bundle.open(bundle)


def test_an_entry_without_a_file_that_is_an_array(bundle: Path) -> None:
    add_features(bundle)
    (bundle / FEATURES_NAME).write_bytes(b"\x80\x04.")  # a pickle is refused
    import hashlib

    digest = hashlib.sha256(b"\x80\x04.").hexdigest()
    edit_manifest(bundle, training_features=lambda old: old | {"sha256": digest})
    with pytest.raises(BundleError, match="not readable"):
        read_training_features(Bundle.open(bundle), "tflite-fp32")


def test_means_of_another_network(bundle: Path) -> None:
    stream = io.BytesIO()
    np.save(stream, np.eye(5, dtype=np.float16))
    (bundle / FEATURES_NAME).write_bytes(stream.getvalue())
    entry = block(stream.getvalue(), {"tflite-fp32": 0.1}, 5, 5)
    edit_manifest(bundle, training_features=entry)
    with Classifier.open(bundle) as classifier:
        drift = open_drift(str(bundle), "tflite-fp32", classifier.backend)
    with pytest.raises(ModelError, match="5 channels, the model 3"):
        drift.distance(even(1, 2, 3))


def test_a_zipped_bundle_has_them_too(bundle: Path, tmp_path: Path) -> None:
    add_features(bundle)
    file = shutil.make_archive(str(tmp_path / "zipped"), "zip", bundle)
    found = read_training_features(Bundle.open(file), "tflite-fp32")
    assert found is not None
    assert found.means.tolist() == np.eye(3).tolist()
