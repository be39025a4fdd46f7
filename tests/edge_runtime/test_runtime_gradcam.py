"""Grad-CAM against its formula, and pictures that a person can read."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from color_model import SIDE, ColorModels, paint, write_manifest
from PIL import Image

from edge_runtime.backends.full_model import import_keras
from edge_runtime.cli import cli
from edge_runtime.errors import ModelError, UsageError
from edge_runtime.gradcam import GradCam, choose_layer


@pytest.fixture
def half_red(tmp_path: Path) -> Path:
    """Left half red, right half blue, at the model's own size."""
    picture = Image.new("RGB", (SIDE, SIDE), (0, 0, 255))
    picture.paste((255, 0, 0), (0, 0, SIDE // 2, SIDE))
    picture.save(tmp_path / "half.png")
    return tmp_path / "half.png"


@pytest.mark.parametrize("form", ["run", "saved_model"])
@pytest.mark.parametrize(("name", "channel"), [("red", 0), ("blue", 2)])
def test_gradcam_is_the_formula(
    color_models: ColorModels, half_red: Path, form: str, name: str, channel: int
) -> None:
    """The class's logit is mean(F_c)/16, so the map is F_c / (16 h w)."""
    found = GradCam.open(getattr(color_models, form)).explain(half_red, name)
    plane = np.asarray(Image.open(half_red))[..., channel]
    np.testing.assert_allclose(found.heatmap, plane / 16 / SIDE**2, rtol=1e-5, atol=1e-9)
    assert (found.label, found.index) == (name, channel)
    assert found.score == pytest.approx(0.5, abs=1e-3)  # softmax of (8, 0, 8): halves, less e^-8


def test_bundle_lends_its_saved_model(
    color_models: ColorModels, bundle: Path, half_red: Path
) -> None:
    with pytest.raises(UsageError, match="has no saved_model"):
        GradCam.open(bundle)
    folder = bundle / "model-saved_model"
    shutil.copytree(color_models.saved_model, folder)
    write_manifest(bundle, {"saved_model": folder}, default="saved_model")
    assert GradCam.open(bundle).explain(half_red, "red").label == "red"


def test_default_class_is_the_answer(color_models: ColorModels, tmp_path: Path) -> None:
    photo = paint(tmp_path / "p.png", (10, 200, 10))
    assert GradCam.open(color_models.run).explain(photo).label == "green"


def test_unknown_class_layer_and_model(color_models: ColorModels, half_red: Path) -> None:
    with pytest.raises(UsageError, match="red, green, blue"):
        GradCam.open(color_models.run).explain(half_red, "yellow")
    with pytest.raises(UsageError, match="no layer 'nowhere'"):
        GradCam.open(color_models.run, "nowhere")
    with pytest.raises(UsageError, match="keeps the layer"):
        GradCam.open(color_models.saved_model, "features")
    with pytest.raises(ModelError, match="needs gradients"):
        GradCam.open(color_models.tflite)
    with pytest.raises(UsageError, match="no such model"):
        GradCam.open("nowhere")


def test_choose_layer_prefers_the_last_readable_map() -> None:
    """Of maps of 16, 8 and 4 pixels, 8 is the last with at least 7."""
    keras = import_keras()
    image = keras.Input((32, 32, 3))
    x = image
    for name in ("map16", "map8", "map4"):
        x = keras.layers.Conv2D(4, 3, strides=2, padding="same", name=name)(x)
    model = keras.Model(image, keras.layers.GlobalAveragePooling2D()(x))
    assert choose_layer(model) == "map8"


def test_choose_layer_takes_the_largest_where_all_are_small() -> None:
    keras = import_keras()
    image = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, strides=2, padding="same", name="map4")(image)
    x = keras.layers.Conv2D(4, 3, strides=2, padding="same", name="map2")(x)
    assert choose_layer(keras.Model(image, x)) == "map4"


def test_choose_layer_needs_a_map() -> None:
    keras = import_keras()
    image = keras.Input((8,))
    with pytest.raises(ModelError, match="no convolutional"):
        choose_layer(keras.Model(image, keras.layers.Dense(2)(image)))


def run(*arguments: object) -> Result:
    """Run edge-classify gradcam in this process."""
    return CliRunner().invoke(cli, ["gradcam", *map(str, arguments)])


@pytest.mark.parametrize("form", ["run", "saved_model"])
def test_command(color_models: ColorModels, half_red: Path, tmp_path: Path, form: str) -> None:
    out = tmp_path / "why.png"
    model = getattr(color_models, form)
    result = run("--model", model, half_red, "--out", out, "--class", "red", "--json")
    assert result.exit_code == 0, result.stderr
    answer = json.loads(result.stdout)
    assert (answer["label"], answer["out"]) == ("red", str(out))
    picture = np.asarray(Image.open(out)).astype(int)
    # 32 pixels are enlarged to 256; inferno is bright where it is hot.
    assert picture[:256, :120].mean() > picture[:256, 136:256].mean() + 30


@pytest.mark.parametrize(
    ("change", "said", "code"),
    [
        ({"out": "why.bmp"}, "ends in .png or .jpg", 2),
        ({"photo": "none.png"}, "no such file", 2),
        ({"photo": "text.jpg"}, "not an image", 3),
        ({"photo": "."}, "is a folder", 2),
        ({"class": "pink"}, "No class 'pink'", 2),
        ({"model": "none"}, "no such model", 2),
        ({"out": "taken.png"}, "exists already", 2),
        ({"out": "half.png/x.png"}, "is not a folder", 2),
    ],
)
def test_wrong_use(
    color_models: ColorModels, half_red: Path, tmp_path: Path, change: dict, said: str, code: int
) -> None:
    (tmp_path / "text.jpg").write_text("no photo")
    (tmp_path / "taken.png").write_text("precious")
    chosen = {"photo": "half.png", "out": "why.png", "class": "red"} | change
    model = tmp_path / chosen["model"] if "model" in chosen else color_models.run
    result = run(
        "--model", model, tmp_path / chosen["photo"], "--out", tmp_path / chosen["out"],
        "--class", chosen["class"],
    )  # fmt: skip
    assert (result.exit_code, result.stdout) == (code, ""), result.output
    assert said in result.stderr
    assert (tmp_path / "taken.png").read_text() == "precious"
    assert not (tmp_path / "why.png").exists()
