"""Repeating the proof of a bundle."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edge_runtime.errors import BundleError, CheckFailed, DataError, MissingComponent, UsageError
from edge_runtime.files import sha256_file
from exporter import scoring, thresholds
from exporter.verify import changed_figures, verify_bundle, write_verification

KEPT = ("tflite-fp32", "tflite-int8", "onnx-fp32")


@pytest.fixture
def bundle(exported: SimpleNamespace, tmp_path: Path) -> Path:
    """A copy with three formats, to be spoilt."""
    folder = tmp_path / "bundle"
    folder.mkdir()
    data = json.loads((exported.bundle / "manifest.json").read_text(encoding="utf-8"))
    data["artifacts"] = [entry for entry in data["artifacts"] if entry["format"] in KEPT]
    (folder / "manifest.json").write_text(json.dumps(data), encoding="utf-8")
    for entry in data["artifacts"]:
        shutil.copyfile(exported.bundle / entry["file"], folder / entry["file"])
    for name in ("labels.txt", "parity.json"):
        shutil.copyfile(exported.bundle / name, folder / name)
    shutil.copytree(exported.bundle / "golden", folder / "golden")
    return folder


@pytest.fixture
def photos(run: Path) -> Path:
    return run.parent / "photos"


def test_on_the_golden_photos(bundle: Path) -> None:
    found = verify_bundle(bundle)
    found.check()
    assert found.photos["source"] == "golden"
    assert found.photos["n"] == 4
    assert [row["format"] for row in found.artifacts] == list(KEPT)
    assert all(row["max_abs_diff_to_stated"] == 0 for row in found.artifacts)  # the same machine
    json.dumps(found.to_dict())


def test_on_the_validation_photos(
    bundle: Path, photos: Path, exported: SimpleNamespace, tmp_path: Path
) -> None:
    """The figures of the export, to the last digit; other photos give an accuracy."""
    found = verify_bundle(bundle, photos)
    found.check()
    counts = found.photos
    assert (counts["n"], counts["missing"], counts["decoded_differently"]) == (18, 0, 0)
    assert counts["unknown"] == counts["in_class_folders"] == 36 + 3
    stated = {row["format"]: row for row in exported.report.artifacts}
    for row in found.artifacts:
        for key in ("max_abs_diff", "agreement", "accuracy", "mcnemar_p", "heatmap", "passed"):
            assert row[key] == stated[row["format"]][key], key
        assert (
            row["calibration"]["temperature"] == stated[row["format"]]["calibration"]["temperature"]
        )
        assert row["changes"] == []
        assert row["more"]["n"] == 39
    write_verification(found, tmp_path / "page.html", overwrite=False)
    assert "still answer like the model" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_photos_are_known_by_their_contents(bundle: Path, photos: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    moved.mkdir()
    source = sorted((photos / "val" / "green").iterdir())[:3]
    for number, path in enumerate(source):
        shutil.copyfile(path, moved / f"{number}{path.suffix}")
    (moved / "other.jpg").write_bytes(b"no photo")
    found = verify_bundle(bundle, moved)
    assert (found.photos["n"], found.photos["missing"], found.photos["unknown"]) == (3, 15, 1)
    assert "more" not in found.artifacts[0]
    assert all(row["changes"] == [] for row in found.artifacts)  # too few to compare


def test_no_photo_of_the_bundle(bundle: Path, photos: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none of the 36 photos .* 18 .* leave --data out"):
        verify_bundle(bundle, photos / "train")
    with pytest.raises(UsageError, match="no such folder"):
        verify_bundle(bundle, tmp_path / "none")


def test_a_file_that_no_longer_answers_alike(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a processor whose kernels are wrong."""
    original = scoring.answers

    def wrong(file: Path, *rest: Any, **options: Any) -> scoring.Answers:
        found = original(file, *rest, **options)
        if file.suffix == ".onnx":
            return scoring.Answers(found.raw[:, ::-1], found.scores[:, ::-1], 0.0)
        return found

    monkeypatch.setattr(scoring, "answers", wrong)
    found = verify_bundle(bundle)
    assert [row["format"] for row in found.failed] == ["onnx-fp32"]
    assert found.page.mood == "fails"
    with pytest.raises(CheckFailed, match=r"1 of 3 files.*onnx-fp32.*when it was exported"):
        found.check()


def test_a_file_that_was_never_good_fails_nothing(bundle: Path) -> None:
    data = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))
    for entry in data["artifacts"]:
        entry["passed"] = entry["format"] != "tflite-fp32"
    (bundle / "manifest.json").write_text(json.dumps(data), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        strict = thresholds.Threshold("none", max_abs_diff=-1.0)
        patch.setitem(thresholds.THRESHOLDS, "tflite-fp32", strict)
        found = verify_bundle(bundle)
    found.check()
    assert not found.artifacts[0]["passed"]


def test_an_interpreter_that_is_not_there(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = scoring.answers

    def absent(file: Path, *rest: Any, **options: Any) -> scoring.Answers:
        if file.suffix in suffixes:
            raise scoring.NotRun("onnxruntime is not installed", missing=True)
        return original(file, *rest, **options)

    monkeypatch.setattr(scoring, "answers", absent)
    suffixes = {".onnx"}
    found = verify_bundle(bundle)
    found.check()
    assert found.artifacts[-1]["missing"]
    suffixes = {".onnx", ".tflite"}
    with pytest.raises(MissingComponent, match="not installed"):
        verify_bundle(bundle).check()


def test_an_altered_bundle(bundle: Path) -> None:
    photo = bundle / "golden" / "golden-1.jpg"
    photo.write_bytes(photo.read_bytes() + b"x")
    with pytest.raises(BundleError, match=r"golden-1\.jpg was altered"):
        verify_bundle(bundle)
    file = bundle / "model-onnx-fp32.onnx"
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    with pytest.raises(BundleError, match="SHA-256"):
        verify_bundle(bundle)


def test_pixels_that_are_decoded_differently(bundle: Path, photos: Path) -> None:
    """Another JPEG decoder: told, and no failure of the files."""
    file = bundle / "golden" / "reference.json"
    data = json.loads(file.read_text(encoding="utf-8"))
    for photo in data["photos"][:5]:
        photo["pixels_sha256"] = "0" * 64
    file.write_text(json.dumps(data), encoding="utf-8")
    found = verify_bundle(bundle, photos / "val")
    found.check()
    assert found.photos["decoded_differently"] == 5


def test_changed_figures_are_told() -> None:
    stated = {
        "n": 10, "agreement": 1.0, "accuracy": 0.9, "max_abs_diff": 0.1, "heatmap": {"mean": 0.99}
    }  # fmt: skip
    row = {"format": "tflite-int8", **stated}
    assert changed_figures(row, stated) == []
    assert changed_figures({**row, "max_abs_diff": 0.11}, stated) == []  # within a device's step
    other = {**row, "agreement": 0.9, "max_abs_diff": 0.3, "heatmap": {"mean": 0.97}}
    assert len(changed_figures(other, stated)) == 3
    assert changed_figures({**other, "n": 9}, stated) == []


def test_the_command_needs_neither_tensorflow_nor_keras(bundle: Path, photos: Path) -> None:
    code = (
        "import sys\n"
        "for name in ('tensorflow', 'keras', 'jax', 'scipy', 'sklearn', 'pydantic'):\n"
        "    sys.modules[name] = None\n"
        "from exporter.cli import cli\n"
        "cli(sys.argv[1:])"
    )
    before = {path: sha256_file(path) for path in bundle.rglob("*") if path.is_file()}
    command = [sys.executable, "-c", code, "verify", str(bundle)]
    arguments = ["--data", str(photos / "val"), "--json"]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["passed"] is True
    assert np.isfinite(report["artifacts"][0]["max_abs_diff"])
    assert {path: sha256_file(path) for path in bundle.rglob("*") if path.is_file()} == before
    done = subprocess.run(
        [*command, "--data", str(photos / "train")], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (3, "")
    assert "Traceback" not in done.stderr
