"""``edge-classify image``: threshold, region, format, batch and heat maps."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import foreign_models
import pytest
from click.testing import CliRunner, Result
from color_model import COLORS, INFO, ColorModels, edit_manifest, paint
from PIL import Image

from edge_runtime.cli import cli
from edge_runtime.errors import UsageError
from edge_runtime.manifest import Artifact, Manifest, artifact_name
from edge_runtime.photos.roi import parse_roi


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def answers(result: Result) -> list[dict]:
    assert result.exit_code == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.fixture
def dim(tmp_path: Path) -> Path:
    """Logits 1, 0, 0 above the rest: red with a probability of 0.576."""
    return paint(tmp_path / "dim.png", (136, 120, 120))


@pytest.mark.parametrize(
    ("threshold", "temperature", "unknown"),
    [
        (None, None, None),
        (0.5, None, False),
        (0.6, None, True),
        (0.5, 2.0, True),
        (0.4, 2.0, False),
    ],
)
def test_threshold(
    bundle: Path,
    dim: Path,
    threshold: float | None,
    temperature: float | None,
    unknown: bool | None,
) -> None:
    """It counts the calibrated score (0.452 at a temperature of 2) where there is one."""
    edit_manifest(bundle, output={"kind": "probabilities", "temperature": temperature})
    options = [] if threshold is None else ["--threshold", threshold]
    (answer,) = answers(run("image", "--model", bundle, dim, "--json", *options))
    assert answer["unknown"] is unknown and answer["score"] == pytest.approx(0.576, abs=2e-3)


def test_threshold_of_the_bundle_and_in_its_place(bundle: Path, dim: Path) -> None:
    edit_manifest(bundle, output={"kind": "probabilities", "unknown_threshold": 0.9})
    (answer,) = answers(run("image", "--model", bundle, dim, "--json"))
    assert answer["unknown"] is True
    (answer,) = answers(run("image", "--model", bundle, dim, "--json", "--threshold", 0))
    assert answer["unknown"] is False


@pytest.mark.parametrize("value", ["nan", "1.5", "-1"])
def test_wrong_threshold(color_models: ColorModels, dim: Path, value: str) -> None:
    result = run("image", "--model", color_models.tflite, dim, "--threshold", value)
    assert (result.exit_code, result.stdout) == (2, "") and "threshold" in result.stderr


def test_roi(color_models: ColorModels, tmp_path: Path) -> None:
    """A red photo with a blue quarter: the region decides."""
    picture = Image.new("RGB", (80, 60), COLORS["red"])
    picture.paste(COLORS["blue"], (40, 0, 80, 30))
    photo = tmp_path / "p.png"
    picture.save(photo)
    for roi, label in (
        ("0.5,0,1,0.5", "blue"),
        ("50%, 0%, 100%, 50%", "blue"),
        ("0,0,.5,1", "red"),
    ):
        (answer,) = answers(
            run("image", "--model", color_models.tflite, photo, "--roi", roi, "--json")
        )
        assert answer["label"] == label and answer["score"] > 0.99


@pytest.mark.parametrize(
    "roi",
    ["1,2,3", "a,0,1,1", "0.5,0,0.5,1", "0,0,2,1", "-0.1,0,1,1", "0,0,nan,1", "10,10,50,50px"],
)
def test_wrong_roi(color_models: ColorModels, dim: Path, roi: str) -> None:
    result = run("image", "--model", color_models.tflite, dim, f"--roi={roi}")
    assert (result.exit_code, result.stdout) == (2, "") and "--roi" in result.stderr
    with pytest.raises(UsageError):
        parse_roi(roi)


def _manifest(default: str, quantization: str = "full integer int8", **passed: bool) -> Manifest:
    artifacts = []
    for name, good in passed.items():
        fmt = name.replace("_", "-")
        scheme = quantization if fmt == "tflite-int8" else "none"
        artifacts.append(Artifact(fmt, artifact_name(fmt), 1, "0" * 64, scheme, passed=good))
    return Manifest(INFO, tuple(artifacts), default)


@pytest.mark.parametrize(
    ("manifest", "fastest"),
    [
        (_manifest("tflite-fp32", tflite_fp32=True, tflite_int8=True), "tflite-int8"),
        (_manifest("tflite-fp32", tflite_fp32=True, tflite_int8=False), "tflite-fp32"),
        (
            _manifest("tflite-fp32", "float16 weights, float32 arithmetic", tflite_fp32=True,
                      tflite_int8=True),
            "tflite-fp32",
        ),
        # A verdict that was recorded counts before the usual order, unless its file failed.
        (_manifest("onnx-fp32", tflite_fp32=True, onnx_fp32=True, tflite_int8=True), "onnx-fp32"),
        (_manifest("onnx-fp32", tflite_fp32=True, onnx_fp32=False, tflite_int8=True), "tflite-int8"),
        # Without tflite-fp32 the exporter had to choose another default; nobody measured.
        (_manifest("onnx-fp32", onnx_fp32=True, tflite_int8=True), "tflite-int8"),
    ],
)  # fmt: skip
def test_fastest(manifest: Manifest, fastest: str) -> None:
    assert manifest.artifact("auto").format == fastest
    assert replace(manifest, default=manifest.artifacts[0].format).artifact().passed in (
        True,
        False,
    )


def test_nothing_passed() -> None:
    with pytest.raises(UsageError, match="has no choice"):
        _manifest("tflite-fp32", tflite_fp32=False).artifact("auto")


def test_auto_in_every_command(color_models: ColorModels, dim: Path, tmp_path: Path) -> None:
    info = run("info", color_models.bundle, "--format", "auto", "--json")
    assert json.loads(info.stdout)["format"] == "tflite-int8"
    out = tmp_path / "why.png"
    for model in (color_models.bundle, color_models.tflite, color_models.onnx):
        (answer,) = answers(run("image", "--model", model, dim, "--format", "auto", "--json"))
        assert answer["label"] == "red"
    drawn = run("gradcam", "--model", color_models.bundle, dim, "--out", out, "--format", "auto")
    assert drawn.exit_code == 0 and out.is_file(), drawn.stderr


def test_batch_and_workers(color_models: ColorModels, dim: Path) -> None:
    """The same answers, however many photos share a run or are decoded at once."""
    photos = [dim, paint(dim.parent / "b.png", COLORS["blue"]), dim]
    plain = answers(run("image", "--model", color_models.tflite, *photos, "--json"))
    assert [answer["label"] for answer in plain] == ["red", "blue", "red"]
    for options in (["--workers", 0], ["--workers", 3], ["--batch", 2], ["--batch", 9]):
        again = answers(run("image", "--model", color_models.tflite, *photos, "--json", *options))
        assert [a["top"] for a in again] == [a["top"] for a in plain]


def test_heatmaps(color_models: ColorModels, tmp_path: Path) -> None:
    """One picture a photo, named by its place below the folder; the results say which."""
    inbox, out = tmp_path / "in", tmp_path / "heat"
    for name in ("a.png", "deep/a.png"):
        paint(inbox / name, COLORS["red"], (300, 200))
    (inbox / "bad.png").write_text("no photo")
    result = run("image", "--model", color_models.tflite, inbox, inbox / "a.png", "--heatmap", out,
                 "--json")  # fmt: skip
    assert result.exit_code == 1
    lines = list(map(json.loads, result.stdout.splitlines()))
    places = [None if line["heatmap"] is None else Path(line["heatmap"]) for line in lines]
    assert places == [
        out / "a.png.heatmap.jpg", None, out / "deep/a.png.heatmap.jpg",
        out / "a.png.heatmap-2.jpg",
    ]  # fmt: skip
    for file in filter(None, places):
        picture = Image.open(file)
        assert picture.width >= 300 and picture.height > 200
        # An even map is hot all over: the colours are no longer those of the photo.
        assert picture.getpixel((150, 100)) != pytest.approx(COLORS["red"], abs=30)
    before = (out / "a.png.heatmap.jpg").stat().st_mtime_ns
    again = run("image", "--model", color_models.tflite, inbox / "a.png", "--heatmap", out)
    assert again.exit_code == 2 and "--overwrite" in again.stderr
    assert (out / "a.png.heatmap.jpg").stat().st_mtime_ns == before
    replaced = run(
        "image", "--model", color_models.tflite, inbox / "a.png", "--heatmap", out, "--overwrite"
    )
    assert replaced.exit_code == 0
    assert (out / "a.png.heatmap.jpg").stat().st_mtime_ns > before


def test_heat_maps_of_a_model_without(color_models: ColorModels, dim: Path, tmp_path: Path) -> None:
    """A network that ends in a maximum holds no map; that is told before anything is written."""
    import onnx

    model = onnx.load(foreign_models.onnx(tmp_path / "max.onnx"))
    pooling = next(n for n in model.graph.node if n.op_type == "GlobalAveragePool")
    pooling.op_type = "GlobalMaxPool"
    onnx.save(model, tmp_path / "max.onnx")
    (tmp_path / "labels.txt").write_text("a\nb\nc\nd\n")
    result = run("image", "--model", tmp_path / "max.onnx", dim, "--labels",
                 tmp_path / "labels.txt", "--normalization", "raw", "--heatmap",
                 tmp_path / "heat")  # fmt: skip
    assert result.exit_code == 3 and "heat map" in result.stderr
    assert not (tmp_path / "heat").exists()
    batch = run("image", "--model", color_models.tflite, dim, "--heatmap", tmp_path / "heat",
                "--batch", 2)  # fmt: skip
    assert batch.exit_code == 2 and "one photo at a time" in batch.stderr


def test_heat_map_of_a_photo_with_a_long_name(color_models: ColorModels, tmp_path: Path) -> None:
    """File systems allow 255 bytes, which the photo's own name may take up already."""
    photo = paint(tmp_path / "photos" / ("\u00e9" * 125 + ".png"), (255, 0, 0))
    for command in (("image", "--heatmap"), ("gradcam", "--out")):
        folder = tmp_path / command[0]
        arguments = [command[0], "--model", color_models.tflite, photo, command[1], folder]
        result = CliRunner().invoke(cli, [str(argument) for argument in arguments])
        assert result.exit_code == 0, result.output
        (file,) = folder.iterdir()
        assert file.name.startswith("\u00e9" * 100) and file.suffix == ".jpg"


def test_heat_map_and_move_together(color_models: ColorModels, tmp_path: Path) -> None:
    paint(tmp_path / "in/a.png", COLORS["red"])
    (answer,) = answers(
        run("image", "--model", color_models.tflite, tmp_path / "in", "--json",
            "--heatmap", tmp_path / "in/heat", "--move-to", tmp_path / "in/sorted")
    )  # fmt: skip
    assert os.path.isfile(answer["heatmap"]) and os.path.isfile(answer["sorted"])


def test_a_photo_that_vanishes(
    color_models: ColorModels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Named, then gone: an error line for it, answers for the others."""
    from edge_runtime.classifier import Classifier

    for name in ("a.png", "b.png"):
        paint(tmp_path / name, COLORS["red"])
    opened = Classifier.open

    def late(*arguments: object, **more: object) -> Classifier:
        (tmp_path / "a.png").unlink()
        return opened(*arguments, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(Classifier, "open", late)
    result = run("image", "--model", color_models.tflite, tmp_path, "--json")
    first, second = map(json.loads, result.stdout.splitlines())
    assert result.exit_code == 1 and "no such file" in first["error"] and second["label"] == "red"


@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
def test_what_is_no_file(color_models: ColorModels, tmp_path: Path, kind: str) -> None:
    """Neither waited for nor read without end."""
    odd = Path("/dev/zero") if kind == "device" else tmp_path / "x.jpg"
    if kind == "pipe":
        os.mkfifo(odd)
    elif kind == "folder":
        odd.mkdir()
        paint(odd / "a.png", COLORS["red"])  # a folder is searched, whatever its name
    result = run("image", "--model", color_models.tflite, odd, "--json")
    (answer,) = map(json.loads, result.stdout.splitlines())
    assert result.exit_code == (0 if kind == "folder" else 1)
    assert (answer["error"] is None) is (kind == "folder")
