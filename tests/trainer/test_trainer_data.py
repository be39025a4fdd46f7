"""Which photo is in which part, and which of them a training learns from."""

from __future__ import annotations

import os
import shutil
import sys

import numpy as np
import pytest

from edge_runtime import rundir
from edge_runtime.errors import DatasetError, UsageError
from edge_runtime.manifest import ModelInfo, PreprocessSpec
from trainer.config.schema import Config
from trainer.data import batches
from trainer.data.dataset import index_dataset
from trainer.data.pixels import Photos, load_part

SPEC = PreprocessSpec(32, 24)
CLASSES = ("blue dots", "green", "red stripes")


def damage(photo):
    """Leave the first half of a file."""
    photo.write_bytes(photo.read_bytes()[: photo.stat().st_size // 2])


# index_dataset ---------------------------------------------------------------------------------


def test_parts_that_were_split(split_folder):
    dataset = index_dataset(split_folder)
    assert dataset.class_names == CLASSES
    assert {part: len(samples) for part, samples in dataset.parts.items()} == {
        "train": 24,
        "val": 12,
        "test": 12,
    }
    first = dataset.parts["train"][0]
    assert first.path == os.path.join(split_folder, "train", "blue dots", "photo_000.jpg")
    for samples in dataset.parts.values():
        for sample in samples:
            assert os.sep + CLASSES[sample.label] + os.sep in sample.path


def test_paths_begin_as_the_user_typed(split_folder, monkeypatch):
    monkeypatch.chdir(split_folder.parent)
    path = index_dataset("data").parts["val"][0].path
    assert path == os.path.join("data", "val", "blue dots", "photo_000.jpg")


def test_test_may_be_absent(split_folder):
    shutil.rmtree(split_folder / "test")
    assert index_dataset(split_folder).parts["test"] == []


def test_class_folders_are_split_in_memory(photo_folder):
    dataset = index_dataset(photo_folder, (0.6, 0.2, 0.2), seed=3)
    paths = [sample.path for samples in dataset.parts.values() for sample in samples]
    assert len(paths) == len(set(paths)) == 30
    for part, count in (("train", 6), ("val", 2), ("test", 2)):
        labels = [sample.label for sample in dataset.parts[part]]
        assert [labels.count(label) for label in range(3)] == [count] * 3
    assert index_dataset(photo_folder, (0.6, 0.2, 0.2), seed=3) == dataset
    assert index_dataset(photo_folder, (0.6, 0.2, 0.2), seed=4) != dataset


def test_the_split_is_the_one_that_edge_train_split_writes(photo_folder, tmp_path):
    from trainer.data.split import create_train_val_test_split

    create_train_val_test_split(photo_folder, tmp_path / "out", 0.6, 0.2, 0.2, seed=3)
    in_memory = index_dataset(photo_folder, (0.6, 0.2, 0.2), seed=3)
    on_disk = index_dataset(tmp_path / "out")
    for part, samples in in_memory.parts.items():
        assert [os.path.relpath(s.path, photo_folder) for s in samples] == [
            os.path.relpath(s.path, tmp_path / "out" / part) for s in on_disk.parts[part]
        ]


def test_class_order_comes_from_the_training_folder(split_folder, caplog):
    """A class that val or test lacks moves no index; it is a warning."""
    shutil.rmtree(split_folder / "test" / "blue dots")
    for photo in (split_folder / "val" / "green").iterdir():
        photo.unlink()
    dataset = index_dataset(split_folder)
    assert {sample.label for sample in dataset.parts["test"]} == {1, 2}
    assert {sample.label for sample in dataset.parts["val"]} == {0, 2}
    assert "no photo of 'blue dots'" in caplog.text
    assert "no photo of 'green'" in caplog.text


def test_groups_in_several_parts_are_warned_of(split_folder, caplog):
    """`group_by` cannot move photos of a folder that is split, but it can look at them."""
    for part, names in {"train": "ab", "val": "bc", "test": "bd"}.items():
        for name in names:
            for view in range(2):
                shutil.copy(
                    split_folder / "train" / "green" / "photo_000.jpg",
                    split_folder / part / "green" / f"cup-{name}_{view}.jpg",
                )
    before = index_dataset(split_folder)
    assert "group-by" not in caplog.text
    assert index_dataset(split_folder, group_by="^(cup-.)_") == before
    (line,) = [r.getMessage() for r in caplog.records if "group-by" in r.getMessage()]
    assert "1 group lies in several of train, val, test" in line
    assert "for example 'cup-b'" in line
    green = [split_folder / part / "green" / "cup-b_0.jpg" for part in ("train", "val", "test")]
    assert " and ".join(map(str, green)) in line
    caplog.clear()
    index_dataset(split_folder, group_by="^(cup-[acd])_")
    assert "group-by" not in caplog.text
    with pytest.raises(UsageError, match="matches none of 60 photos"):
        index_dataset(split_folder, group_by="^IMG_")


def test_hidden_and_system_files_are_no_photos(split_folder):
    before = index_dataset(split_folder)
    for name in (".hidden", "__MACOSX", ".ipynb_checkpoints"):
        for parent in (split_folder, split_folder / "train", split_folder / "train" / "green"):
            (parent / name).mkdir()
            (parent / name / "a.jpg").write_bytes(b"")
    (split_folder / "val" / "green" / "._photo_000.jpg").write_bytes(b"")
    assert index_dataset(split_folder) == before


def test_photos_outside_of_class_folders_are_warned_of(split_folder, caplog):
    shutil.copy(split_folder / "val" / "green" / "photo_000.jpg", split_folder / "train" / "x.jpg")
    assert len(index_dataset(split_folder).parts["train"]) == 24
    assert "1 photos lie beside the class folders" in caplog.text


def test_a_class_may_be_called_train(make_photos, tmp_path):
    dataset = index_dataset(make_photos(tmp_path / "vehicles", ("bus", "car", "train")))
    assert dataset.class_names == ("bus", "car", "train")


def test_class_names_with_blanks_and_letters_of_all_kinds(make_photos, tmp_path):
    names = (" leading", "Größe 10 €", "猫", "a,b;'c\"")
    dataset = index_dataset(make_photos(tmp_path / "photos", names))
    assert dataset.class_names == tuple(sorted(names))


def remove(*parts):
    return lambda folder: shutil.rmtree(folder.joinpath(*parts))


def empty(*parts):
    def change(folder):
        for photo in folder.joinpath(*parts).rglob("*.*"):
            photo.unlink()

    return change


def new_class(part, name):
    return lambda folder: shutil.copytree(folder / part / "green", folder / part / name)


def only_green(folder):
    for name in ("blue dots", "red stripes"):
        shutil.rmtree(folder / "train" / name)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (remove("train"), "no train folder"),
        (remove("val"), r"no val folder\. Make one with: edge-train split .*train NEW_FOLDER"),
        (lambda f: (f / "val").rename(f / "valid"), "Rename valid to val"),
        (empty("train", "green"), r"train: no photo of 'green'\. Add photos"),
        (empty("train"), "no photo in any class folder"),
        (empty("val"), "val: no photo in it"),
        (empty("test"), "test: no photo in it"),
        (new_class("val", "pink"), "'pink' is no class of the training folder"),
        (new_class("test", "Green"), r"test: 'Green' .* which has 'blue dots', 'green', 'red"),
        (only_green, "only one class, 'green'"),
        (lambda f: [shutil.rmtree(p) for p in (f / "val").iterdir()], "folder for each class"),
        (lambda f: [shutil.rmtree(p) for p in f.iterdir()], "nothing to learn from"),
        (new_class("train", "two\nlines"), "control character"),
    ],
)
def test_bad_folders_name_what_is_wrong(split_folder, change, message):
    change(split_folder)
    with pytest.raises(DatasetError, match=message):
        index_dataset(split_folder)


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS refuses names that are not UTF-8")
def test_a_class_name_must_be_text(split_folder):
    new_class("train", os.fsdecode(b"caf\xe9"))(split_folder)
    with pytest.raises(DatasetError, match=r"caf\\xe9.*not UTF-8"):
        index_dataset(split_folder)


@pytest.mark.parametrize("feed", ["training", "validation"])
def test_a_photo_that_vanishes_while_it_is_needed(split_folder, monkeypatch, feed):
    """Its error comes out of Keras, not TensorFlow's about it."""
    from edge_runtime.backends.full_model import import_keras
    from trainer.config.schema import CallbacksConfig, LossConfig, PhaseConfig
    from trainer.data.batches import PlainBatches
    from trainer.training.phase import Phase, run_phase
    from trainer.training.progress import Progress

    samples = index_dataset(split_folder).parts["train"]
    photos, _ = load_part(samples, SPEC, "train", limit_gb=0)
    whole, lacking = photos.select(np.arange(12)), photos.select(np.arange(12, 24))
    os.unlink(samples[20].path)
    train, val = (lacking, whole) if feed == "training" else (whole, lacking)
    layers = import_keras().layers
    model = import_keras().Sequential(
        [layers.Input((24, 32, 3)), layers.Flatten(), layers.Dense(3)]
    )
    phase = Phase(
        "full",
        PhaseConfig(epochs=1, learning_rate=1e-3),
        1,
        LossConfig(),
        CallbacksConfig(),
        split_folder / "best.weights.h5",
    )

    def plan(size):
        return [PlainBatches(part.images, part.labels, 3, size) for part in (train, val)]

    with pytest.raises(DatasetError, match=r"\.\w+: no such file or directory\. It could be read"):
        run_phase(model, phase, plan, 4, Progress(split_folder / "state.npz"))


def test_targets_are_made_by_the_batch(monkeypatch):
    """Those of 100,000 photos in 10,000 classes would take 4 GB."""
    from trainer.augmentation.augment import Augmentation
    from trainer.config.schema import AugmentConfig

    made, whole = [], batches.one_hot

    def noted(labels, classes):
        made.append(len(labels))
        return whole(labels, classes)

    monkeypatch.setattr(batches, "one_hot", noted)
    labels, images = np.arange(12, dtype=np.int32), np.zeros((12, 8, 8, 3), np.uint8)
    photos = Photos(images, labels, [])
    for plan in (
        batches.PhotoBatches(photos, 12, 4, 0, Augmentation(AugmentConfig())),
        batches.FeatureBatches(np.zeros((1, 12, 5), np.float32), labels, 12, 4, 0),
        batches.PlainBatches(images, labels, 12, 4),
    ):
        assert [plan.batch(0, step)[-1].shape for step in range(plan.steps)] == [(4, 12)] * 3
    assert made == [4] * 9


class Killed(BaseException):
    """As if the process had ended here."""


@pytest.mark.parametrize("moment", ["before the list", "within the list", "before the note"])
def test_what_is_left_out_survives_a_kill(split_folder, tmp_path, monkeypatch, moment):
    """Notes and list are written once each; between them a training may be killed."""
    from trainer.training import fit, job

    monkeypatch.setenv("EDGE_CLASSIFY_CACHE", str(tmp_path / "cache"))
    dataset = index_dataset(split_folder)
    damage(split_folder / "train" / "green" / "photo_000.jpg")
    folder = rundir.unfinished(tmp_path / "run")
    folder.mkdir()
    job.write_parts(folder, dataset, dataset.parts)
    training = job.Job(tmp_path / "run")
    training.note({"class_names": dataset.class_names})

    def load():
        info = ModelInfo(dataset.class_names, SPEC)
        fit._load(training, training.dataset(), info, Config())
        return training.read()["left_out"]

    class Writer:
        def __init__(self, stream):
            self.stream = stream

        def writerow(self, row):
            self.stream.write("path,sha256")
            self.stream.flush()
            raise Killed

    def killed(*_):
        raise Killed

    with monkeypatch.context() as patch:
        if moment == "before the list":
            patch.setattr(rundir, "write_split", killed)
        elif moment == "within the list":
            patch.setattr(rundir.csv, "writer", Writer)
        else:
            patch.setattr(training, "note", killed)
        with pytest.raises(Killed):
            load()
    for _ in range(2):
        (left_out,) = load()
        assert left_out["path"].endswith("photo_000.jpg") and left_out["part"] == "train"
        assert len(training.dataset().parts["train"]) == 23


def test_paths_that_do_not_exist_and_ratios_that_make_no_sense(photo_folder):
    with pytest.raises(UsageError, match="no such folder"):
        index_dataset(photo_folder / "absent")
    with pytest.raises(UsageError, match="is a file"):
        index_dataset(photo_folder / "green" / "photo_000.jpg")
    with pytest.raises(UsageError, match="val must be above 0"):
        index_dataset(photo_folder, (0.9, 0, 0.1))


def test_too_few_photos_to_split(make_photos, tmp_path):
    make_photos(tmp_path / "photos", count=2)
    with pytest.raises(DatasetError, match=r"photos: class 'blue dots' has 2 photos"):
        index_dataset(tmp_path / "photos")
