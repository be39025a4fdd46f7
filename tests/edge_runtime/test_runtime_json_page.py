"""Every key that a command prints with --json is on the page docs/json.md."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from color_model import ColorModels, paint
from golden_photos import write_golden
from json_page import documented, keys_of

from edge_runtime.cli import cli

#: Objects whose keys are names of packages, types, parts, figures.
FREE = frozenset({
    "versions", "weights", "activations", "sources", "about", "opsets", "parity", "recipe",
    "source", "calibration", "output_drops", "output_failures", "output_queues",
})  # fmt: skip


def objects(*arguments: object) -> list[dict[str, Any]]:
    result = CliRunner().invoke(cli, [*map(str, arguments), "--json"])
    assert result.stdout, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_image_gradcam_and_undo(color_models: ColorModels, tmp_path: Path) -> None:
    photo = paint(tmp_path / "photos/red.png", (255, 0, 0))
    (tmp_path / "photos/bad.jpg").write_text("no photo")
    model = ("--model", color_models.bundle)
    outputs = ("--copy-to", tmp_path / "sorted", "--heatmap", tmp_path / "why")
    rows = objects("image", *model, tmp_path / "photos", *outputs)
    assert len(rows) == 2 and keys_of(rows) <= documented("image")
    rows = objects("gradcam", *model, photo, tmp_path / "photos/bad.jpg", "--out", tmp_path / "g")
    assert len(rows) == 2 and keys_of(rows) <= documented("gradcam")
    os.truncate(tmp_path / "sorted/red/red.png", 10)
    rows = objects("undo", tmp_path / "sorted")
    assert rows[0]["left"] and keys_of(rows) <= documented("undo")


@pytest.mark.parametrize("form", ["bundle", "onnx", "saved_model", "run"])
def test_info(color_models: ColorModels, form: str) -> None:
    found = objects("info", getattr(color_models, form))
    assert keys_of(found, FREE) <= documented("info")


def test_selftest(bundle: Path) -> None:
    write_golden(bundle, {"tflite-fp32": 1e-4, "tflite-int8": 1e-2, "onnx-fp32": 1e-4})
    found = objects("selftest", bundle, "--format", "tflite-fp32")
    assert keys_of(found, FREE) <= documented("selftest")


def test_stream(color_models: ColorModels, tmp_path: Path) -> None:
    """Frames, events of a run, and the state file that it leaves."""
    state = tmp_path / "state.json"
    command = ("--source", "test:red", "--max-frames", 5, "--print", "all", "--state", state)
    told = objects("stream", "--model", color_models.bundle, *command)
    assert {line.get("event") for line in told} == {None, "source", "label", "stop"}
    assert keys_of(told, FREE) <= documented("stream")
    assert keys_of(json.loads(state.read_text()), FREE) <= documented("--state")


def test_events_of_a_source_that_is_lost_and_of_a_reload() -> None:
    """Which the run above does not meet; each key is written where the event is made."""
    written = documented("stream")
    folder = Path(__file__).parents[2] / "edge_runtime/stream"
    reload = (folder / "reload.py").read_text() + (folder / "loop.py").read_text()
    for key in ("ok", "error", "seconds", "format", "classes", "same_classes", "unknown_threshold"):
        assert f'"{key}"' in reload and key in written
    losses = (folder / "losses.py").read_text()
    for key in ("state", "reason", "attempt", "retry_in_s"):
        assert f'"{key}"' in losses and key in written
