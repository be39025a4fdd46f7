"""Decoded photos: right, made once, whole after a kill, and never more than their share of the disk."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edge_runtime.errors import DatasetError, ImageError
from edge_runtime.manifest import PreprocessSpec
from edge_runtime.preprocess import preprocess
from trainer import stopping
from trainer.data import pixel_store, pixels
from trainer.data.dataset import Sample, index_dataset
from trainer.data.pixel_store import PixelStore, store_folder
from trainer.data.pixels import MappedPixels, Photos, StreamedPixels, load_part, load_parts
from trainer.data.stores import other_stores, remove_store

SPEC = PreprocessSpec(32, 24)
CLASSES = ("blue dots", "green", "red stripes")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own."""
    monkeypatch.setenv("EDGE_CLASSIFY_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The contents of the photos that are decoded from now on."""
    found: list[bytes] = []

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


#: Bytes of a decoded photo.
ROW = 24 * 32 * 3


def check_pixels(photos: Photos, samples: Sequence[Sample]) -> None:
    """Every photo has its own pixels, and its label."""
    assert photos.labels.tolist() == [sample.label for sample in samples]
    for image, sample in zip(photos.images[:], samples, strict=True):
        assert (image == preprocess(sample.path, SPEC)).all(), sample.path


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
    assert sorted(decoded) == sorted(Path(sample.path).read_bytes() for sample in samples)
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
    for _ in range(2):  # the second time the others out of the index
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


def test_room_is_made_once_for_all_parts(split_folder, samples, decoded, caplog) -> None:
    """24 and 12 photos where 30 have room: what is kept does not change from time to time."""
    parts = {"train": samples, "val": index_dataset(split_folder).parts["val"]}
    old(*(Path(sample.path) for sample in parts["val"]))
    for _ in range(2):
        found = load_parts(parts, SPEC, limit_gb=30 * ROW / 1e9)
        assert isinstance(found["train"][0].images, MappedPixels)
        assert isinstance(found["val"][0].images, StreamedPixels)
        assert "val: 12 decoded photos take" in caplog.text
        for part, loaded in parts.items():
            check_pixels(found[part][0], loaded)
        del found
    assert len(decoded) == 36, "the second time nothing"
    assert isinstance(load_parts(parts, SPEC, 36 * ROW / 1e9)["val"][0].images, MappedPixels)


def test_a_store_in_use_is_left_alone(split_folder, samples, caplog) -> None:
    """Photos that are loaded keep their pixels, whatever is loaded after them."""
    limit, test = 5.5 * ROW / 1e9, index_dataset(split_folder).parts["test"]
    first, _ = load_part(samples[:4], SPEC, "train", limit)
    other, _ = load_part(test[:5], SPEC, "test", limit)
    assert isinstance(first.images, MappedPixels)
    assert isinstance(other.images, StreamedPixels)
    assert "full of photos that other trainings use" in caplog.text
    chosen = np.array([0, 1, 3])
    check_pixels(first.select(chosen), [samples[index] for index in chosen])
    check_pixels(other, test[:5])
    assert not remove_store(store_folder(SPEC))
    del first
    last, _ = load_part(test[:5], SPEC, "test", limit)
    assert isinstance(last.images, MappedPixels)
    check_pixels(last, test[:5])
    check_pixels(last.select(chosen), [test[index] for index in chosen])


@pytest.mark.parametrize("moment", ["while it decodes", "before it maps"])
def test_a_store_is_not_removed_while_it_is_filled(
    split_folder, samples, monkeypatch, moment
) -> None:
    """Another training makes room for its photos while the first decodes its own."""
    limit, test = 4.5 * ROW / 1e9, index_dataset(split_folder).parts["test"]
    calls, others = [], []

    def interrupted(function, count):
        def call(*args):
            calls.append(args)
            if len(calls) == count:
                others.append(load_part(test[:4], SPEC, "test", limit)[0])
            return function(*args)

        return call

    monkeypatch.setattr(pixels, "_CHUNK", 1)
    if moment == "while it decodes":
        monkeypatch.setattr(pixel_store, "preprocess", interrupted(preprocess, 3))
    else:
        monkeypatch.setattr(pixels, "check_failures", interrupted(pixels.check_failures, 1))
    photos, _ = load_part(samples[:4], SPEC, "train", limit)
    assert isinstance(photos.images, MappedPixels)
    check_pixels(photos, samples[:4])
    check_pixels(others[0], test[:4])


def test_the_limit_holds_while_others_fill(samples) -> None:
    """Two find room for themselves and none for both: the second is told when it writes."""
    folder, limit = store_folder(SPEC), 5 * ROW

    def read(store, some):
        return [(sample.path, store.decode(sample.path)) for sample in some]

    with PixelStore(folder, SPEC) as one, PixelStore(folder, SPEC) as two:
        ours, theirs = read(one, samples[:4]), read(two, samples[4:6])
        two.add(theirs, limit)
        with pytest.raises(OSError, match="taken the room"):
            one.add(ours, limit)
        assert one.rows() == 2
        one.add(ours[:3], limit)
        other = PreprocessSpec(32, 24, fit="pad")
        with (
            PixelStore(store_folder(other), other) as three,
            pytest.raises(OSError, match="taken the room"),
        ):
            three.add(read(three, samples[6:7]), limit)


# Damage and company


@pytest.mark.parametrize("kind", ["the photo", "the memory", "the disk"])
def test_what_could_not_be_decoded_is_tried_again(samples, monkeypatch, kind: str) -> None:
    """Only this training does without: the next may have more memory, or a disk that reads."""
    bad = Path(samples[0].path)

    def fail(photo, spec):
        if photo == content:
            raise ImageError(f"<bytes>: damaged or cut off ({kind}).")
        return preprocess(photo, spec)

    content = bad.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(pixel_store, "preprocess", fail)
        _, failures = load_part(samples, SPEC, "train")
        assert failures == [(str(bad), f"damaged or cut off ({kind}).")]
    photos, failures = load_part(samples, SPEC, "train")
    assert failures == []
    check_pixels(photos, samples)


def test_a_photo_is_read_once(samples, monkeypatch) -> None:
    """Checksum and pixels are of the same bytes."""
    opened, plain = [], open

    def noted(path, *args, **kwargs):
        opened.append(path)
        return plain(path, *args, **kwargs)

    monkeypatch.setattr("builtins.open", noted)
    load_part(samples, SPEC, "train")
    paths = [sample.path for sample in samples]
    assert sorted(path for path in opened if path in paths) == sorted(paths)


def test_a_pipe_is_not_waited_for(make_photos, tmp_path) -> None:
    folder = make_photos(tmp_path / "photos", count=20)
    os.mkfifo(folder / "green" / "pipe.jpg")
    samples = [Sample(str(path), 0) for path in sorted(folder.rglob("*.*"))]
    _, failures = load_part(samples, SPEC, "val")
    assert failures == [(str(folder / "green" / "pipe.jpg"), "not a regular file.")]


def test_many_photos_of_another_format_are_one_line(samples, caplog) -> None:
    for sample in samples[:5]:
        with Image.open(sample.path) as image:
            image.save(sample.path, "BMP")
    load_part(samples, SPEC, "train")
    lines = [line.getMessage() for line in caplog.records if "in spite" in line.getMessage()]
    assert len(lines) == 1
    assert lines[0].startswith(f"{samples[0].path}: holds a BMP in spite of its name, and so are 4")
    caplog.clear()
    streamed, _ = load_part(samples, SPEC, "train", limit_gb=0)
    assert isinstance(streamed.images, StreamedPixels)
    assert len(streamed.images[:]) == 24
    assert "in spite" not in caplog.text, "not once an epoch, either"


def test_ctrl_c_while_decoding(samples, monkeypatch) -> None:
    """`fit` turns the first signal into a question, which is looked at here, too."""
    monkeypatch.setattr(stopping, "_asked", [KeyboardInterrupt])
    with pytest.raises(KeyboardInterrupt):
        load_part(samples, SPEC, "train")


def test_few_large_photos_are_decoded_at_once(samples, monkeypatch) -> None:
    """As many as there are threads to decode them, if their pixels take a lot of memory."""
    counts, add = [], PixelStore.add

    def noted(store, photos, limit):
        counts.append(len(photos))
        return add(store, photos, limit)

    monkeypatch.setattr(PixelStore, "add", noted)
    monkeypatch.setattr(pixels, "_threads", lambda: 2)
    monkeypatch.setattr(pixels, "_CHUNK_BYTES", 9 * ROW)
    load_part(samples, SPEC, "train")
    assert counts == [9, 9, 6]
    counts.clear()
    monkeypatch.setattr(pixels, "_CHUNK_BYTES", ROW)
    other = PreprocessSpec(32, 24, fit="pad")
    load_part(samples, other, "train")
    assert counts == [4] * 6


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


_COMPETE = """
import sys
import numpy as np
from edge_runtime.manifest import PreprocessSpec
from edge_runtime.preprocess import preprocess
from trainer.data.dataset import Sample
from trainer.data.pixels import load_part
import trainer.data.pixels
trainer.data.pixels._CHUNK = 2
limit, fit, *paths = sys.argv[1:]
spec = PreprocessSpec(32, 24, fit=fit)
expected = [preprocess(path, spec) for path in paths]
print("ready", flush=True)
sys.stdin.readline()
for turn in range(40):
    photos, _ = load_part([Sample(path, 0) for path in paths], spec, "train", float(limit))
    some = photos.select(np.arange(0, len(paths), 2))
    assert (photos.images[:] == expected).all(), "pixels of other photos"
    assert (some.images[:] == expected[::2]).all(), "pixels of other photos"
    del photos, some
"""


@pytest.mark.parametrize("fits", [("crop", "crop", "crop"), ("crop", "pad", "stretch")])
def test_processes_that_make_room_leave_each_other_their_pixels(samples, cache, fits) -> None:
    """Three sets of 8 photos of which only one fits, in one store, and in a store each."""
    limit = 9 * ROW + (100_000 if len(set(fits)) > 1 else 0)  # the indices of other stores count
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", _COMPETE, str(limit / 1e9), fit]
            + [sample.path for sample in samples[8 * number : 8 * number + 8]],
            cwd=Path(__file__).parents[2],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for number, fit in enumerate(fits)
    ]
    for process in processes:
        assert process.stdout.readline() == b"ready\n"
    for process in processes:
        process.stdin.write(b"\n")
        process.stdin.flush()
    for process in processes:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors.decode()
    assert sum(file.stat().st_size for file in cache.rglob("pixels.bin")) <= limit


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
    assert other_stores(store_folder(SPEC)) == []
