"""Grad-CAM, Grad-CAM++ and LayerCAM against their papers' formulas, and the command around them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from color_model import SIDE, ColorModels, paint
from PIL import Image

from edge_runtime.backends.full_model import import_keras
from edge_runtime.cli import cli
from edge_runtime.errors import ModelError, UsageError
from edge_runtime.gradcam import METHODS, GradCam, gradcam_function
from edge_runtime.heat.contact_sheet import Cell, check_count, contact_sheet
from edge_runtime.heat.explain import open_explainer
from edge_runtime.settings import ModelSettings

WIDTH = 6


def curved(last: str = "softmax") -> Any:
    """A network whose gradient differs from place to place: tanh, then a linear layer over all."""
    keras = import_keras()
    keras.utils.set_random_seed(2)
    image = keras.Input((WIDTH, WIDTH, 3))
    x = keras.layers.Rescaling(1 / 255)(image)
    x = keras.layers.Conv2D(4, 3, padding="same", name="map")(x)
    x = keras.layers.Flatten()(keras.layers.Activation("tanh", name="bend")(x))
    if last == "layer":
        return keras.Model(image, keras.layers.Softmax()(keras.layers.Dense(3, name="end")(x)))
    return keras.Model(image, keras.layers.Dense(3, activation=last, name="end")(x))


def by_hand(model: Any, photo: np.ndarray, index: int) -> tuple[np.ndarray, np.ndarray]:
    """The feature map (h, w, k) and the gradient of a logit by it, from the weights alone."""
    kernel, bias = model.get_layer("map").get_weights()
    padded = np.pad(photo / 255, ((1, 1), (1, 1), (0, 0)))
    maps = np.zeros((WIDTH, WIDTH, 4))
    for y in range(WIDTH):
        for x in range(WIDTH):
            maps[y, x] = np.einsum("abc,abck->k", padded[y : y + 3, x : x + 3], kernel) + bias
    outer = model.get_layer("end").get_weights()[0][:, index].reshape(maps.shape)
    return maps, outer * (1 - np.tanh(maps) ** 2)


def formula(method: str, maps: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    """As the papers write them, with loops where they sum; Grad-CAM++ from derivatives of exp(S)."""
    height, width, channels = maps.shape
    result = np.zeros((height, width))
    for k in range(channels):
        g, a = gradient[..., k], maps[..., k]
        if method == "gradcam":
            weight = np.full(a.shape, g.sum() / (height * width))
        elif method == "layercam":
            weight = np.maximum(g, 0)
        else:
            alpha = np.zeros(a.shape)
            for y in range(height):
                for x in range(width):
                    # Equation 19: of Y = exp(S) the second and third derivative are Y g^2, Y g^3.
                    below = 2 * g[y, x] ** 2 + a.sum() * g[y, x] ** 3
                    alpha[y, x] = g[y, x] ** 2 / below if below else 0
            weight = np.full(a.shape, (alpha * np.maximum(g, 0)).sum())
        result += weight * a
    return np.maximum(result, 0)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("last", ["softmax", "layer", "linear"])
def test_methods_are_the_papers_formulas(method: str, last: str) -> None:
    """Of the logit itself, also where the model's last layer makes probabilities of it."""
    model = curved(last)
    explain = gradcam_function(model, "map", method)
    photo = np.random.default_rng(3).integers(0, 256, (WIDTH, WIDTH, 3)).astype(np.float32)
    for index in range(3):
        expected = formula(method, *by_hand(model, photo, index))
        found = np.asarray(explain(photo[None], index)["heatmap"])
        # Float32 against float64; alpha of Grad-CAM++ divides by what may be nearly 0.
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5 * expected.max())
        assert expected.max() > 0


@pytest.mark.parametrize("method", METHODS)
def test_all_are_cam_behind_pooling_of_positive_maps(
    color_models: ColorModels, tmp_path: Path, method: str
) -> None:
    """One positive weight: the gradient is the same everywhere, so the three differ in scale only."""
    photo = tmp_path / "half.png"
    picture = Image.new("RGB", (SIDE, SIDE), (0, 0, 255))
    picture.paste((200, 0, 0), (0, 0, SIDE // 2, SIDE))
    picture.save(photo)
    heat = GradCam.open(color_models.run, method=method).explain(photo, "red").heatmap
    cam = np.asarray(picture)[..., 0] / 16 / SIDE**2
    np.testing.assert_allclose(heat / heat.max(), cam / cam.max(), rtol=1e-5)
    if method != "gradcam++":  # whose weight is g^2 / (2 + g sum F), summed
        np.testing.assert_allclose(heat, cam, rtol=1e-5)


def test_map_of_one_place_is_explained_but_not_offered() -> None:
    """Of small inputs the last map is one place; squeeze-and-excitation has such maps, too."""
    keras = import_keras()
    image = keras.Input((4, 4, 3))
    x = keras.layers.Conv2D(4, 2, name="wide")(image)
    x = keras.layers.Conv2D(4, 3, name="narrow")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(image, keras.layers.Dense(2, activation="softmax")(x))
    found = gradcam_function(model, "narrow")(np.ones((1, 4, 4, 3), np.float32), 0)
    assert found["heatmap"].shape == (1, 1)
    with pytest.raises(UsageError, match=r"have: wide, [a-z_0-9]*\.$"):
        gradcam_function(model, "nowhere")


def test_saved_model_has_grad_cam_only(color_models: ColorModels) -> None:
    with pytest.raises(UsageError, match=r"--method layercam: a SavedModel keeps.*model\.keras"):
        GradCam.open(color_models.saved_model, method="layercam")
    with pytest.raises(UsageError, match=r"No method 'cam'.*gradcam\+\+"):
        GradCam.open(color_models.run, method="cam")


def test_plain_keras_file(
    color_models: ColorModels, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Away from its run: indices for names, or the labels of the settings; its own preprocessing."""
    file = Path(shutil.copy(color_models.run / "model.keras", tmp_path / "alone.keras"))
    photo = paint(tmp_path / "p.png", (10, 200, 10))
    found = GradCam.open(file).explain(photo)
    assert (found.label, found.index) == ("1", 1) and "indices stand" in caplog.text
    assert "--normalization" in caplog.text
    said = ModelSettings(labels=("r", "g", "b"), normalization="raw")
    caplog.clear()
    named = GradCam.open(file, settings=said)
    assert named.explain(photo).label == "g" and not caplog.records
    red = paint(tmp_path / "red.png", (250, 10, 10))
    turned = GradCam.open(file, settings=ModelSettings(color="BGR", mean=(10.0,), std=(2.0,)))
    assert turned.explain_pixels(turned.pixels(red)).label == "2"  # blue, where red stands now
    with pytest.raises(ModelError, match="2 labels, but the model gives 3 scores"):
        GradCam.open(file, settings=ModelSettings(labels=("r", "g")))


def test_settings_of_a_plain_keras_file_reach_it(
    color_models: ColorModels, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """By option and by the file beside it, of which the option wins."""
    file = Path(shutil.copy(color_models.run / "model.keras", tmp_path / "alone.keras"))
    (tmp_path / "alone.yaml").write_text("labels: [r, g, b]\nmean: 10\nstd: 5\nfit: stretch\n")
    (tmp_path / "names.txt").write_text("rot\ngruen\nblau\n")
    photo = paint(tmp_path / "p.png", (10, 200, 10))
    out = tmp_path / "why.png"
    arguments = ["--model", file, photo, "--out", out, "--json"]
    result = run(*arguments)
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["label"] == "g" and not caplog.records
    result = run(*arguments, "--overwrite", "--labels", tmp_path / "names.txt")
    assert json.loads(result.stdout)["label"] == "gruen"
    found = open_explainer(file, settings=ModelSettings(normalization="unit")).info
    assert (found.input.std, found.preprocess.fit) == ((255.0,), "stretch")
    with pytest.raises(UsageError, match="contradicts"):
        open_explainer(color_models.run / "model.keras", settings=ModelSettings(labels=("r",)))


def run(*arguments: object) -> Result:
    """Run edge-classify gradcam in this process."""
    return CliRunner().invoke(cli, ["gradcam", *map(str, arguments)])


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of three photos, two of one name."""
    paint(tmp_path / "photos/a/x.png", (255, 0, 0))
    paint(tmp_path / "photos/b/x.png", (0, 255, 0), (300, 200))
    paint(tmp_path / "photos/c.jpg", (0, 0, 255), (200, 300))
    return tmp_path / "photos"


def test_several_photos(color_models: ColorModels, photos: Path, tmp_path: Path) -> None:
    """A file each, two names kept apart, a sheet of all, a JSON line each."""
    out, sheet = tmp_path / "new/out", tmp_path / "sheet.png"
    arguments = ["--model", color_models.bundle, photos, "--out", out, "--sheet", sheet, "--json"]
    result = run(*arguments)
    assert result.exit_code == 0, result.stderr
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert [row["label"] for row in rows] == ["red", "green", "blue"]
    assert sorted(p.name for p in out.iterdir()) == ["c.jpg", "x-2.jpg", "x.jpg"]
    assert [Path(row["out"]).name for row in rows] == ["x.jpg", "x-2.jpg", "c.jpg"]
    assert all(row["error"] is None and row["method"] == "gradcam" for row in rows)
    with Image.open(sheet) as picture:
        assert picture.width == 2 * 330 + 10 and picture.height > 2 * 330  # 2 by 2 cells
        cell = np.asarray(picture.convert("RGB"))[10:330, 10:330]
    assert (cell != 255).any(axis=-1).mean() > 0.3
    before = sheet.read_bytes()
    assert run(*arguments).exit_code == 2 and sheet.read_bytes() == before
    assert run(*arguments, "--overwrite").exit_code == 0


def test_several_classes_by_name_and_index(
    color_models: ColorModels, photos: Path, tmp_path: Path
) -> None:
    result = run(
        "--model", color_models.tflite, photos / "c.jpg", "--class", "red", "--class", "2",
        "--out", tmp_path / "out", "--json", "--colormap", "viridis",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert [(row["label"], row["index"]) for row in rows] == [("red", 0), ("blue", 2)]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["c-2.jpg", "c-red.jpg"]


def test_a_file_for_several_photos_is_a_sheet(
    color_models: ColorModels, photos: Path, tmp_path: Path
) -> None:
    result = run("--model", color_models.onnx, photos, "--out", tmp_path / "all.jpg")
    assert result.exit_code == 0, result.stderr
    assert "contact sheet of 3" in result.stdout and (tmp_path / "all.jpg").is_file()


def test_control_characters_of_names_are_escaped(color_models: ColorModels, tmp_path: Path) -> None:
    photo = paint(tmp_path / "a\nb.png", (255, 0, 0))
    result = run("--model", color_models.tflite, photo, "--out", tmp_path / "why")
    assert result.exit_code == 0 and result.stdout.count("\n") == 1 and "a\\nb.jpg" in result.stdout


def test_unreadable_photo_among_others(
    color_models: ColorModels, photos: Path, tmp_path: Path
) -> None:
    (photos / "b/bad.jpg").write_text("no photo")
    result = run("--model", color_models.tflite, photos, "--sheet", tmp_path / "s.png", "--json")
    assert result.exit_code == 1 and "1 of 4 photos" in result.stderr
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert [bool(row["error"]) for row in rows] == [False, True, False, False]
    assert rows[1].keys() == rows[0].keys() and rows[1]["label"] is None
    assert (tmp_path / "s.png").is_file()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "Nothing to write"),
        (["--out", "a.png", "--sheet", "b.png"], "name of a folder was expected"),
        (["--sheet", "b.gif"], "ends in .png or .jpg"),
        (["--out", "o", "--method", "layercam"], "needs the gradient at each place"),
        (["--out", "o", "--layer", "features"], "holds its own heat map"),
        (["--out", "o", "--class", "pink"], "No class 'pink'"),
        (["--out", "photos/c.jpg/o"], "c.jpg is not a folder"),
    ],
)
def test_wrong_use_writes_nothing(
    color_models: ColorModels, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    arguments: list[str], said: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    result = run("--model", color_models.tflite, photos, *arguments)
    assert result.exit_code == 2, result.output
    assert said in result.stderr and not result.stdout
    assert [p.name for p in tmp_path.iterdir() if p.name != "cache"] == ["photos"]


def test_sheet_is_bounded() -> None:
    cells = [Cell(Image.new("RGB", (140, 100)), "label 0.5", "x" * 99)] * 400
    width, height = contact_sheet(cells, "model").size
    assert width <= 6010 and height <= 7500  # 20 rows, each with its captions below
    with pytest.raises(UsageError, match="401 pictures do not fit"):
        check_count(401)
