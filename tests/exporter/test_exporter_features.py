"""What a bundle says of its training photos, for a device that watches for drift."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from edge_runtime import Bundle, Classifier
from edge_runtime.manifest import FEATURES_NAME, FORMAT_SUFFIXES
from edge_runtime.preprocess import preprocess
from edge_runtime.rundir import RunDir, write_split
from edge_runtime.training_features import read_training_features
from exporter.package import export_bundle

#: Formats whose files expose the feature map in front of the head.
FILES = [fmt for fmt, suffix in FORMAT_SUFFIXES.items() if suffix]


def test_the_manifest_says_how(exported: SimpleNamespace) -> None:
    entry = Bundle.open(exported.bundle).manifest.training_features
    assert entry["photos"] == 36
    assert entry["checked"] == 18
    assert set(entry["thresholds"]) == set(FILES)


@pytest.mark.parametrize("fmt", ["tflite-fp32", "tflite-int8", "onnx-fp32"])
def test_training_photos_are_near_and_others_are_far(
    exported: SimpleNamespace, run: Path, fmt: str
) -> None:
    """Photos of the test part within the threshold, noise far outside of it."""
    known = read_training_features(Bundle.open(exported.bundle), fmt)
    assert known is not None
    noise = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    with Classifier.open(exported.bundle, fmt) as classifier:
        pooling, spec = classifier.backend.pooling(), classifier.info.preprocess
        rows = RunDir.open(run).split("train")
        near = [known.distance(pooling(preprocess(row.path, spec))) for row in rows]
        far = known.distance(pooling(noise))
    assert known.means.shape == (3, 64)
    assert np.median(near) < known.threshold < far
    # Photos that nobody trained on alone make the threshold, so a few lie beyond it.
    assert np.mean(np.array(near) <= known.threshold) > 0.8


def test_float_files_agree_on_the_threshold(exported: SimpleNamespace) -> None:
    thresholds = Bundle.open(exported.bundle).manifest.training_features["thresholds"]
    # The distances of float32 files differ by their rounding, and six digits are written.
    assert thresholds["tflite-fp32"] == pytest.approx(thresholds["onnx-fp32"], abs=2e-6)


@pytest.mark.usefixtures("instant")
def test_an_export_of_float_files_needs_no_training_photos(own_run: Path, tmp_path: Path) -> None:
    """Without a format that calibrates the validation photos are enough, as ever."""
    rows = RunDir.open(own_run).split("val") + [
        replace(row, path=str(tmp_path / "gone" / os.path.basename(row.path)))
        for row in RunDir.open(own_run).split("train")
    ]
    write_split(own_run, rows)
    out = tmp_path / "bundle"
    export_bundle(own_run, out, ["tflite-fp32"])
    assert not (out / FEATURES_NAME).exists()
    assert Bundle.open(out).manifest.training_features == {}


@pytest.mark.usefixtures("instant")
def test_float_files_alone_have_them_too(own_run: Path, tmp_path: Path) -> None:
    export_bundle(own_run, tmp_path / "bundle", ["tflite-fp32"])
    entry = Bundle.open(tmp_path / "bundle").manifest.training_features
    assert (entry["photos"], list(entry["thresholds"])) == (36, ["tflite-fp32"])


@pytest.mark.usefixtures("instant")
def test_photos_that_were_moved(own_run: Path, tmp_path: Path) -> None:
    source = Path(RunDir.open(own_run).split("train")[0].path).parents[2]
    moved = Path(shutil.copytree(source, tmp_path / "moved"))
    rows = [
        replace(row, path=str(tmp_path / "gone" / os.path.basename(row.path)))
        for part in ("train", "val")
        for row in RunDir.open(own_run).split(part)
    ]
    write_split(own_run, rows)
    export_bundle(own_run, tmp_path / "bundle", ["tflite-fp32"], data=moved)
    assert (tmp_path / "bundle" / FEATURES_NAME).is_file()
