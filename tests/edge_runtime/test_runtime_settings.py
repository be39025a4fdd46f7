"""What a user says of a model: options, a file beside it, and what contradicts the model."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from color_model import ColorModels, paint
from foreign_models import LABELS, PHOTOS, onnx, save_photos, write_labels

from edge_runtime.cli import cli
from edge_runtime.commands import settings_options
from edge_runtime.errors import MissingComponent, ModelError, UsageError
from edge_runtime.foreign.sidecar import parse_numbers, parse_size, read_beside
from edge_runtime.opening import find_beside
from edge_runtime.settings import NORMALIZATIONS, ModelSettings


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def test_names_of_normalisations() -> None:
    """The option lists them without loading what they stand for."""
    assert tuple(NORMALIZATIONS) == settings_options._NORMALIZATIONS


def labels_of(result: Result) -> list[str]:
    assert result.exit_code == 0, result.output
    return [json.loads(line)["label"] for line in result.stdout.splitlines()]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A foreign ONNX file that takes -1 to 1, alone in a folder."""
    folder = tmp_path / "model"
    folder.mkdir()
    return onnx(folder / "m.onnx")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"mean": (1.0,)}, "without std"),
        ({"std": (1.0,)}, "without mean"),
        ({"mean": (1.0, 2.0), "std": (1.0,)}, "one number or three"),
        ({"mean": (float("inf"),), "std": (1.0,)}, "one number or three"),
        ({"mean": (0.0,), "std": (0.0,)}, "above 0"),
        ({"mean": (0.0,), "std": (-2.0,)}, "above 0"),
        ({"mean": (0.0,), "std": (1.0,), "normalization": "raw"}, "not both"),
        ({"normalization": "zscore"}, "raw, unit, symmetric, imagenet"),
        ({"layout": "HWC"}, "NHWC, NCHW"),
        ({"output": "scores"}, "probabilities, logits"),
        ({"size": (0, 8)}, "WIDTHxHEIGHT"),
        ({"labels": ("", " ")}, "at least one name"),
        ({"mean": (0.5,), "std": (0.5,)}, "mean 127.5 and std 127.5"),
        (
            {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)},
            "pixel values 0 to 255.*mean 123.675,116.28,103.53 and std 58.395,57.12,57.375",
        ),
    ],
)
def test_settings_that_cannot_be_right(values: dict, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        ModelSettings(**values)


def test_usual_normalisations_are_of_pixel_values() -> None:
    """None of them is taken for fractions."""
    for mean, std in NORMALIZATIONS.values():
        ModelSettings(mean=mean, std=std)


def test_options(model: Path, tmp_path: Path) -> None:
    """Every command that opens a model takes them; without, it says which."""
    photos, labels = save_photos(tmp_path / "photos"), write_labels(tmp_path)
    given = ("--labels", labels, "--normalization", "symmetric")
    assert labels_of(run("image", "--model", model, *photos, *given, "--json")) == list(PHOTOS)
    spelt = ("--labels", labels, "--mean", "127.5,127.5,127.5", "--std", "127.5", "--layout", "nchw",
             "--channel-order", "RGB", "--fit", "stretch", "--kernel", "bicubic",
             "--output-kind", "probabilities", "--input-size", "8x8")  # fmt: skip
    assert labels_of(run("image", "--model", model, *photos, *spelt, "--json")) == list(PHOTOS)
    text = " ".join(run("info", model, *spelt).stdout.split())
    assert "values (pixel - (127.5, 127.5, 127.5)) / 127.5, which is -1 to 1" in text
    assert "stretched, bicubic; NCHW" in text and "normalization: option" in text
    found = run("image", "--model", model, photos[0])
    assert found.exit_code == 3 and "--normalization" in found.stderr
    text = run("info", model).stdout
    assert "lacking" in text and "--labels FILE" in text


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--mean", "0.485,0.456,0.406", "--std", "0.229,0.224,0.225"), 2, "0 to 255"),
        (("--mean", "1,2"), 2, "one number or three"),
        (("--mean", "a"), 2, "one number or three"),
        (("--mean", "127.5"), 2, "without std"),
        (("--normalization", "tf"), 2, "imagenet"),
        (("--input-size", "224"), 2, "224x224"),
        (("--labels", "none.txt"), 2, "no such file of labels"),
        (("--labels", "{folder}/m.onnx", "--normalization", "unit"), 3, "m.onnx"),
        (("--labels", "{folder}/few.txt", "--normalization", "unit"), 3, "3 labels.*4 scores"),
        (("--labels", "{folder}/few.txt", "--mean", "127.5"), 2, "without std"),
    ],
)
def test_wrong_options(model: Path, arguments: tuple, code: int, said: str) -> None:
    (model.parent / "few.txt").write_text("a\nb\nc\n")
    filled = [argument.format(folder=model.parent) for argument in arguments]
    for command in (("image", "--model", model, __file__), ("info", model)):
        result = run(*command, *filled)
        assert result.exit_code == code, result.output
        assert "Traceback" not in result.stderr
        assert re.search(said, result.stderr.replace("\n", " "))


@pytest.mark.parametrize("name", ["m.onnx.yaml", "m.yaml", "m.onnx.yml", "m.json"])
def test_file_beside(model: Path, tmp_path: Path, name: str) -> None:
    data = {
        "labels": list(LABELS),
        "mean": [127.5, 127.5, 127.5],
        "std": 127.5,
        "input-size": "8x8",
    }
    (model.parent / name).write_text(json.dumps(data))  # JSON is YAML
    photos = save_photos(tmp_path / "photos")
    assert labels_of(run("image", "--model", model, *photos, "--json")) == list(PHOTOS)
    report = json.loads(run("info", model, "--json").stdout)
    assert report["sources"]["labels"] == report["sources"]["normalization"] == name


def test_yaml_as_people_write_it(model: Path, tmp_path: Path) -> None:
    write_labels(model.parent)
    (model.parent / "m.yaml").write_text(
        "# from the model's page\n"
        "labels: labels.txt   # beside this file\n"
        "normalization: symmetric\n"
        "channel_order: rgb\n"
        "output-kind:\n"
    )
    photos = save_photos(tmp_path / "photos")
    assert labels_of(run("image", "--model", model, *photos, "--json")) == list(PHOTOS)
    # Options win: as 0 to 1, nothing is dark.
    unit = run("image", "--model", model, photos[0], "--normalization", "unit", "--json")
    assert labels_of(unit) == ["red"]
    (model.parent / "m.onnx.yaml").write_text("labels: [a, b, c, d]\nnormalization: symmetric\n")
    assert labels_of(run("image", "--model", model, photos[0], "--json")) == ["a"]


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        ("normalisation: unit\n", 2, "Did you mean normalization?"),
        ("nc: 80\n", 2, "rename it"),
        ("labels: none.txt\n", 2, "no such file of labels"),
        ("labels: [yes, no]\n", 2, "in quotes"),
        ("mean: [1, 2]\nstd: 1\n", 2, "one number or three"),
        ("mean: 0.5\nstd: 0.5\n", 2, "0 to 255"),
        ("mean: [1, [2], 3]\nstd: 1\n", 2, "one number or three"),
        ("input-size: [8, 8, 3]\n", 2, "WIDTHxHEIGHT"),
        ("fit: 3\n", 2, "expected a word"),
        ("layout: HWC\n", 2, "NHWC, NCHW"),
        ("- a list\n", 3, "expected keys and values"),
        ("", 3, "expected keys and values"),
        ("a: [\n", 3, "no valid YAML"),
        ("a: !!python/object/apply:os.system [true]\n", 3, "no valid YAML"),
        ("\x00", 3, "no valid YAML"),
    ],
)
def test_file_beside_that_cannot_be_right(model: Path, text: str, code: int, said: str) -> None:
    (model.parent / "m.yaml").write_text(text)
    result = run("image", "--model", model, __file__)
    assert result.exit_code == code, result.output
    assert said in result.stderr and "m.yaml" in result.stderr and "Traceback" not in result.stderr


def test_nearest_file_counts(tmp_path: Path) -> None:
    model = tmp_path / "m.v2.tflite"
    assert find_beside(model) is None
    for name in ("m.v2.json", "m.v2.yaml", "m.v2.tflite.json", "m.v2.tflite.yaml"):
        (tmp_path / name).write_text("{}")
        found = find_beside(model)
        assert found is not None and found.name == name


def test_without_pyyaml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)
    (tmp_path / "m.yaml").write_text("fit: pad\n")
    with pytest.raises(MissingComponent, match="pip install pyyaml"):
        read_beside(tmp_path / "m.yaml")
    (tmp_path / "m.json").write_text('{"fit": "pad"}')
    assert read_beside(tmp_path / "m.json").fit == "pad"
    (tmp_path / "m.json").write_text('{"fit": ')
    with pytest.raises(ModelError, match="not valid"):
        read_beside(tmp_path / "m.json")


def test_numbers_and_sizes() -> None:
    assert parse_numbers("1, 2,3") == parse_numbers([1, 2, 3.0]) == (1, 2, 3)
    assert parse_numbers(127.5) == parse_numbers("127.5") == (127.5,)
    assert parse_size("320X240") == parse_size([320, 240]) == (320, 240)
    for wrong in ("", None, True, {}, "1,2", [1, True, 3]):
        with pytest.raises(ValueError, match="expected"):
            parse_numbers(wrong)
    for wrong in ("", 224, "8x", [8], ["a", "b"], None, "8x8x3"):
        with pytest.raises(ValueError, match="expected"):
            parse_size(wrong)


@pytest.mark.parametrize("form", ["tflite", "onnx", "bundle", "run"])
def test_model_that_describes_itself_knows_best(
    color_models: ColorModels, tmp_path: Path, form: str
) -> None:
    """Its options may repeat the description, and contradict it in nothing."""
    photo, model = paint(tmp_path / "red.png", (255, 0, 0)), getattr(color_models, form)
    names = tmp_path / "names.txt"
    names.write_text("red\ngreen\nblue\n\n")
    same = ("--labels", names, "--normalization", "raw", "--fit", "crop", "--input-size", "32x32",
            "--layout", "NHWC", "--output-kind", "probabilities")  # fmt: skip
    assert labels_of(run("image", "--model", model, photo, *same, "--json")) == ["red"]
    names.write_text("rot\ngruen\nblau\n")
    for other in (
        ("--labels", names), ("--normalization", "unit"), ("--fit", "pad"), ("--kernel", "bicubic"),
        ("--input-size", "64x64"), ("--channel-order", "BGR"), ("--output-kind", "logits"),
        ("--layout", "NCHW"), ("--mean", "1", "--std", "1"),
    ):  # fmt: skip
        for command in (("image", "--model", model, photo), ("info", model)):
            result = run(*command, *other)
            assert result.exit_code == 2, result.output
            assert "contradicts the description" in result.stderr


def test_file_beside_a_model_that_describes_itself(
    color_models: ColorModels, tmp_path: Path
) -> None:
    photo, model = paint(tmp_path / "red.png", (255, 0, 0)), tmp_path / "m.tflite"
    shutil.copy(color_models.tflite, model)
    (tmp_path / "m.yaml").write_text("fit: crop\n")
    assert labels_of(run("image", "--model", model, photo, "--json")) == ["red"]
    (tmp_path / "m.yaml").write_text("fit: pad\n")
    result = run("image", "--model", model, photo)
    assert result.exit_code == 2 and "m.yaml: fit pad contradicts" in result.stderr


@pytest.mark.parametrize("form", ["run", "saved_model", "tflite"])
def test_gradcam_takes_them_too(color_models: ColorModels, tmp_path: Path, form: str) -> None:
    photo, model = paint(tmp_path / "red.png", (255, 0, 0)), getattr(color_models, form)
    command = ("gradcam", "--model", model, photo, "--out", tmp_path / "why.png")
    result = run(*command, "--normalization", "unit")
    assert result.exit_code == 2 and "contradicts the description" in result.stderr
    assert not (tmp_path / "why.png").exists()
    assert run(*command, "--normalization", "raw").exit_code == 0
