"""Which photo is in which part, and the decoded cache."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys

import numpy as np
import pytest

from edge_runtime.errors import DatasetError, SystemFailure, UsageError
from edge_runtime.manifest import PreprocessSpec
from edge_runtime.preprocess import preprocess
from trainer.data import Sample, decode_part, index_dataset

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
    from trainer.split import create_train_val_test_split

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


# decode_part -----------------------------------------------------------------------------------


def test_pixels_are_those_of_the_one_preprocessing(split_folder, tmp_path):
    samples = index_dataset(split_folder).parts["train"]
    images, labels, kept, failures = decode_part(samples, SPEC, tmp_path / "t.npy", "train")
    assert (images.shape, images.dtype) == ((24, 24, 32, 3), np.uint8)
    assert isinstance(images, np.memmap)
    assert not images.flags.writeable
    assert labels.dtype == np.int32
    assert labels.tolist() == [sample.label for sample in samples]
    assert failures == []
    for image, sample, before in zip(images, kept, samples, strict=True):
        assert (sample.path, sample.label) == (before.path, before.label)
        assert (image == preprocess(sample.path, SPEC)).all()
        with open(sample.path, "rb") as stream:
            assert sample.sha256 == hashlib.sha256(stream.read()).hexdigest()
    assert (np.load(tmp_path / "t.npy") == images).all()
    assert [p.name for p in tmp_path.iterdir() if p.is_file()] == ["t.npy"]


def test_up_to_5_percent_unreadable_photos_are_left_out(make_photos, tmp_path, caplog):
    """3 of 60 is exactly 5 %: a text file, a truncated JPEG, a link to nothing."""
    folder = make_photos(tmp_path / "photos", count=20)
    bad = [folder / "green" / f"photo_00{n}.jpg" for n in (0, 2, 4)]
    bad[0].write_text("This is a text file.")
    damage(bad[1])
    bad[2].unlink()
    bad[2].symlink_to(tmp_path / "absent")
    samples = [
        Sample(str(path), CLASSES.index(path.parent.name)) for path in sorted(folder.rglob("*.*"))
    ]
    images, labels, kept, failures = decode_part(samples, SPEC, tmp_path / "t.npy", "train")
    assert [path for path, _ in failures] == [str(path) for path in bad]
    assert "not an image" in failures[0][1]
    assert "damaged or cut off" in failures[1][1]
    assert "no such file" in failures[2][1]
    assert len(images) == len(labels) == len(kept) == 57
    for image, label, sample in zip(images, labels, kept, strict=True):
        assert (image == preprocess(sample.path, SPEC)).all()
        assert label == sample.label
    assert np.load(tmp_path / "t.npy").shape == (57, 24, 32, 3)
    for path, reason in failures:
        assert f"{path}: {reason} Left out of train." in caplog.text


def test_more_is_an_error_that_says_share_and_limit(split_folder, tmp_path):
    samples = index_dataset(split_folder).parts["val"]
    damage(split_folder / "val" / "green" / "photo_001.png")
    # 1 of 12 photos is 8.3 %.
    with pytest.raises(DatasetError, match=r"val: 1 of 12 .* 8\.3%; at most 5% .*\n.*photo_001"):
        decode_part(samples, SPEC, tmp_path / "v.npy", "val")
    assert not list(tmp_path.glob("*.npy"))
    for photo in split_folder.rglob("*.*"):
        photo.write_bytes(b"")
    with pytest.raises(DatasetError, match="and 7 more"):
        decode_part(samples, SPEC, tmp_path / "v.npy", "val")


def test_a_class_whose_every_photo_is_unreadable(make_photos, tmp_path):
    """1 of 41 is within the limit, but training would miss the class."""
    make_photos(tmp_path / "photos", ("many", "other"), count=20)
    (tmp_path / "photos" / "rare").mkdir()
    (tmp_path / "photos" / "rare" / "one.jpg").write_bytes(b"")
    files = sorted((tmp_path / "photos").rglob("*.*"))
    names = ("many", "other", "rare")
    samples = [Sample(str(path), names.index(path.parent.name)) for path in files]
    with pytest.raises(DatasetError, match=r"no photo of the class of .*rare.one\.jpg"):
        decode_part(samples, SPEC, tmp_path / "t.npy", "train")
    assert len(decode_part(samples, SPEC, tmp_path / "v.npy", "val")[0]) == 40


def test_an_absent_part_is_empty(tmp_path):
    images, labels, kept, failures = decode_part([], SPEC, tmp_path / "t.npy", "test")
    assert (images.shape, labels.shape, kept, failures) == ((0, 24, 32, 3), (0,), [], [])


def test_a_gif_named_png_is_read_with_a_warning(split_folder, tmp_path, caplog):
    from PIL import Image

    photo = split_folder / "train" / "green" / "photo_001.png"
    with Image.open(photo) as image:
        image.save(tmp_path / "as.gif")
    shutil.move(tmp_path / "as.gif", photo)
    samples = index_dataset(split_folder).parts["train"]
    assert decode_part(samples, SPEC, tmp_path / "t.npy", "train")[3] == []
    assert f"{photo}: holds a GIF" in caplog.text


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS refuses names that are not UTF-8")
def test_file_names_that_are_not_utf8(split_folder, tmp_path):
    green = split_folder / "train" / "green"
    (green / "photo_000.jpg").rename(green / os.fsdecode(b"caf\xe9.jpg"))
    samples = index_dataset(split_folder).parts["train"]
    kept = decode_part(samples, SPEC, tmp_path / "t.npy", "train")[2]
    assert any(os.fsencode(sample.path).endswith(b"caf\xe9.jpg") for sample in kept)


def test_a_full_disk_is_an_error_and_leaves_no_file(split_folder, tmp_path, monkeypatch):
    import errno

    samples = index_dataset(split_folder).parts["train"]

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("trainer.data._write_header", full)
    with pytest.raises(SystemFailure, match=r"t\.npy"):
        decode_part(samples, SPEC, tmp_path / "t.npy", "train")
    assert not list(tmp_path.glob("*.npy"))


def test_ctrl_c_while_decoding_leaves_no_file(split_folder, tmp_path, monkeypatch):
    samples = index_dataset(split_folder).parts["train"]

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("trainer.data._check_failures", interrupt)
    with pytest.raises(KeyboardInterrupt):
        decode_part(samples, SPEC, tmp_path / "t.npy", "train")
    assert [p.name for p in tmp_path.iterdir()] == ["data"]
