"""create_train_val_test_split and the function that assigns photos to parts."""

from __future__ import annotations

import errno
import os
import shutil
import sys

import pytest

from edge_runtime.errors import (
    DatasetError,
    MissingComponent,
    OutputExists,
    SystemFailure,
    UsageError,
)
from trainer.split import check_ratios, create_train_val_test_split, stratified_parts


def files_below(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


@pytest.mark.parametrize("ratios", [(0.8, 0.1, 0.1), (0.6, 0.2, 0.2), (0.7, 0.3, 0), (0.5, 0, 0.5)])
@pytest.mark.parametrize("count", [3, 4, 7, 10, 15, 101])
def test_each_class_is_divided_in_proportion(ratios, count):
    """Within one photo of the exact share, unless a part would stay empty."""
    parts = stratified_parts(["a"] * count + ["b"] * 2 * count, ratios, seed=1)
    for members in (parts[:count], parts[count:]):
        for part, ratio in zip(("train", "val", "test"), ratios, strict=True):
            found, exact = members.count(part), len(members) * ratio
            if ratio == 0:
                assert found == 0
            else:
                assert found >= 1
                # Each of the two held-out parts may have taken one photo to be not empty.
                assert abs(found - exact) < 1 or len(members) < 10, (part, found, exact)
        assert len(members) == sum(map(members.count, ("train", "val", "test")))


def test_ties_do_not_always_go_to_the_same_part():
    """15 photos at 0.8/0.1/0.1 leave half a photo each to val and test; 40 classes share them."""
    labels = [f"class {i}" for i in range(40) for _ in range(15)]
    parts = stratified_parts(labels, (0.8, 0.1, 0.1), seed=0)
    # Binomial(40, 1/2): outside of 10..30 with a chance of 0.1 %; the seed is fixed.
    assert 40 + 10 <= parts.count("val") <= 40 + 30
    assert parts.count("train") == 40 * 12


def test_ratios_that_are_almost_equal_tie():
    """1 - 0.8 - 0.1 is 0.09999999999999998 and must not always lose the tie."""
    labels = [f"class {i}" for i in range(40) for _ in range(15)]
    exact = stratified_parts(labels, (0.8, 0.1, 0.1), seed=0)
    assert stratified_parts(labels, (0.8, 0.1, 1 - 0.8 - 0.1), seed=0) == exact


def test_the_seed_decides_and_other_classes_do_not():
    a, b = ["a"] * 20, ["b"] * 20
    ratios = (0.8, 0.1, 0.1)
    assert stratified_parts(a, ratios, 0) == stratified_parts(a, ratios, 0)
    assert stratified_parts(a, ratios, 0) != stratified_parts(a, ratios, 1)
    assert stratified_parts(b + a, ratios, 0)[20:] == stratified_parts(a, ratios, 0)
    assert stratified_parts(a + b, ratios, 0)[:20] != stratified_parts(a + b, ratios, 0)[20:]


def test_the_split_of_a_seed_never_changes():
    """Pinned: a new version that splits otherwise would mix training with test photos."""
    found = "".join(part[1] for part in stratified_parts(["a"] * 20, (0.6, 0.2, 0.2), 0))
    assert found == "eaererrrrrraarrrrera"  # tRain, vAl, tEst


@pytest.mark.parametrize(
    ("ratios", "message"),
    [
        ((0.8, 0.1, 0.2), "sum of 1"),
        ((0.8, 0.2), "three numbers"),
        ((1.2, -0.1, -0.1), "0 to 1"),
        ((0, 0.5, 0.5), "train must be above 0"),
        ((float("nan"), 0.5, 0.5), "0 to 1"),
        ((0.8, 0.1, 0.100002), "sum of 1"),
    ],
)
def test_ratios_that_make_no_sense(ratios, message):
    with pytest.raises(UsageError, match=message):
        check_ratios(ratios)


def test_too_few_photos_names_class_and_counts():
    with pytest.raises(DatasetError, match=r"'rare' has 2 photos.*at least 3"):
        stratified_parts(["a"] * 5 + ["rare"] * 2, (0.8, 0.1, 0.1), 0)


def test_copies_every_photo_once(photo_folder, tmp_path):
    before = {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in photo_folder.rglob("*.*")}
    counts = create_train_val_test_split(photo_folder, tmp_path / "out", 0.6, 0.2, 0.2)
    classes = ("blue dots", "green", "red stripes")
    assert counts == {
        "train": dict.fromkeys(classes, 6),
        "val": dict.fromkeys(classes, 2),
        "test": dict.fromkeys(classes, 2),
    }
    copied = [file.split(os.sep, 1)[1] for file in files_below(tmp_path / "out")]
    assert sorted(copied) == files_below(photo_folder)
    for file in (tmp_path / "out").rglob("*.*"):
        source = photo_folder / file.parent.name / file.name
        assert (file.read_bytes(), file.stat().st_mtime_ns) == before[source]
    assert files_below(photo_folder) == sorted(copied)


def test_same_split_whatever_the_file_system_lists_first(photo_folder, tmp_path, monkeypatch):
    create_train_val_test_split(photo_folder, tmp_path / "one", seed=5)
    scandir = os.scandir

    class ReversedScandir:
        """What os.scandir gives, from z to a; os.walk calls it too."""

        def __init__(self, path):
            with scandir(path) as entries:
                self.entries = iter(sorted(entries, key=lambda entry: entry.name, reverse=True))

        def __iter__(self):
            return self

        def __next__(self):
            return next(self.entries)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def close(self):
            pass

    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", ReversedScandir)
        assert next(os.walk(photo_folder))[1] == ["red stripes", "green", "blue dots"]
        create_train_val_test_split(photo_folder, tmp_path / "two", seed=5)
    assert files_below(tmp_path / "one") == files_below(tmp_path / "two")
    create_train_val_test_split(photo_folder, tmp_path / "three", seed=6)
    assert files_below(tmp_path / "one") != files_below(tmp_path / "three")


def test_subfolders_stay_and_other_files_do_not(photo_folder, tmp_path, caplog):
    deep = photo_folder / "green" / "summer 2024" / "Größe"
    deep.mkdir(parents=True)
    for number in range(20):
        shutil.copy(photo_folder / "green" / "photo_000.jpg", deep / f"{number}.jpg")
    (photo_folder / "green" / "notes.txt").write_text("not a photo")
    (photo_folder / "README").write_text("not a photo")
    (photo_folder / "green" / ".DS_Store").write_text("hidden, not counted")
    (photo_folder / ".cache").mkdir()
    (photo_folder / ".cache" / "a.jpg").write_text("hidden, not counted")
    caplog.set_level("INFO", "trainer")
    create_train_val_test_split(photo_folder, tmp_path / "out")
    copied = files_below(tmp_path / "out")
    assert len(copied) == 50
    assert sum("green/summer 2024/Größe/" in file for file in copied) == 20
    assert "2 files that are no photos of a class are not copied" in caplog.text


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS refuses names that are not UTF-8")
def test_file_names_that_are_not_utf8(photo_folder, tmp_path):
    name = os.fsdecode(b"caf\xe9.jpg")
    (photo_folder / "green" / "photo_000.jpg").rename(photo_folder / "green" / name)
    create_train_val_test_split(photo_folder, tmp_path / "out")
    assert sum(file.endswith(name) for file in files_below(tmp_path / "out")) == 1


def test_a_ratio_of_0_makes_no_folder(photo_folder, tmp_path):
    counts = create_train_val_test_split(photo_folder, tmp_path / "out", 0.8, 0.2, 0)
    assert set(counts) == {"train", "val"} == {p.name for p in (tmp_path / "out").iterdir()}


def test_existing_destination_is_left_alone(photo_folder, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").write_text("keep me")
    with pytest.raises(OutputExists, match="--overwrite"):
        create_train_val_test_split(photo_folder, out)
    assert files_below(out) == ["mine.txt"]
    create_train_val_test_split(photo_folder, out, overwrite=True)
    assert len(files_below(out)) == 30


@pytest.mark.parametrize("where", ["photos/out", "photos", ".", "photos/../photos/green"])
def test_source_and_destination_may_not_overlap(photo_folder, tmp_path, where):
    before = files_below(tmp_path)
    with pytest.raises(UsageError, match="inside or around"):
        create_train_val_test_split(photo_folder, tmp_path / where, overwrite=True)
    assert files_below(tmp_path) == before


def test_overlap_through_a_link(photo_folder, tmp_path):
    (tmp_path / "link").symlink_to(photo_folder)
    with pytest.raises(UsageError, match="inside or around"):
        create_train_val_test_split(photo_folder, tmp_path / "link" / "out")


def test_bad_sources(photo_folder, split_folder, tmp_path):
    """Each is refused before anything is written."""
    out = tmp_path / "out"
    with pytest.raises(UsageError, match="no such folder"):
        create_train_val_test_split(tmp_path / "absent", out)
    with pytest.raises(UsageError, match="is a file"):
        create_train_val_test_split(photo_folder / "green" / "photo_000.jpg", out)
    with pytest.raises(DatasetError, match="already"):
        create_train_val_test_split(split_folder, out)
    with pytest.raises(DatasetError, match="folder for each class, found 10 photos without one"):
        create_train_val_test_split(photo_folder / "green", out)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match="nothing"):
        create_train_val_test_split(tmp_path / "empty", out)
    (photo_folder / "nothing here").mkdir()
    with pytest.raises(DatasetError, match="'nothing here'"):
        create_train_val_test_split(photo_folder, out)
    (photo_folder / "nothing here" / "one.jpg").write_bytes(b"")
    with pytest.raises(DatasetError, match=r"photos: class 'nothing here' has 1 photo, "):
        create_train_val_test_split(photo_folder, out)
    assert not out.exists()


def test_a_link_to_nothing_stops_the_split_and_leaves_nothing(photo_folder, tmp_path):
    (photo_folder / "green" / "gone.jpg").symlink_to(tmp_path / "absent")
    with pytest.raises(DatasetError, match=r"gone\.jpg.*link to nothing"):
        create_train_val_test_split(photo_folder, tmp_path / "out")
    assert [p.name for p in tmp_path.iterdir()] == ["photos"]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EACCES])
def test_system_failures_leave_nothing(photo_folder, tmp_path, monkeypatch, code):
    def refuse(source, target):
        raise OSError(code, os.strerror(code), source)

    monkeypatch.setattr("trainer.split.shutil.copy2", refuse)
    with pytest.raises(SystemFailure, match=os.strerror(code)):
        create_train_val_test_split(photo_folder, tmp_path / "out")
    assert [p.name for p in tmp_path.iterdir()] == ["photos"]


def test_without_scikit_learn_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.model_selection", None)
    with pytest.raises(MissingComponent, match=r"edge-classify\[train\]"):
        stratified_parts(["a"] * 10, (0.8, 0.1, 0.1), 0)
