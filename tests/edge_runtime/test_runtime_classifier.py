"""Every form of the model gives the known answer."""

from __future__ import annotations

import math
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from color_model import COLORS, INFO, ColorModels, paint

from edge_runtime import Classifier
from edge_runtime.errors import ImageError, ModelError, UsageError
from edge_runtime.manifest import EMBEDDED_NAME, ModelInfo, OutputSpec, PreprocessSpec
from edge_runtime.opening import open_backend

FLOAT_FORMS = ["tflite", "onnx", "saved_model", "run", "bundle"]

#: softmax([255/16, 0, 0])[0], what a pure colour scores.
PURE = 1 / (1 + 2 * math.exp(-255 / 16))


@pytest.mark.parametrize("form", FLOAT_FORMS)
@pytest.mark.parametrize("color", list(COLORS))
def test_float_forms(color_models: ColorModels, tmp_path: Path, form: str, color: str) -> None:
    photo = paint(tmp_path / "photo.png", COLORS[color])
    prediction = Classifier.open(getattr(color_models, form)).classify(photo)
    assert prediction.label == color
    assert prediction.index == list(COLORS).index(color)
    assert prediction.score == pytest.approx(PURE, abs=1e-6)  # float32 rounding


@pytest.mark.parametrize("color", list(COLORS))
def test_int8(color_models: ColorModels, tmp_path: Path, color: str) -> None:
    """A score of 1 is one step of 1/256 away in uint8."""
    photo = paint(tmp_path / "photo.png", COLORS[color])
    prediction = Classifier.open(color_models.tflite_int8).classify(photo)
    assert prediction.label == color
    assert prediction.score == pytest.approx(PURE, abs=1 / 255)


@pytest.mark.parametrize("form", ["tflite", "onnx"])
def test_mixed_colours_keep_their_order(
    color_models: ColorModels, tmp_path: Path, form: str
) -> None:
    photo = paint(tmp_path / "photo.png", (100, 120, 90))
    prediction = Classifier.open(getattr(color_models, form)).classify(photo, k=2)
    expected = np.exp(np.array([100, 120, 90]) / 16)
    assert [entry[0] for entry in prediction.top] == ["green", "red"]
    assert prediction.score == pytest.approx(expected[1] / expected.sum(), abs=1e-6)


def test_threads_are_passed_on(color_models: ColorModels, tmp_path: Path) -> None:
    photo = paint(tmp_path / "photo.png", (255, 0, 0))
    for threads in (1, 2):
        assert Classifier.open(color_models.tflite, threads=threads).classify(photo).label == "red"


def test_try_classify_keeps_going(color_models: ColorModels, tmp_path: Path) -> None:
    prediction = Classifier.open(color_models.tflite).try_classify(tmp_path / "none.jpg")
    assert prediction.label is None and prediction.score is None
    assert "no such file" in str(prediction.error)


def test_classify_raises(color_models: ColorModels, tmp_path: Path) -> None:
    with pytest.raises(ImageError):
        Classifier.open(color_models.tflite).classify(tmp_path / "none.jpg")


def test_temperature_and_threshold(color_models: ColorModels, tmp_path: Path) -> None:
    """The raw answer stays; the calibrated one is softer and may be unknown."""
    backend = open_backend(color_models.tflite)
    info = ModelInfo(
        INFO.class_names, INFO.preprocess, OutputSpec(temperature=4, unknown_threshold=0.6)
    )
    photo = paint(tmp_path / "photo.png", (100, 120, 90))
    prediction = Classifier(backend, info, "tflite", "test").classify(photo)
    expected = np.exp(np.array([100, 120, 90]) / 16 / 4)
    assert prediction.calibrated_score == pytest.approx(expected[1] / expected.sum(), abs=1e-5)
    assert prediction.unknown is True and prediction.label == "green"


def test_description_must_fit_the_model(color_models: ColorModels) -> None:
    backend = open_backend(color_models.tflite)
    two = ModelInfo(("a", "b"), INFO.preprocess)
    with pytest.raises(ModelError, match="3 scores for 2 class names"):
        Classifier(backend, two, "tflite", "test")
    large = ModelInfo(INFO.class_names, PreprocessSpec(64, 64))
    with pytest.raises(ModelError, match=r"\(32, 32\)"):
        Classifier(backend, large, "tflite", "test")


@pytest.mark.parametrize("form", ["tflite", "tflite_int8", "onnx"])
def test_file_cut_in_half(color_models: ColorModels, tmp_path: Path, form: str) -> None:
    source: Path = getattr(color_models, form)
    file = tmp_path / source.name
    file.write_bytes(source.read_bytes()[: source.stat().st_size // 2])
    with pytest.raises(ModelError, match=file.name):
        Classifier.open(file)


def test_saved_model_without_its_variables(color_models: ColorModels, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(color_models.saved_model, tmp_path / "saved"))
    shutil.rmtree(folder / "variables")
    with pytest.raises(ModelError, match="not a whole SavedModel"):
        Classifier.open(folder)


def test_run_with_a_cut_model(color_models: ColorModels, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(color_models.run, tmp_path / "run"))
    model = folder / "model.keras"
    model.write_bytes(model.read_bytes()[:1000])
    with pytest.raises(ModelError, match=r"model\.keras: damaged or cut off"):
        Classifier.open(folder)


def test_run_that_was_not_finished(color_models: ColorModels, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(color_models.run, tmp_path / "run"))
    (folder / "metrics.json").unlink()
    with pytest.raises(ModelError, match=r"metrics\.json missing"):
        Classifier.open(folder)


def test_file_without_description(color_models: ColorModels, tmp_path: Path) -> None:
    """Labels and preprocessing are never guessed."""
    data = color_models.tflite.read_bytes()
    file = tmp_path / "bare.tflite"
    file.write_bytes(data[: data.index(b"PK\x03\x04")])
    assert EMBEDDED_NAME.encode() not in file.read_bytes()
    with pytest.raises(ModelError, match="carries no labels"):
        Classifier.open(file)


@pytest.mark.parametrize("form", ["tflite", "onnx"])
def test_file_name_that_is_not_utf8(color_models: ColorModels, tmp_path: Path, form: str) -> None:
    source: Path = getattr(color_models, form)
    file = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9" + source.suffix.encode())
    shutil.copy(source, file)
    assert Classifier.open(file).classify(paint(tmp_path / "p.png", COLORS["red"])).label == "red"


def test_what_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such model"):
        Classifier.open(tmp_path / "none.tflite")
    file = tmp_path / "notes.txt"
    file.write_text("hello")
    with pytest.raises(ModelError, match="not a model"):
        Classifier.open(file)
    (tmp_path / "fake.tflite").write_text("this is text")
    with pytest.raises(ModelError, match="not a TFLite file"):
        Classifier.open(tmp_path / "fake.tflite")


def test_format_belongs_to_a_bundle(color_models: ColorModels) -> None:
    with pytest.raises(UsageError, match="chooses from a bundle"):
        Classifier.open(color_models.tflite, fmt="tflite-fp32")
