"""Decoded photos: right, made once, whole after a kill, and never more than their share of the disk."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edge_runtime.errors import DatasetError
from edge_runtime.manifest import PreprocessSpec
from edge_runtime.preprocess import preprocess
from trainer.data import pixel_store, pixels
from trainer.data.dataset import Sample, index_dataset
from trainer.data.pixel_store import PixelStore, store_folder
from trainer.data.pixels import MappedPixels, StreamedPixels, load_part

SPEC = PreprocessSpec(32, 24)
CLASSES = ("blue dots", "green", "red stripes")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own."""
    monkeypatch.setenv("EDGE_CLASSIFY_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The photos that are decoded from now on."""
    found: list[str] = []

    def noted(photo, spec):
        found.append(photo)
        return preprocess(photo, spec)

    monkeypatch.setattr(pixel_store, "preprocess", noted)
    return found


def old(*paths: Path) -> None:
    """Make files look as if they had not been touched for an hour."""
    for path in paths:
        os.utime(path, (time.time() - 3600,) * 2)


@pytest.fixture
def samples(split_folder: Path) -> list[Sample]:
    found = index_dataset(split_folder).parts["train"]
    old(*(Path(sample.path) for sample in found))
    return found


def damage(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-50])


def test_pixels_are_those_of_the_one_preprocessing(samples) -> None:
    photos, failures = load_part(samples, SPEC, "train")
    assert isinstance(photos.images, MappedPixels)
    assert (photos.images.shape, len(photos.images)) == ((24, 24, 32, 3), 24)
    assert photos.labels.dtype == np.int32
    assert photos.labels.tolist() == [sample.label for sample in samples]
    assert failures == []
    everything = photos.images[:]
    assert everything.dtype == np.uint8
    for image, sample, before in zip(everything, photos.samples, samples, strict=True):
        assert (sample.path, sample.label) == (before.path, before.label)
        assert (image == preprocess(sample.path, SPEC)).all()
        assert sample.sha256 == hashlib.sha256(Path(sample.path).read_bytes()).hexdigest()
    chosen = np.array([5, 0, 5])
    assert (photos.images[chosen] == everything[chosen]).all()
    some = photos.select(np.array([3, 1]))
    assert (some.images[:] == everything[[3, 1]]).all()
    assert [sample.path for sample in some.samples] == [samples[3].path, samples[1].path]


def test_a_photo_is_decoded_once(samples, decoded, make_photos, tmp_path) -> None:
    load_part(samples, SPEC, "train")
    assert sorted(decoded) == sorted(sample.path for sample in samples)
    decoded.clear()
    load_part(samples, SPEC, "train")
    assert decoded == []
    # A copy under another name is known by its content, ...
    copy = Path(shutil.copy(samples[0].path, tmp_path / "copy.jpg"))
    old(copy)
    load_part([Sample(str(copy), 0)], SPEC, "val")
    assert decoded == []
    # ... a photo that changes is not taken for what it was, even at the same time and size.
    other = Path(samples[1].path)
    other.write_bytes(Path(samples[3].path).read_bytes())
    (changed, _) = load_part([samples[1]], SPEC, "val")
    assert (changed.images[:1][0] == preprocess(other, SPEC)).all()


def test_a_photo_that_was_changed_just_now_is_looked_at_again(samples, decoded) -> None:
    """Within the time that a file system resolves, a second change would go unseen."""
    path = Path(samples[0].path)
    Image.new("RGB", (40, 40), "red").save(path, "JPEG")
    load_part(samples[:1], SPEC, "val")
    status = path.stat()
    Image.new("RGB", (40, 40), "blue").save(path, "JPEG")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    photos, _ = load_part(samples[:1], SPEC, "val")
    assert photos.images[:1][0, 0, 0].argmax() == 2


def test_another_rule_or_another_code_has_a_store_of_its_own(monkeypatch) -> None:
    others = {
        store_folder(spec)
        for spec in (SPEC, PreprocessSpec(32, 24, fit="pad"), PreprocessSpec(24, 32))
    }
    monkeypatch.setattr(pixel_store.PIL, "__version__", "0")
    assert len(others | {store_folder(SPEC)}) == 4


def test_up_to_5_percent_unreadable_photos_are_left_out(make_photos, tmp_path, caplog) -> None:
    """3 of 60 is exactly 5 %: a text file, a truncated JPEG, a link to nothing."""
    folder = make_photos(tmp_path / "photos", count=20)
    bad = [folder / "green" / f"photo_00{n}.jpg" for n in (0, 2, 4)]
    bad[0].write_text("This is a text file.")
    damage(bad[1])
    bad[2].unlink()
    bad[2].symlink_to(tmp_path / "absent")
    files = sorted(folder.rglob("*.*"))
    samples = [Sample(str(path), CLASSES.index(path.parent.name)) for path in files]
    for _ in range(2):  # the second time out of the index
        photos, failures = load_part(samples, SPEC, "train")
        assert [path for path, _ in failures] == [str(path) for path in bad]
        assert "not an image" in failures[0][1]
        assert "damaged or cut off" in failures[1][1]
        assert "no such file" in failures[2][1]
        assert len(photos.images) == len(photos.labels) == len(photos.samples) == 57
        for image, label, sample in zip(
            photos.images[:], photos.labels, photos.samples, strict=True
        ):
            assert (image == preprocess(sample.path, SPEC)).all()
            assert label == sample.label
        for path, reason in failures:
            assert f"{path}: {reason} Left out of train." in caplog.text
        caplog.clear()


def test_more_is_an_error_that_says_share_and_limit(split_folder) -> None:
    samples = index_dataset(split_folder).parts["val"]
    damage(split_folder / "val" / "green" / "photo_001.png")
    # 1 of 12 photos is 8.3 %.
    with pytest.raises(DatasetError, match=r"val: 1 of 12 .* 8\.3%; at most 5% .*\n.*photo_001"):
        load_part(samples, SPEC, "val")
    for photo in split_folder.rglob("*.*"):
        photo.write_bytes(b"")
    with pytest.raises(DatasetError, match="and 7 more"):
        load_part(samples, SPEC, "val")


def test_a_class_whose_every_photo_is_unreadable(make_photos, tmp_path) -> None:
    """1 of 41 is within the limit, but training would miss the class."""
    make_photos(tmp_path / "photos", ("many", "other"), count=20)
    (tmp_path / "photos" / "rare").mkdir()
    (tmp_path / "photos" / "rare" / "one.jpg").write_bytes(b"")
    files = sorted((tmp_path / "photos").rglob("*.*"))
    names = ("many", "other", "rare")
    samples = [Sample(str(path), names.index(path.parent.name)) for path in files]
    with pytest.raises(DatasetError, match=r"no photo of the class of .*rare.one\.jpg"):
        load_part(samples, SPEC, "train")
    assert len(load_part(samples, SPEC, "val")[0].images) == 40


def test_an_absent_part_is_empty() -> None:
    photos, failures = load_part([], SPEC, "test")
    assert (photos.images.shape, photos.labels.shape) == ((0, 24, 32, 3), (0,))
    assert (photos.samples, failures) == ([], [])


def test_a_gif_named_png_is_read_with_a_warning(split_folder, tmp_path, caplog) -> None:
    photo = split_folder / "train" / "green" / "photo_001.png"
    with Image.open(photo) as image:
        image.save(tmp_path / "as.gif")
    shutil.move(tmp_path / "as.gif", photo)
    assert load_part(index_dataset(split_folder).parts["train"], SPEC, "train")[1] == []
    assert f"{photo}: holds a GIF" in caplog.text


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS refuses names that are not UTF-8")
def test_file_names_that_are_not_utf8(split_folder) -> None:
    green = split_folder / "train" / "green"
    (green / "photo_000.jpg").rename(green / os.fsdecode(b"caf\xe9.jpg"))
    photos, _ = load_part(index_dataset(split_folder).parts["train"], SPEC, "train")
    assert any(os.fsencode(sample.path).endswith(b"caf\xe9.jpg") for sample in photos.samples)


# What does not fit is decoded as it is needed


def test_beyond_the_limit_photos_are_decoded_as_they_are_needed(samples, cache, caplog) -> None:
    whole = 24 * 24 * 32 * 3
    photos, _ = load_part(samples, SPEC, "train", limit_gb=(whole - 1) / 1e9)
    assert isinstance(photos.images, StreamedPixels)
    assert "Raise cache.limit_gb" in caplog.text
    chosen = np.array([7, 2])
    expected = [preprocess(samples[i].path, SPEC) for i in chosen]
    assert (photos.images[chosen] == expected).all()
    assert (photos.images.select(chosen)[:] == expected).all()
    assert not any(file.stat().st_size for file in cache.rglob("pixels.bin"))
    kept, _ = load_part(samples, SPEC, "train", limit_gb=whole / 1e9)
    assert isinstance(kept.images, MappedPixels)
    os.unlink(samples[0].path)
    with pytest.raises(DatasetError, match="could be read when the training began"):
        photos.images[np.array([0])]


def test_the_store_that_was_not_used_for_longest_goes_first(samples, cache) -> None:
    whole = 24 * 24 * 32 * 3
    others = [PreprocessSpec(32, 24, fit="pad"), PreprocessSpec(32, 24, fit="stretch")]
    for age, spec in zip((200, 100), others, strict=True):
        load_part(samples, spec, "train")
        os.utime(store_folder(spec), (time.time() - age,) * 2)
    # Room for two and their indices.
    limit = (2 * whole + 2 * os.path.getsize(store_folder(others[0]) / "index.sqlite")) / 1e9
    load_part(samples, SPEC, "train", limit_gb=limit)
    left = {folder for folder in (cache / "pixels").iterdir() if not folder.name.startswith(".")}
    assert left == {store_folder(SPEC), store_folder(others[1])}


def test_photos_of_other_sets_leave_a_full_store(samples, decoded) -> None:
    load_part(samples, SPEC, "train")
    decoded.clear()
    load_part(samples[:4], SPEC, "val", limit_gb=5 * 24 * 32 * 3 / 1e9)
    assert decoded == [], "what is there already needs no room"
    fresh = [Sample(sample.path, 0) for sample in samples[4:8]]
    with PixelStore(store_folder(SPEC), SPEC) as store:
        assert store.rows() == 24
    for sample in fresh:
        Image.new("RGB", (40, 40), (sample.label, len(sample.path), 9)).save(sample.path, "PNG")
    photos, _ = load_part(fresh, SPEC, "val", limit_gb=5 * 24 * 32 * 3 / 1e9)
    assert isinstance(photos.images, MappedPixels)
    with PixelStore(store_folder(SPEC), SPEC) as store:
        assert store.rows() < 5


def test_a_cache_that_cannot_be_written(samples, monkeypatch, tmp_path, caplog) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("EDGE_CLASSIFY_CACHE", str(tmp_path / "file"))
    photos, _ = load_part(samples, SPEC, "train")
    assert isinstance(photos.images, StreamedPixels)
    assert "cannot be kept here" in caplog.text
    assert (photos.images[:2][1] == preprocess(samples[1].path, SPEC)).all()
    assert len(photos.samples[0].sha256) == 64


def test_a_full_disk(samples, monkeypatch, caplog) -> None:
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pixel_store.os, "pwrite", full)
    photos, _ = load_part(samples, SPEC, "train")
    assert isinstance(photos.images, StreamedPixels)
    assert "No space left" in caplog.text


# Damage and company


@pytest.mark.parametrize("name", ["index.sqlite", "pixels.bin"])
def test_a_damaged_store_is_made_anew(samples, name: str, decoded, caplog) -> None:
    load_part(samples, SPEC, "train")
    decoded.clear()
    file = store_folder(SPEC) / name
    file.write_bytes(b"no database at all" * 400 if name == "index.sqlite" else b"cut off")
    photos, _ = load_part(samples, SPEC, "train")
    assert "made anew" in caplog.text
    assert len(decoded) == 24
    assert (photos.images[:1][0] == preprocess(samples[0].path, SPEC)).all()


_FILL = """
import sys
from trainer.data.dataset import index_dataset
from trainer.data.pixels import load_part
from edge_runtime.manifest import PreprocessSpec
import trainer.data.pixels
trainer.data.pixels._CHUNK = 3
load_part(index_dataset(sys.argv[1]).parts["train"], PreprocessSpec(32, 24), "train")
"""


def _filler(folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", _FILL, str(folder)],
        cwd=Path(__file__).parents[2],
        stderr=subprocess.DEVNULL,
    )


def test_two_processes_fill_one_store(split_folder, samples) -> None:
    processes = [_filler(split_folder) for _ in range(3)]
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    with PixelStore(store_folder(SPEC), SPEC) as store:
        assert store.rows() == 24
    photos, _ = load_part(samples, SPEC, "train")
    for image, sample in zip(photos.images[:], samples, strict=True):
        assert (image == preprocess(sample.path, SPEC)).all()


def test_a_killed_process_leaves_a_whole_store(split_folder, samples) -> None:
    file = store_folder(SPEC) / "pixels.bin"
    process = _filler(split_folder)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (file.is_file() and file.stat().st_size):
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.wait()
    with open(file, "ab") as stream:  # and as if it had been writing
        stream.write(b"half a photo")
    photos, failures = load_part(samples, SPEC, "train")
    assert failures == []
    for image, sample in zip(photos.images[:], samples, strict=True):
        assert (image == preprocess(sample.path, SPEC)).all()


def test_the_store_is_kept_where_the_variable_says(samples, cache) -> None:
    load_part(samples, SPEC, "train")
    assert store_folder(SPEC).parent == cache / "pixels"
    assert pixels.other_stores(store_folder(SPEC)) == []
