"""TensorBoard and Weights & Biases: what is written, what is forgotten, what may fail."""

from __future__ import annotations

import importlib.util
import json
import logging
import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edge_runtime import rundir
from edge_runtime.errors import MissingComponent
from trainer.config.io import load_config
from trainer.config.schema import Config
from trainer.data.dataset import Sample
from trainer.data.pixels import Photos
from trainer.evaluation.predictions import Predictions, write_predictions
from trainer.report.plots import plot_confusion
from trainer.tracking import tensorboard_log, tracking
from trainer.tracking.answer_sheet import answer_sheet, choose_photos
from trainer.tracking.tensorboard_log import divide
from trainer.tracking.tracking import Tracking, start_tracking

NAMES = ("green", "red $tripes")


def row(epoch: int, phase: str = "head") -> dict[str, Any]:
    """A row of history.csv; every figure of an epoch differs."""
    figures = ("loss", "accuracy", "val_loss", "val_accuracy", "learning_rate", "seconds")
    values = {key: epoch + number / 10 for number, key in enumerate(figures)}
    return {"epoch": epoch, "phase": phase} | values


def settings(*assignments: str) -> Config:
    return load_config(None, {}, assignments)


def read(folder: Path) -> Any:
    """What TensorBoard itself reads."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder), {"images": 0, "scalars": 0, "tensors": 0})
    return found.Reload()


def scalars(folder: Path, tag: str) -> list[tuple[int, float]]:
    return [(event.step, round(event.value, 5)) for event in read(folder).Scalars(tag)]


def track(folder: Path, rows: list[dict[str, Any]], new: list[dict[str, Any]]) -> None:
    """Begin after ``rows``, and train the ``new`` epochs."""
    with start_tracking(folder, "run", settings(), rows) as tracked:
        for found in new:
            rows.append(found)
            tracked.update()


def test_scalars_appear_with_each_epoch(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = []
    with start_tracking(tmp_path, "run", settings(), rows) as tracked:
        rows.append(row(1))
        tracked.update()
        board = tmp_path / "tensorboard"
        assert scalars(board / "train", "loss") == [(1, 1.0)], "while the training runs"
        rows.append(row(2, "finetune"))
        tracked.update()
        tracked.update()  # nothing new
    assert scalars(board / "train", "accuracy") == [(1, 1.1), (2, 2.1)]
    assert scalars(board / "train", "learning_rate") == [(1, 1.4), (2, 2.4)]
    assert scalars(board / "validation", "loss") == [(1, 1.2), (2, 2.2)]
    assert scalars(board / "validation", "accuracy") == [(1, 1.3), (2, 2.3)]
    phases = read(board / "train").Tensors("phase")
    texts = [event.tensor_proto.string_val[0].decode() for event in phases]
    assert texts == ["head, from epoch 1", "finetune, from epoch 2"]


def test_an_epoch_that_is_repeated_after_a_kill_counts_once(tmp_path: Path) -> None:
    """The process died after epoch 3 was told and before it was noted: two rows are known."""
    track(tmp_path, [], [row(1), row(2), row(3) | {"loss": 99.0}])
    track(tmp_path, [row(1), row(2)], [row(3), row(4)])
    board = tmp_path / "tensorboard"
    assert scalars(board / "train", "loss") == [(1, 1.0), (2, 2.0), (3, 3.0), (4, 4.0)]
    assert [step for step, _ in scalars(board / "validation", "loss")] == [1, 2, 3, 4]


def test_a_file_that_a_kill_cut_off_can_still_be_read(tmp_path: Path) -> None:
    track(tmp_path, [], [row(1), row(2)])
    folder = tmp_path / "tensorboard" / "validation"
    (file,) = folder.iterdir()
    file.write_bytes(file.read_bytes()[:-5])
    track(tmp_path, [row(1)], [row(2)])
    assert [step for step, _ in scalars(folder, "loss")] == [1, 2]


def test_figures_are_divided_into_training_and_validation() -> None:
    validation, train = divide({"epoch": 1, "phase": "head", "loss": 3.0, "val_loss": 4.0})
    assert (validation, train) == ({"loss": 4.0}, {"loss": 3.0})


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> tuple[Path, dict[str, Photos]]:
    """What a finished training leaves: four test photos, the last answer wrong."""
    folder = tmp_path_factory.mktemp("finished")
    images = np.zeros((4, 32, 32, 3), np.uint8)
    images[:2, ..., 1] = images[2:, ..., 0] = 200
    labels = np.array([0, 0, 1, 1], np.int32)
    chances = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.6, 0.4]], np.float32)
    paths = [f"photo_{number}.png" for number in range(4)]
    write_predictions(
        Predictions(NAMES, paths, ["test"] * 4, labels, chances), folder / rundir.PREDICTIONS
    )
    plot_confusion([[2, 0], [1, 1]], NAMES, folder / rundir.CONFUSION_PLOT)
    samples = [Sample(path, int(label)) for path, label in zip(paths, labels, strict=True)]
    return folder, {"val": None, "test": Photos(images, labels, samples)}  # type: ignore[arg-type, dict-item]


def test_pictures_of_the_finished_training(tmp_path: Path, finished: Any) -> None:
    folder, parts = finished
    with start_tracking(tmp_path, "run", settings("tracking.photos=3"), [row(1)]) as tracked:
        tracked.finish(folder, parts)
    found = read(tmp_path / "tensorboard" / "validation")
    (matrix,) = found.Images("confusion_matrix")
    assert matrix.encoded_image_string == (folder / rundir.CONFUSION_PLOT).read_bytes()
    assert matrix.step == 1
    (sheet,) = found.Images("predictions")
    assert (sheet.width, sheet.height) == Image.open(BytesIO(sheet.encoded_image_string)).size


def test_a_wrong_answer_is_written_in_red(finished: Any) -> None:
    """Red lettering on the sheet of the wrong answer only; its photo is red, but purely so."""
    _, parts = finished
    labels, images = parts["test"].labels, parts["test"].images
    chances = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.6, 0.4]], np.float32)
    answers = Predictions(NAMES, ["x"] * 4, ["test"] * 4, labels, chances)

    def has(index: int, color: tuple[int, int, int]) -> bool:
        sheet = Image.open(BytesIO(answer_sheet(images, answers, np.array([index])))).convert("RGB")
        return bool((np.asarray(sheet) == color).all(axis=-1).any())

    assert has(3, (178, 24, 43))
    assert not has(2, (178, 24, 43))
    assert has(2, (27, 120, 55))


def test_photos_are_drawn_without_repeating_one() -> None:
    assert choose_photos(3, 16, seed=0).tolist() == [0, 1, 2]
    first, second = (choose_photos(100, 16, seed).tolist() for seed in (0, 1))
    assert len(set(first)) == 16
    assert first == sorted(first) != second


class Broken:
    """A place that fails."""

    calls = 0

    def epoch(self, row: Any) -> None:
        Broken.calls += 1
        raise OSError("disk full")

    def picture(self, name: str, png: bytes, step: int) -> None:
        raise AssertionError("it was given up")

    close = None


class Kept(Broken):
    """A place that remembers."""

    def __init__(self) -> None:
        self.rows: list[Any] = []

    def epoch(self, row: Any) -> None:
        self.rows.append(row["epoch"])

    def close(self) -> None:  # type: ignore[override]
        pass


@pytest.fixture
def heard() -> Iterator[list[str]]:
    """Warnings of the trainer."""
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("trainer")
    logger.addHandler(handler)
    yield lines
    logger.removeHandler(handler)


def test_a_place_that_fails_is_given_up_and_the_others_stay(heard: list[str]) -> None:
    kept, rows = Kept(), [row(1)]
    with Tracking({"Broken": Broken(), "Kept": kept}, rows, settings()) as tracked:
        for epoch in (2, 3):
            rows.append(row(epoch))
            tracked.update()
    assert Broken.calls == 1
    assert kept.rows == [2, 3], "row 1 was told before"
    assert heard == ["Broken is given up, the training goes on: disk full"]


def test_missing_pictures_are_a_warning(tmp_path: Path, heard: list[str]) -> None:
    with Tracking({"Kept": Kept()}, [], settings()) as tracked:
        tracked.finish(tmp_path, {})
    assert len(heard) == 1


def test_a_place_that_cannot_begin_is_a_warning(tmp_path: Path, heard: list[str]) -> None:
    (tmp_path / "tensorboard").write_text("in the way")
    with start_tracking(tmp_path, "run", settings(), []) as tracked:
        assert tracked.callbacks("head") == []
    assert heard[0].startswith("TensorBoard does not begin, the training does: ")


def test_only_what_was_asked_for_by_name_has_to_be_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard.compat.proto.event_pb2", None)
    monkeypatch.setitem(sys.modules, "wandb", None)
    assert start_tracking(tmp_path, "run", settings(), []).callbacks("head") == []
    with pytest.raises(MissingComponent, match=r"tensorboard.*edge-classify\[train\]"):
        start_tracking(tmp_path, "run", settings("tracking.tensorboard=on"), [])
    with pytest.raises(MissingComponent, match=r"edge-classify\[wandb\]"):
        start_tracking(tmp_path, "run", settings("tracking.wandb=true"), [])


def test_nothing_is_written_where_it_is_off_or_another_process_writes(tmp_path: Path) -> None:
    off = settings("tracking.tensorboard=off")
    start_tracking(tmp_path, "run", off, [])
    start_tracking(tmp_path, "run", settings(), [], chief=False)
    assert list(tmp_path.iterdir()) == []


def test_event_files_need_no_tensorflow(tmp_path: Path) -> None:
    """In a process where TensorFlow cannot be imported, as with KERAS_BACKEND=jax without it."""
    code = f"""
import sys
sys.modules["tensorflow"] = None
from pathlib import Path
from trainer.tracking.tensorboard_log import TensorBoardLog
log = TensorBoardLog(Path({str(tmp_path)!r}), 0)
log.epoch({{"epoch": 1, "phase": "head", "loss": 2.5, "val_loss": 3.5}})
log.close()
"""
    root = Path(tracking.__file__).parents[1]
    subprocess.run([sys.executable, "-c", code], cwd=root, check=True, timeout=120)
    assert scalars(tmp_path / "tensorboard" / "validation", "loss") == [(1, 3.5)]


def test_the_callback_of_a_phase_tells_after_the_epoch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, rows = Kept(), [row(1)]
    (callback,) = Tracking({"Kept": kept}, rows, settings()).callbacks("head")
    callback.on_epoch_begin(1)
    rows.append(row(2))
    callback.on_train_batch_end(0)
    assert kept.rows == []
    callback.on_epoch_end(1, {})
    assert kept.rows == [2]


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("wandb") is None, reason="wandb is not installed")
def test_wandb_offline(tmp_path: Path, finished: Any) -> None:
    """Two processes of one training: one run id, every epoch in a file, nothing on stdout."""
    code = f"""
import sys
from pathlib import Path
from trainer.config.io import load_config
from trainer.tracking.tracking import start_tracking
config = load_config(None, {{}}, ["tracking.wandb=true", "tracking.tensorboard=off"])
row = lambda n: {{"epoch": n, "phase": "head", "loss": n / 2, "val_loss": n / 4}}
rows = [row(n + 1) for n in range(int(sys.argv[1]))]
with start_tracking(Path({str(tmp_path)!r}), "run", config, rows) as tracked:
    assert tracked.callbacks("head"), "it began"
    rows.append(row(len(rows) + 1))
    tracked.update()
    tracked._tell(lambda place: place.picture("matrix", Path(sys.argv[2]).read_bytes(), len(rows)))
    assert tracked.callbacks("head"), "and was not given up"
"""
    environment = {
        **os.environ,
        "WANDB_MODE": "offline",
        "HOME": str(tmp_path),
        "WANDB_ERROR_REPORTING": "false",
    }
    for known in ("0", "1"):
        done = subprocess.run(
            [sys.executable, "-c", code, known, str(finished[0] / rundir.CONFUSION_PLOT)],
            cwd=Path(tracking.__file__).parents[1],
            env=environment,
            capture_output=True,
            text=True,
            timeout=240,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout == ""
    runs = sorted((tmp_path / "wandb").glob("offline-run-*"))
    identity = (tmp_path / "wandb" / "run-id.txt").read_text().strip()
    assert len(runs) == 2
    assert all(run.name.endswith(identity) for run in runs)
    for number, run in enumerate(runs, 1):
        (file,) = run.glob("*.wandb")
        history = list(wandb_history(file))
        assert history[0]["val/loss"] == number / 4
        assert history[0]["train/loss"] == number / 2
        assert history[0]["_step"] == number
        assert list(run.rglob("*.png")), "the picture"


def wandb_history(file: Path) -> Iterator[dict[str, Any]]:
    """The rows in wandb's own file: a LevelDB log of protocol buffers behind 7 bytes."""
    from wandb.proto import wandb_internal_pb2

    data, place, whole, block = file.read_bytes(), 7, b"", 32768
    while place < len(data):
        if block - place % block < 7:  # no room for a header: padding
            place += block - place % block
            continue
        _, size, kind = struct.unpack("<IHB", data[place : place + 7])
        whole += data[place + 7 : place + 7 + size]
        place += 7 + size
        if kind in (1, 4):  # whole, or the last piece
            record = wandb_internal_pb2.Record.FromString(whole)
            whole = b""
            if record.WhichOneof("record_type") == "history":
                items = record.history.item
                yield {i.key or "/".join(i.nested_key): json.loads(i.value_json) for i in items}


def test_event_files_have_names_of_their_own(tmp_path: Path) -> None:
    """Two files of one second."""
    for _ in range(2):
        tensorboard_log.EventFile(tmp_path).close()
    assert len(list(tmp_path.iterdir())) == 2
