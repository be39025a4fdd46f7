"""The whole road with the installed commands, on generated photos, as a user types it."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image, ImageChops

SCRIPTS = Path(sysconfig.get_path("scripts"))
FORMATS = "saved_model,tflite-fp32,tflite-int8,onnx-fp32"


def run(command: str, *arguments: object, code: int = 0) -> str:
    """Run an installed command; gives its standard output."""
    done = subprocess.run(
        [SCRIPTS / command, *map(str, arguments)], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == code, f"{command} {arguments}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def road(tmp_path_factory: pytest.TempPathFactory, make_photos: Callable[..., Path]) -> Path:
    """photos/ -> data/ -> run/ -> bundle/, made once."""
    root = tmp_path_factory.mktemp("road")
    make_photos(root / "photos", count=20)
    run("edge-train", "split", root / "photos", root / "data", "--ratios", "0.6,0.2,0.2")
    run(
        "edge-train", "fit", root / "data", "--out", root / "run", "--weights", "none",
        "--backbone", "mobilenetv2", "--image-size", 32, "--batch-size", 8,
        "--head-epochs", 0, "--finetune-epochs", 0, "--set", "full.epochs=2",
    )  # fmt: skip
    # Two epochs leave probabilities anywhere; whether int8 is good is no question here.
    run("edge-export", "bundle", root / "run", "--out", root / "bundle", "--formats", FORMATS)
    return root


def test_run_directory(road: Path) -> None:
    names = json.loads((road / "run" / "class_names.json").read_text())
    assert names == ["blue dots", "green", "red stripes"]
    metrics = json.loads((road / "run" / "metrics.json").read_text())
    for part in ("val", "test"):
        assert metrics[part]["n"] == 12 and 0 <= metrics[part]["accuracy"] <= 1
        assert set(metrics[part]["per_class"]) == set(names)
    with open(road / "run" / "split.csv", newline="") as stream:
        assert len(list(csv.DictReader(stream))) == 60
    with Image.open(road / "run" / "training_history.png") as picture:
        assert picture.width > 400


def test_evaluate_repeats_the_metrics(road: Path) -> None:
    found = json.loads(
        run("edge-train", "evaluate", road / "run", road / "data" / "test", "--json")
    )
    stored = json.loads((road / "run" / "metrics.json").read_text())["test"]
    assert found["n"] == stored["n"] and found["accuracy"] == stored["accuracy"]


def test_bundle(road: Path) -> None:
    parity = json.loads((road / "bundle" / "parity.json").read_text())
    assert [row["format"] for row in parity["artifacts"]] == FORMATS.split(",")
    for row in parity["artifacts"]:
        assert row["passed"] or row["format"] == "tflite-int8"
        assert (road / "bundle" / row["file"]).exists()
        if row["format"] != "tflite-int8":
            assert row["max_abs_diff"] < 1e-5  # float32 rounding of a small network


@pytest.mark.parametrize("model", ["tflite-fp32", "onnx-fp32", "saved_model", "run"])
def test_answers_are_those_of_the_metrics(road: Path, model: str) -> None:
    """Counted from the command's output, the accuracy is the one in metrics.json, to the photo."""
    chosen = ["--model", road / "run"]
    if model != "run":
        chosen = ["--model", road / "bundle", "--format", model]
    output = run("edge-classify", "image", *chosen, road / "data" / "test", "--json")
    answers = [json.loads(line) for line in output.splitlines()]
    right = sum(answer["label"] == Path(answer["path"]).parent.name for answer in answers)
    stored = json.loads((road / "run" / "metrics.json").read_text())["test"]
    assert len(answers) == stored["n"] and right / len(answers) == stored["accuracy"]


def test_single_files_explain_themselves(road: Path, tmp_path: Path) -> None:
    """A file moved away from its bundle keeps labels and preprocessing."""
    photo = next((road / "data" / "test" / "green").iterdir())
    labels = set()
    for name in ("model-tflite-fp32.tflite", "model-onnx-fp32.onnx"):
        moved = tmp_path / name
        moved.write_bytes((road / "bundle" / name).read_bytes())
        labels.add(
            json.loads(run("edge-classify", "image", "--model", moved, photo, "--json"))["label"]
        )
    assert len(labels) == 1


def test_gradcam(road: Path, tmp_path: Path) -> None:
    photo = next((road / "data" / "test" / "red stripes").iterdir())
    maps = []
    for number, model in enumerate((road / "run", road / "bundle" / "model-saved_model")):
        out = tmp_path / f"{number}.png"
        run("edge-classify", "gradcam", "--model", model, photo, "--out", out, "--class", "green")
        with Image.open(out) as picture:
            assert picture.width == 320  # of small photos the legend is wider
            maps.append(picture.crop((0, 0, 160, 160)))  # not the legend, which names the model
    difference = ImageChops.difference(*maps).getextrema()
    assert max(high for _, high in difference) <= 4, (
        "the signature gives the map of the Keras model"
    )


def test_stream(road: Path, tmp_path: Path) -> None:
    import cv2
    import numpy as np

    video = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(video), cv2.VideoWriter_fourcc(*"MJPG"), 10, (64, 48))
    for _ in range(5):
        writer.write(np.full((48, 64, 3), (60, 190, 50), np.uint8))
    writer.release()
    output = run("edge-classify", "stream", "--model", road / "bundle", "--source", video, "--json")
    assert [json.loads(line)["frame"] for line in output.splitlines()] == list(range(5))


def test_benchmark(road: Path, tmp_path: Path) -> None:
    out = tmp_path / "bench.json"
    output = run(
        "edge-bench", "run", road / "bundle", "--formats", "tflite-fp32,onnx-fp32",
        "--threads", 1, "--data", road / "data" / "test", "--min-seconds", 0.1, "--min-runs", 5,
        "--json", "--out", out,
    )  # fmt: skip
    report = json.loads(output)
    assert report == json.loads(out.read_text())
    stored = json.loads((road / "run" / "metrics.json").read_text())["test"]
    formats = {row["artifact"]["format"] for row in report["rows"]}
    assert formats == {"tflite-fp32", "onnx-fp32"}
    for row in report["rows"]:
        assert row["accuracy"]["accuracy"] == stored["accuracy"]


def test_second_time_needs_overwrite(road: Path) -> None:
    """Nothing that exists is lost."""
    before = {file: os.stat(file).st_mtime_ns for file in (road / "run").rglob("*")}
    run("edge-train", "split", road / "photos", road / "data", code=2)
    run("edge-train", "fit", road / "data", "--out", road / "run", "--weights", "none", code=2)
    run("edge-export", "bundle", road / "run", "--out", road / "bundle", code=2)
    assert {file: os.stat(file).st_mtime_ns for file in (road / "run").rglob("*")} == before
    assert sorted(os.listdir(road)) == ["bundle", "data", "photos", "run"]
