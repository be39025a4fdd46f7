"""``--collect``: from frames to folders that edge-train reads."""

from __future__ import annotations

import errno
import json
import logging
import os
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from collecting import answered, jpeg, scene
from color_model import ColorModels, edit_manifest, paint
from PIL import Image
from test_runtime_collect_drift import add_features

from edge_runtime import Classifier
from edge_runtime.cli import cli
from edge_runtime.commands.stream_options.loop import LoopChoice
from edge_runtime.errors import SystemFailure, UsageError
from edge_runtime.stream.collect.collector import Collector, CollectSettings
from edge_runtime.stream.collect.store import INDEX
from edge_runtime.stream.results import Event
from edge_runtime.stream.status import Status

#: Two scores that are close, and two that are not.
CLOSE, CLEAR = (0.4, 0.35, 0.25), (0.9, 0.06, 0.04)


def collector(folder: Path, model: Path, live: bool = False, **settings: Any) -> Collector:
    chosen = CollectSettings(str(folder), **settings)
    return Collector(chosen, Classifier.open(model), Status("camera", str(model)), live)


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / INDEX).read_text().splitlines()]


def counts(output: Collector) -> dict[str, Any]:
    return output._status.snapshot()


def test_clear_answers_are_not_kept(color_models: ColorModels, tmp_path: Path) -> None:
    output = collector(tmp_path, color_models.bundle, every=0)
    for number in range(30):
        output.result(answered(jpeg(scene(number)), number=number, scores=CLEAR, state="red"))
    assert lines(tmp_path) == []


def test_close_answers_are_kept_under_their_guess(
    color_models: ColorModels, tmp_path: Path
) -> None:
    output = collector(tmp_path, color_models.bundle, every=0)
    output.result(answered(jpeg(scene(1)), scores=CLOSE, index=1, state="red", number=7))
    (line,) = lines(tmp_path)
    assert line["file"].startswith("green/")
    assert line["file"].endswith("_margin.jpg")
    expected = {
        "reason": "margin",
        "reasons": ["margin"],
        "label": "green",
        "index": 1,
        "score": 0.4,
        "margin": 0.05,
        "unknown": None,
        "steady": "red",
        "source": "camera",
        "frame": 7,
        "format": "tflite-fp32",
        "model": str(color_models.bundle),
    }
    assert expected.items() <= line.items()
    assert [top["label"] for top in line["top"]] == ["green", "blue", "red"]


def test_what_is_unknown_lies_apart(color_models: ColorModels, tmp_path: Path) -> None:
    output = collector(tmp_path, color_models.bundle, every=0)
    output.result(answered(jpeg(scene(1)), scores=CLEAR, calibrated=0.3, unknown=True))
    (line,) = lines(tmp_path)
    assert (line["file"].split("/")[0], line["label"]) == ("unknown", "red")


def test_the_limit_of_the_margin_is_an_option(color_models: ColorModels, tmp_path: Path) -> None:
    output = collector(tmp_path, color_models.bundle, every=0, margin=0.04)
    output.result(answered(jpeg(scene(1)), scores=CLOSE))
    assert lines(tmp_path) == []


def test_reasons_that_were_not_asked_for_do_not_count(
    color_models: ColorModels, tmp_path: Path
) -> None:
    output = collector(tmp_path, color_models.bundle, every=0, reasons=("flicker",))
    output.result(answered(jpeg(scene(1)), scores=CLOSE, unknown=True))
    assert lines(tmp_path) == []


def test_what_looks_the_same_is_kept_once_also_after_a_restart(
    color_models: ColorModels, tmp_path: Path
) -> None:
    for _ in range(2):
        output = collector(tmp_path, color_models.bundle, every=0)
        for quality in (90, 80, 70):
            output.result(answered(jpeg(scene(1), quality), scores=CLOSE))
    assert len(lines(tmp_path)) == 1
    assert counts(output)["collect_similar"] == 3  # of the second run


def test_seconds_of_a_video_count_and_not_those_of_the_clock(
    color_models: ColorModels, tmp_path: Path
) -> None:
    output = collector(tmp_path, color_models.bundle, every=2)
    for number in range(100):  # ten seconds of ten frames each, read in an instant
        frame = jpeg(scene(number))
        output.result(answered(frame, number=number, seconds=number / 10, scores=CLOSE))
    assert [line["seconds"] for line in lines(tmp_path)] == [0, 2, 4, 6, 8]


def test_a_live_source_goes_by_the_clock(color_models: ColorModels, tmp_path: Path) -> None:
    output = collector(tmp_path, color_models.bundle, live=True, every=3600)
    for number in range(5):
        frame = jpeg(scene(number))
        output.result(answered(frame, number=number, seconds=number * 1e5, scores=CLOSE))
    assert len(lines(tmp_path)) == 1


def test_drift_is_measured_once_a_second(bundle: Path, tmp_path: Path) -> None:
    """Trained on pure colours; grey scenes are far. The answers themselves are clear."""
    add_features(bundle)
    output = collector(tmp_path / "c", bundle, every=0)
    assert output._drift is not None
    looked = []
    distance = output._drift.distance
    output._drift.distance = lambda pixels: looked.append(1) or distance(pixels)  # type: ignore[method-assign, func-returns-value]
    for number in range(40):
        grey = np.repeat(scene(number).mean(axis=2, keepdims=True), 3, axis=2).astype(np.uint8)
        output.result(answered(jpeg(grey), number=number, seconds=number / 10, scores=CLEAR))
    assert len(looked) == 4
    kept = lines(tmp_path / "c")
    assert [line["reason"] for line in kept] == ["drift"] * 4
    assert all(line["distance"] > 0.1 for line in kept)


def test_a_bundle_that_is_near_has_no_drift(bundle: Path, tmp_path: Path) -> None:
    add_features(bundle)
    output = collector(tmp_path / "c", bundle, every=0)
    output.result(answered(np.full((40, 40, 3), (250, 4, 4), np.uint8), scores=CLEAR))
    assert lines(tmp_path / "c") == []


def test_what_is_not_looked_for_is_said(
    color_models: ColorModels, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "edge_runtime")
    collector(tmp_path / "a", color_models.tflite)
    assert "no unknown (the model has no threshold" in caplog.text
    assert "no drift (only a bundle" in caplog.text
    caplog.clear()
    collector(tmp_path / "b", color_models.tflite, reasons=("margin",))
    assert caplog.text == ""


def test_a_damaged_drift_entry_stops_nothing(
    bundle: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "edge_runtime")
    add_features(bundle)
    edit_manifest(bundle, training_features=lambda old: old | {"sha256": "0" * 64})
    output = collector(tmp_path / "c", bundle, every=0)
    assert "altered or damaged" in caplog.text
    output.result(answered(jpeg(scene(1)), scores=CLOSE))
    assert len(lines(tmp_path / "c")) == 1


def test_a_reloaded_model_is_followed(bundle: Path, tmp_path: Path) -> None:
    output = collector(tmp_path / "c", bundle, every=0)
    assert output._drift is None
    add_features(bundle)
    output.event(Event("reload", {"error": "bundle: damaged."}))
    assert output._drift is None
    output.event(Event("reload", {"error": None}))
    assert output._drift is not None


def test_a_reloaded_model_is_the_one_that_the_stream_opened(
    bundle: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Its format, which the bundle's new default decides, and its threshold, from an option."""
    caplog.set_level(logging.INFO, "edge_runtime")
    output = collector(tmp_path / "c", bundle, every=0, reasons=("unknown", "drift", "margin"))
    assert "no unknown" in caplog.text and output._drift is None
    caplog.clear()
    add_features(bundle, 0.3)
    edit_manifest(
        bundle,
        default="onnx-fp32",
        artifacts=lambda old: [entry for entry in old if entry["format"] != "tflite-fp32"],
        training_features=lambda old: old | {"thresholds": {"onnx-fp32": 0.3}},
    )
    new = LoopChoice({"threshold": 0.5}).apply_threshold(Classifier.open(bundle))
    output._classifier.become(new)
    output.event(Event("reload", {"ok": True, "format": "onnx-fp32"}))
    assert "no unknown" not in caplog.text and "no drift" not in caplog.text
    assert output._drift is not None and output._drift.threshold == 0.3
    output.result(answered(jpeg(scene(1)), scores=CLOSE))
    (line,) = lines(tmp_path / "c")
    assert line["format"] == "onnx-fp32"


def test_a_reloaded_file_may_have_other_labels(color_models: ColorModels, tmp_path: Path) -> None:
    """Nothing but its answers is known of a model that is no bundle."""
    output = collector(tmp_path, color_models.tflite, every=0)
    output.event(Event("reload", {"error": None}))
    labels = ("../pear", "fig")
    output.result(answered(jpeg(scene(1)), scores=(0.5, 0.5), labels=labels))
    (line,) = lines(tmp_path)
    assert (line["label"], line["file"].split("/")[0]) == ("../pear", "_._pear")


def test_one_class_a_frame_has_no_margin_which_is_said_once(
    color_models: ColorModels, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "edge_runtime")
    output = collector(tmp_path, color_models.bundle, every=0)
    for _ in range(2):
        output.result(answered(jpeg(scene(1)), scores=(0.4,)))
    assert caplog.text.count("--top-k") == 1
    assert lines(tmp_path) == []


def test_a_full_disk_is_survived(
    color_models: ColorModels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = collector(tmp_path, color_models.bundle, every=5)

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(SystemFailure):  # which the outlet counts and logs
            output.result(answered(jpeg(scene(1)), seconds=0.0, scores=CLOSE))
        output.result(answered(jpeg(scene(2)), seconds=1.0, scores=CLOSE))  # not tried so soon
    output.result(answered(jpeg(scene(3)), seconds=5.0, scores=CLOSE))
    assert [line["reason"] for line in lines(tmp_path)] == ["margin"]


def stream(*args: object) -> Any:
    return CliRunner().invoke(cli, ["stream", *map(str, args)])


def video(file: Path, frames: int = 40) -> Path:
    import cv2

    writer = cv2.VideoWriter(str(file), cv2.VideoWriter_fourcc(*"MJPG"), 10, (96, 96))
    for number in range(frames):
        writer.write(np.ascontiguousarray(scene(number)[..., ::-1]))
    writer.release()
    return file


def test_from_the_command_line_to_a_data_set(bundle: Path, tmp_path: Path) -> None:
    """What was collected, sorted as a person would, passes ``edge-train check`` and ``split``."""
    add_features(bundle)
    source, out = video(tmp_path / "v.avi"), tmp_path / "c"
    args = ["--model", bundle, "--source", source, "--collect", out, "--collect-every", 0]
    result = stream(*args, "--collect-margin", 1, "--json", "--print", "events")
    assert result.exit_code == 0, result.output
    kept = lines(out)
    assert {line["reason"] for line in kept} >= {"margin", "flicker"}
    assert len(kept) == len(list(out.rglob("*.jpg"))) > 20
    for line in kept:
        assert (out / line["file"]).is_file()
        assert line["file"].split("/")[0] == line["label"]

    from trainer.cli import cli as train

    # Three a class are what a split needs; random scenes need not give each class three.
    for seed in range(9):
        file = out / ("red", "green", "blue")[seed % 3] / f"more{seed}.jpg"
        file.parent.mkdir(exist_ok=True)
        Image.fromarray(scene(1000 + seed)).save(file)
    checked = CliRunner().invoke(train, ["check", str(out), "--json"])
    assert checked.exit_code == 0, checked.output
    parted = CliRunner().invoke(train, ["split", str(out), str(tmp_path / "parts")])
    assert parted.exit_code == 0, parted.output
    names = [path.name for path in (tmp_path / "parts").rglob("*.jpg")]
    assert Counter(names) == Counter(path.name for path in out.rglob("*.jpg"))


def test_without_the_option_nothing_of_it_is_loaded(bundle: Path, tmp_path: Path) -> None:
    from edge_runtime.commands.stream_options.collect import CollectChoice

    empty = CollectChoice(dict.fromkeys(("folder", "every", "reasons")))
    with Classifier.open(bundle) as classifier:
        assert empty.open(classifier, Status("s", "m"), True) == []


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--collect-every", "3"], "--collect-every: needs --collect DIR"),
        (["--collect-max-mb", "3"], "--collect-max-mb: needs --collect DIR"),
        (["--collect", "c", "--collect-reasons", "unknown,odd"], "no reason 'odd'"),
        (["--collect", "c", "--collect-max-mb", "0"], "--collect-max-mb"),
        (["--collect", "c", "--collect-every", "-1"], "--collect-every"),
    ],
)
def test_bad_options(
    color_models: ColorModels,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    args: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    result = stream("--model", color_models.bundle, "--source", "test:", *args)
    assert result.exit_code == 2
    assert message in result.output
    assert not (tmp_path / "c").exists()


def test_a_file_in_the_way(color_models: ColorModels, tmp_path: Path) -> None:
    file = paint(tmp_path / "a.png", (1, 2, 3))
    with pytest.raises(UsageError, match="--collect"):
        collector(file, color_models.bundle)
