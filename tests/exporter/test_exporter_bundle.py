"""The bundle: one export that is read from every side."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from edge_runtime import Bundle, Classifier
from edge_runtime.backends.litert import load_interpreter
from edge_runtime.files import sha256_file
from edge_runtime.gradcam import GradCam
from edge_runtime.inspection.model import inspect_model
from edge_runtime.inspection.text import format_inspection
from edge_runtime.manifest import FORMAT_SUFFIXES, artifact_name
from edge_runtime.rundir import RunDir

#: Largest difference that was measured for this network is 3e-7; a float32 has 1.2e-7.
FLOAT32 = 2e-6


def rows(exported: SimpleNamespace) -> dict[str, dict]:
    return {row["format"]: row for row in exported.report.artifacts}


def test_contents(exported: SimpleNamespace) -> None:
    """Nothing else lies there, neither beside it."""
    expected = {artifact_name(fmt) for fmt in FORMAT_SUFFIXES}
    expected |= {"manifest.json", "labels.txt", "parity.json", "parity.html", "golden"}
    expected |= {"training_features.npy"}
    assert {path.name for path in exported.bundle.iterdir()} == expected
    assert [path.name for path in exported.bundle.parent.iterdir()] == ["bundle"]
    labels = (exported.bundle / "labels.txt").read_text(encoding="utf-8")
    assert labels == "blue dots\ngreen\nred stripes\n"


def test_reference(exported: SimpleNamespace) -> None:
    """The network answers, or agreement would mean nothing."""
    assert exported.report.reference["n"] == 18
    assert exported.report.reference["accuracy"] >= 0.8
    exported.report.check()


@pytest.mark.parametrize("fmt", ["saved_model", "tflite-fp32", "onnx-fp32"])
def test_float32_formats_are_the_keras_model(exported: SimpleNamespace, fmt: str) -> None:
    row = rows(exported)[fmt]
    assert row["passed"] is True
    assert row["max_abs_diff"] <= FLOAT32
    assert row["agreement"] == 1
    assert row["accuracy"] == exported.report.reference["accuracy"]


def test_quantised_formats_differ_but_are_measured(exported: SimpleNamespace) -> None:
    """A difference of nothing would mean that the file is not what its name says."""
    found = rows(exported)
    for fmt in ("tflite-fp16", "onnx-fp16", "tflite-int16x8"):
        assert FLOAT32 < found[fmt]["max_abs_diff"] <= 1e-2
    for fmt in ("tflite-dynamic", "tflite-int8w", "tflite-int8", "onnx-int8"):
        assert FLOAT32 < found[fmt]["max_abs_diff"] < 1
        assert found[fmt]["agreement"] >= 0.5


def test_parity_json(exported: SimpleNamespace) -> None:
    parity = json.loads((exported.bundle / "parity.json").read_text())
    assert parity == json.loads(json.dumps(exported.report.parity()))
    assert [row["format"] for row in parity["artifacts"]] == list(FORMAT_SUFFIXES)
    for row in parity["artifacts"]:
        assert row["file"] == artifact_name(row["format"])
        assert row["n"] == 18
        assert row["threshold"]["reason"]


def test_manifest(exported: SimpleNamespace, run: Path) -> None:
    bundle = Bundle.open(exported.bundle)
    bundle.verify()
    manifest = bundle.manifest
    assert manifest.info == RunDir.open(run).info
    assert all(artifact.output is not None for artifact in manifest.artifacts)
    assert manifest.default == "tflite-fp32"
    assert {"tensorflow", "keras", "tf2onnx", "onnx", "edge-classify"} <= set(manifest.versions)
    assert manifest.source == {
        "run": "tiny",
        "weights_sha256": sha256_file(run / "model.keras"),
        "metrics": {"val": {"n": 18, "accuracy": 1.0}},
        "options": {
            "batch": 1,
            "logits": False,
            "opset": 17,
            "int8_io": "uint8",
            "max_drop": 0.5,
            "min_agreement": 0.99,
        },
    }
    assert manifest.artifact("tflite-int8").quantization.startswith("full integer int8")
    calibration = manifest.calibration
    assert (calibration["n"], calibration["seed"]) == (36, 0)
    split = {row.sha256: row for row in RunDir.open(run).split()}
    assert {split[photo["sha256"]].part for photo in calibration["photos"]} == {"train"}
    assert all(photo["file"].count("/") == 1 for photo in calibration["photos"])


@pytest.mark.parametrize("fmt", list(FORMAT_SUFFIXES))
def test_each_file_alone_gives_the_reported_accuracy(
    exported: SimpleNamespace, run: Path, fmt: str
) -> None:
    """From the photos' own paths, as a user classifies them."""
    classifier = Classifier.open(exported.bundle / artifact_name(fmt))
    photos = RunDir.open(run).split("val")
    right = sum(classifier.classify(row.path).label == row.label for row in photos)
    assert right / len(photos) == rows(exported)[fmt]["accuracy"]


def test_float32_scores_are_those_of_the_run(exported: SimpleNamespace, run: Path) -> None:
    keras, tflite = Classifier.open(run), Classifier.open(exported.bundle)
    for row in RunDir.open(run).split("val")[:4]:
        assert np.abs(keras.scores(row.path) - tflite.scores(row.path)).max() <= FLOAT32


@pytest.mark.parametrize(
    ("fmt", "dtype"),
    [
        ("tflite-fp32", np.float32),
        ("tflite-fp16", np.float32),
        ("tflite-dynamic", np.float32),
        ("tflite-int8w", np.float32),
        ("tflite-int8", np.uint8),
        ("tflite-int16x8", np.float32),
    ],
)
def test_inputs_and_outputs(exported: SimpleNamespace, fmt: str, dtype: type) -> None:
    interpreter_class, _ = load_interpreter()
    interpreter = interpreter_class(model_path=str(exported.bundle / artifact_name(fmt)))
    (image,), (scores,) = interpreter.get_input_details(), interpreter.get_output_details()
    assert (image["dtype"], scores["dtype"]) == (dtype, dtype)
    assert (image["shape"].tolist(), scores["shape"].tolist()) == ([1, 32, 32, 3], [1, 3])


def test_int8_weights_are_per_channel(exported: SimpleNamespace) -> None:
    interpreter_class, _ = load_interpreter()
    interpreter = interpreter_class(model_path=str(exported.bundle / artifact_name("tflite-int8")))
    details = interpreter.get_tensor_details()
    scales = [len(d["quantization_parameters"]["scales"]) for d in details]
    assert max(scales) == 64  # the widest convolution
    assert not [d["name"] for d in details if d["dtype"] == np.float32]


def test_saved_model_explains_itself(exported: SimpleNamespace, run: Path) -> None:
    photo = RunDir.open(run).split("val")[0].path
    from_bundle = GradCam.open(exported.bundle / "model-saved_model").explain(photo)
    from_run = GradCam.open(run).explain(photo)
    assert from_bundle.label == from_run.label
    assert from_bundle.heatmap.shape == from_run.heatmap.shape == (16, 16)
    assert from_bundle.heatmap == pytest.approx(from_run.heatmap, rel=1e-4, abs=1e-6)


def test_info_shows_what_the_exporter_wrote(exported: SimpleNamespace) -> None:
    """Both sides use the same keys, so no line is missing and none is a bare key."""
    text = format_inspection(inspect_model(exported.bundle))
    lines = [line.strip() for line in text.splitlines()]
    count = Bundle.open(exported.bundle).manifest.calibration["n"]
    assert f"calibrated    on {count} training photos" in lines
    assert any(line.startswith("weights       SHA-256 ") for line in lines)
    assert not any("weights_sha256" in line for line in lines)
