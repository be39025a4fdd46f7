"""What a model says about itself, whatever it is."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest
import small_model as small
from click.testing import CliRunner, Result
from color_model import ColorModels, edit_manifest, embed

from edge_runtime.backends.full_model import import_keras
from edge_runtime.cli import cli
from edge_runtime.manifest import ModelInfo, OutputSpec


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["info", *map(str, arguments)])


def report(*arguments: object) -> dict:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    answer: dict = json.loads(result.stdout)
    return answer


@pytest.mark.parametrize("form", ["bundle", "tflite", "tflite_int8", "onnx", "saved_model", "run"])
def test_every_form(color_models: ColorModels, form: str) -> None:
    found = report(getattr(color_models, form))
    assert found["kind"] == form.replace("_int8", "")
    assert found["described"] and found["class_names"] == ["red", "green", "blue"]
    assert found["preprocess"] == {"width": 32, "height": 32, "fit": "crop", "kernel": "bilinear"}
    (image,), (scores,) = found["inputs"], found["outputs"]
    batch = 1 if form in ("onnx", "saved_model") else None  # as they were converted
    assert (image["shape"], scores["shape"]) == ([batch, 32, 32, 3], [batch, 3])
    assert image["dtype"] == scores["dtype"] == ("uint8" if form == "tflite_int8" else "float32")
    text = run(getattr(color_models, form)).stdout
    assert "3: red, green, blue" in text and "32 x 32 pixels" in text


def test_quantisation_is_read_off_the_file(color_models: ColorModels) -> None:
    found = report(color_models.tflite_int8)
    (scores,) = found["outputs"]
    assert scores["scale"] == pytest.approx(1 / 256) and scores["zero_point"] == 0
    assert set(found["activations"]) == {"int8", "uint8"}
    assert found["heatmap"]["features"] and found["heatmap"]["weights"]
    assert "scale 0.00390625, zero point 0" in run(color_models.tflite_int8).stdout


def test_true_type_of_the_weights(tmp_path: Path) -> None:
    """The second kernel has 1152 weights: enough to tell the scheme by."""
    model = small.network()
    files = {
        name: small.tflite(model, tmp_path / f"{name}.tflite", 1, set_up)
        for name, set_up in (("float16", small.float16), ("int8 per-channel", small.dynamic))
    }
    for kind, file in files.items():
        assert list(report(file)["weights"]) == [kind]
        assert f"weights     {kind} " in run(file).stdout


def test_bundle_lists_its_files(bundle: Path) -> None:
    def edit(artifacts: list[dict]) -> list[dict]:
        figures = {"max_abs_diff": 0.02, "agreement": 0.99, "accuracy": 0.95}
        recipe = {"rung": "first blocks in float", "float_operators": [1, 2, 3]}
        output = {"kind": "probabilities", "temperature": 1.5, "unknown_threshold": 0.4}
        artifacts[1] |= {"parity": figures, "recipe": recipe, "output": output, "passed": False}
        return artifacts

    edit_manifest(
        bundle, artifacts=edit, default="tflite-int8",
        source={"run": "fruit", "metrics": {"test": {"accuracy": 0.979}}},
        versions={"tensorflow": "2.21.0"}, about={"license": "CC-BY-4.0"},
        calibration={"part": "train", "n": 150, "seed": 0, "photos": []},
    )  # fmt: skip
    found = report(bundle)
    assert [a["format"] for a in found["artifacts"]] == ["tflite-fp32", "tflite-int8", "onnx-fp32"]
    assert [a["default"] for a in found["artifacts"]] == [False, True, False]
    assert (found["format"], found["output"]["temperature"]) == ("tflite-int8", 1.5)
    text = run(bundle).stdout
    for said in (
        "* tflite-int8", "2.0e-02", "99.0%", "95.0%", "poor", "rung first blocks in float",
        "float_operators 3", "fruit (test accuracy 97.9%)", "tensorflow 2.21.0", "CC-BY-4.0",
        'temperature 1.5, "unknown" below 0.4', "calibrated    on 150 training photos",
    ):  # fmt: skip
        assert said in text, said
    assert report(bundle, "--format", "onnx-fp32")["file"] == "model-onnx-fp32.onnx"


def test_single_file_tells_where_it_comes_from(tmp_path: Path) -> None:
    about = {
        "format": "tflite-fp32", "quantization": "none (float32)", "run": "fruit",
        "license": "CC-BY-4.0", "versions": {"tensorflow": "2.21.0"},
        "weights_sha256": "0123abcd" * 8, "of_another_version": "kept",
    }  # fmt: skip
    output = OutputSpec(temperature=0.8, unknown_threshold=0.25)
    file = small.tflite(small.network(), tmp_path / "m.tflite")
    embed(file, ModelInfo(small.INFO.class_names, small.INFO.preprocess, output, about))
    text = run(file).stdout
    for said in (
        "fruit", "CC-BY-4.0", "tensorflow 2.21.0", "tflite-fp32, none (float32)",
        'temperature 0.8, "unknown" below 0.25', "weights       SHA-256 0123abcd",
        "of_another_version kept",
    ):  # fmt: skip
        assert said in text, said
    assert report(file)["about"] == about


@pytest.mark.parametrize("form", ["tflite", "onnx"])
def test_file_without_description(tmp_path: Path, form: str) -> None:
    model = small.network()
    if form == "tflite":
        file = small.tflite(model, tmp_path / "m.tflite", None)
    else:
        file = small.onnx(model, tmp_path / "m.onnx", "n")
    found = report(file)
    assert not found["described"] and found["class_names"] is None
    assert found["inputs"][0]["shape"] == [None, 32, 32, 3]
    assert found["heatmap"]
    result = run(file)
    assert result.exit_code == 0
    assert "No description of edge-export" in result.stdout and "(any, 32, 32, 3)" in result.stdout


def test_heat_map_of_others(tmp_path: Path) -> None:
    """Told where several layers follow the pooling, and why not where there is none."""
    keras = import_keras()
    image = keras.Input((small.SIDE, small.SIDE, 3))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3, strides=4)(image))
    x = keras.layers.Dense(6, activation="relu")(x)
    x = keras.layers.Dense(small.CLASSES, activation="softmax")(x)
    several = report(small.tflite(keras.Model(image, x), tmp_path / "several.tflite"))
    assert several["heatmap"]["features"] and several["heatmap"]["weights"] is None
    assert several["no_heatmap"] is None
    file = small.tflite(small.network(pooled=False), tmp_path / "none.tflite")
    none = report(file)
    assert none["heatmap"] is None and "global average pooling" in none["no_heatmap"]
    assert "heat map    holds no heat map" in run(file).stdout


def test_wrong_settings_are_told_before_interpreters_are_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = small.tflite(small.network(), tmp_path / "m.tflite")
    (tmp_path / "m.yaml").write_text("lables: x\n")
    monkeypatch.setattr("edge_runtime.inspection.engines.inspect_engine", None)  # would be called
    result = run(file)
    assert result.exit_code == 2 and "Did you mean labels?" in result.stderr


def test_keras_file(color_models: ColorModels, tmp_path: Path) -> None:
    """Away from its run, it is a model of others."""
    file = Path(shutil.copy(color_models.run / "model.keras", tmp_path / "alone.keras"))
    found = report(file)
    assert (found["kind"], found["described"]) == ("keras", False)
    assert found["inputs"][0]["shape"] == [None, 32, 32, 3] and "--labels" in found["lacking"]
    (tmp_path / "alone.yaml").write_text("labels: [r, g, b]\nnormalization: raw\n")
    found = report(file)
    assert found["class_names"] == ["r", "g", "b"] and found["output"]["kind"] == "probabilities"
    assert "Keras file" in run(file).stdout


def test_without_the_interpreter(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bundle's manifest is there all the same; of a single file nothing is known."""
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    found = report(bundle, "--format", "onnx-fp32")
    assert found["class_names"] and found["inputs"] is None and "onnx" in found["note"]
    assert "not shown: onnxruntime is needed" in run(bundle, "--format", "onnx-fp32").stdout
    assert run(bundle / "model-onnx-fp32.onnx").exit_code == 5


def test_wrong_use(color_models: ColorModels, tmp_path: Path) -> None:
    assert run(tmp_path / "none").exit_code == 2
    assert run(color_models.tflite, "--format", "tflite-fp32").exit_code == 2
    (tmp_path / "x.tflite").write_bytes(b"no model at all")
    for path in (tmp_path, tmp_path / "x.tflite"):
        result = run(path)
        assert result.exit_code == 3 and "Traceback" not in result.stderr
    run_copy = Path(shutil.copytree(color_models.run, tmp_path / "run"))
    (run_copy / "model.keras").write_bytes(b"cut")
    assert run(run_copy).exit_code == 3
