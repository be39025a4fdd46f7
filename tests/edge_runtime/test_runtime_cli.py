"""The commands as a user types them: answers, messages, exit codes, pure JSON."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result
from color_model import COLORS, ColorModels, edit_manifest, paint
from PIL import Image

from edge_runtime.cli import cli


def run(*arguments: object) -> Result:
    """Run edge-classify in this process."""
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Photos of three colours, one of them in a sub-folder."""
    folder = tmp_path / "photos"
    paint(folder / "b.png", COLORS["green"])
    paint(folder / "a.jpg", COLORS["red"])
    paint(folder / "deep" / "c.bmp", COLORS["blue"])
    (folder / ".hidden.png").write_text("no photo")
    (folder / "notes.txt").write_text("no photo")
    return folder


def test_one_line_a_photo(color_models: ColorModels, photos: Path) -> None:
    result = run("image", "--model", color_models.tflite, photos, photos / "b.png", "--top-k", 1)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.splitlines() == [
        f"{photos}/a.jpg: red 1.000",
        f"{photos}/b.png: green 1.000",
        f"{photos}/deep/c.bmp: blue 1.000",
        f"{photos}/b.png: green 1.000",
    ]


@pytest.mark.parametrize("form", ["tflite", "onnx", "bundle", "saved_model", "run"])
def test_json_of_every_form(color_models: ColorModels, photos: Path, form: str) -> None:
    result = run("image", "--model", getattr(color_models, form), photos, "--json")
    assert result.exit_code == 0, result.stderr
    answers = [json.loads(line) for line in result.stdout.splitlines()]
    assert [answer["label"] for answer in answers] == ["red", "green", "blue"]
    for answer in answers:
        assert set(answer) == {
            "path", "label", "index", "score", "calibrated_score", "unknown", "top", "ms", "error",
        }  # fmt: skip
        assert [set(entry) for entry in answer["top"]] == [{"label", "index", "score"}] * 3
        assert set(answer["ms"]) == {"decode", "infer", "total"}
        assert answer["top"][0] == {key: answer[key] for key in ("label", "index", "score")}


@pytest.mark.parametrize("fmt", ["tflite-fp32", "tflite-int8", "onnx-fp32"])
def test_format(color_models: ColorModels, photos: Path, fmt: str) -> None:
    result = run("image", "--model", color_models.bundle, photos / "a.jpg", "--format", fmt)
    assert result.exit_code == 0 and ": red " in result.stdout


def test_bad_photos_do_not_stop_the_others(color_models: ColorModels, photos: Path) -> None:
    (photos / "text.jpg").write_text("not a photo")
    whole = (photos / "a.jpg").read_bytes()
    (photos / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    result = run("image", "--model", color_models.tflite, photos, "--json")
    assert result.exit_code == 1
    answers = {Path(a["path"]).name: a for a in map(json.loads, result.stdout.splitlines())}
    assert len(answers) == 5 and answers["b.png"]["label"] == "green"
    for name, said in (("text.jpg", "not an image"), ("cut.jpg", "damaged")):
        bad = answers[name]
        assert (bad["label"], bad["index"], bad["score"]) == (None, None, None)
        assert said in bad["error"] and name in bad["error"]
    assert "2 of 5 photos" in result.stderr


def test_all_photos_bad_is_one_too(color_models: ColorModels, tmp_path: Path) -> None:
    (tmp_path / "x.jpg").write_text("no photo")
    result = run("image", "--model", color_models.tflite, tmp_path / "x.jpg")
    assert result.exit_code == 1
    assert result.stdout.startswith(f"{tmp_path}/x.jpg: error: not an image")


def test_gif_named_png_is_answered_with_a_warning(
    color_models: ColorModels, tmp_path: Path
) -> None:
    Image.new("RGB", (20, 20), COLORS["blue"]).save(tmp_path / "movie.png", format="GIF")
    result = run("image", "--model", color_models.tflite, tmp_path / "movie.png", "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["label"] == "blue"
    assert "warning:" in result.stderr and "movie.png" in result.stderr


def test_label_beyond_ascii_and_name_beyond_utf8(color_models: ColorModels, tmp_path: Path) -> None:
    """A file name that is no UTF-8 keeps its bytes as surrogate escapes."""
    odd = os.fsencode(tmp_path) + b"/caf\xe9.png"
    Image.new("RGB", (8, 8), COLORS["red"]).save(tmp_path / "plain.png")
    os.rename(os.fsencode(tmp_path / "plain.png"), odd)
    for flags in ([], ["--json"]):
        command = [sys.executable, "-m", "edge_runtime.cli", "image", *flags]
        command += ["--model", color_models.tflite, odd]
        done = subprocess.run(command, capture_output=True)
        assert done.returncode == 0, done.stderr
        if flags:
            assert os.fsencode(json.loads(done.stdout)["path"]) == odd


@pytest.mark.parametrize(
    ("arguments", "said", "code"),
    [
        (["{model}", "{tmp}/none.jpg"], "none.jpg: no such file", 2),
        (["{model}", "{tmp}/empty"], "no photo in this folder", 2),
        (["{tmp}/none.tflite", "{photo}"], "no such model", 2),
        (["{bundle}/manifest.json", "{photo}"], "not a model", 3),
        (["{model}"], "Missing argument", 2),
        (["{model}", "{photo}", "--format", "tflite-fp32"], "--format chooses from a bundle", 2),
        (["{bundle}", "{photo}", "--format", "tflite-int9"], "Did you mean tflite-int8", 2),
        (["{bundle}", "{photo}", "--format", "saved_model"], "has no saved_model", 2),
        (["{model}", "{photo}", "--top-k", "0"], "--top-k", 2),
        (["{model}", "{photo}", "--frobnicate"], "--frobnicate", 2),
        (["{tmp}/empty", "{photo}"], "not a model", 3),
        (["{photo}", "{photo}"], "not a model", 3),
    ],
)
def test_wrong_use(
    color_models: ColorModels,
    bundle: Path,
    tmp_path: Path,
    arguments: list[str],
    said: str,
    code: int,
) -> None:
    (tmp_path / "empty").mkdir()
    places = {
        "tmp": tmp_path,
        "model": color_models.tflite,
        "bundle": bundle,
        "photo": paint(tmp_path / "p.png", (255, 0, 0)),
    }
    result = run("image", "--model", *(argument.format(**places) for argument in arguments))
    assert (result.exit_code, result.stdout) == (code, ""), result.output
    assert said in result.stderr and "Traceback" not in result.stderr


def test_lying_bundle(bundle: Path, photos: Path) -> None:
    edit_manifest(bundle, artifacts=lambda found: [found[0] | {"file": "../outside"}])
    result = run("image", "--model", bundle, photos)
    assert (result.exit_code, result.stdout) == (3, "")
    assert "leaves the bundle's folder" in result.stderr


def test_missing_interpreter_names_the_extra(
    color_models: ColorModels, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    result = run("image", "--model", color_models.onnx, photos)
    assert result.exit_code == 5 and "edge-classify[onnx]" in result.stderr


def test_unexpected_error_has_no_traceback_unless_verbose(
    color_models: ColorModels, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from edge_runtime.classifier import Classifier

    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("boom")

    monkeypatch.setattr(Classifier, "open", fail)
    arguments = ("image", "--model", color_models.tflite, photos)
    quiet, verbose = run(*arguments), run(*arguments, "--verbose")
    assert quiet.exit_code == verbose.exit_code == 1
    assert "boom" in quiet.stderr and "Traceback" not in quiet.stderr
    assert "Traceback" in verbose.stderr


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (KeyboardInterrupt(), 130),
        (MemoryError(), 6),
        (OSError(28, "No space left on device", "/x"), 6),
        (PermissionError(13, "Permission denied", "/x"), 6),
    ],
)
def test_exit_codes_of_the_system(
    color_models: ColorModels,
    photos: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
    code: int,
) -> None:
    from edge_runtime.classifier import Classifier

    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(Classifier, "open", fail)
    result = run("image", "--model", color_models.tflite, photos)
    assert result.exit_code == code and "Traceback" not in result.stderr


def test_reader_that_stops_reading(color_models: ColorModels, photos: Path) -> None:
    """`edge-classify ... | head -1` ends quietly."""
    command = f"{sys.executable} -m edge_runtime.cli image --model {color_models.tflite} {photos}"
    pipe = f"{command} {photos} {photos} | head -n 1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", pipe], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("\n") == 1


@pytest.mark.parametrize("name", sorted(cli.commands))
def test_every_command_has_help_and_an_example(name: str) -> None:
    result = run(name, "--help")
    assert result.exit_code == 0
    assert cli.commands[name].help and f"edge-classify {name} " in result.stdout
    for parameter in cli.commands[name].params:
        assert isinstance(parameter, click.Argument) or parameter.help, parameter.name


def test_version() -> None:
    from edge_runtime import __version__

    assert __version__ in run("--version").stdout
