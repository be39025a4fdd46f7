"""``edge-train split``: which photo goes where, what stays together, copies and links."""

from __future__ import annotations

import errno
import json
import os
import shutil
import sys

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from edge_runtime.errors import (
    DatasetError,
    MissingComponent,
    OutputExists,
    SystemFailure,
    UsageError,
)
from edge_runtime.files import sha256_file
from trainer.cli import cli
from trainer.data.dataset import index_dataset
from trainer.data.grouping import equal_files, group_keys, join_groups
from trainer.data.split import create_train_val_test_split, plan_split
from trainer.data.stratify import check_ratios, fill_up, stratified_parts


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

    monkeypatch.setattr("trainer.data.placing.shutil.copy2", refuse)
    with pytest.raises(SystemFailure, match=os.strerror(code)):
        create_train_val_test_split(photo_folder, tmp_path / "out")
    assert [p.name for p in tmp_path.iterdir()] == ["photos"]


def test_without_scikit_learn_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.model_selection", None)
    with pytest.raises(MissingComponent, match=r"edge-classify\[train\]"):
        stratified_parts(["a"] * 10, (0.8, 0.1, 0.1), 0)


# groups -----------------------------------------------------------------------------------------


def test_group_keys():
    """The file name; the whole path if the pattern has a slash; parentheses or all of it."""
    paths = ["d/cat/obj1_a.jpg", "d/cat/obj1_b.jpg", "d/dog/obj2_a.jpg", "d/dog/s7/new.jpg"]
    assert group_keys(paths, r"^([^_]+)_") == ["obj1", "obj1", "obj2", "d/dog/s7/new.jpg"]
    assert group_keys(paths, r"^obj\d") == ["obj1", "obj1", "obj2", "d/dog/s7/new.jpg"]
    assert group_keys(paths, r"/(cat|s\d)/") == ["cat", "cat", "d/dog/obj2_a.jpg", "s7"]
    assert group_keys(paths, r"(obj1)|obj2|new") == ["obj1", "obj1", "obj2", "new"]
    assert group_keys([], "x") == []
    with pytest.raises(UsageError, match="no regular expression"):
        group_keys(paths, "(")
    with pytest.raises(UsageError, match=r"matches none of 4 photos.*obj1_a"):
        group_keys(paths, "IMG")


def test_groups_that_share_a_photo_are_one():
    assert join_groups(6, [[1, 4], [2, 3], [4, 5]]) == [0, 1, 2, 2, 1, 1]
    assert join_groups(4, [[3, 1], [1, 0], [2, 3]]) == [0, 0, 0, 0]
    assert join_groups(2, []) == [0, 1]


@pytest.mark.parametrize(
    ("wished", "taken", "count", "expected"),
    [
        ([8, 1, 1], [0, 0, 0], 10, [8, 1, 1]),
        ([8, 1, 1], [6, 0, 0], 4, [2, 1, 1]),
        ([8, 1, 1], [10, 0, 0], 2, [0, 1, 1]),
        ([8, 1, 1], [0, 3, 0], 7, [6, 0, 1]),
        ([6, 2, 2], [0, 0, 5], 5, [3, 2, 0]),
        ([8, 1, 1], [5, 5, 0], 0, [0, 0, 0]),
    ],
)
def test_single_items_fill_up(wished, taken, count, expected):
    assert fill_up(wished, taken, count) == expected


def parts_of(groups, parts):
    """Set of the parts of each group."""
    found = {}
    for group, part in zip(groups, parts, strict=True):
        found.setdefault(group, set()).add(part)
    return found


def check_split(labels, groups, parts):
    assert all(len(where) == 1 for where in parts_of(groups, parts).values())
    for label in set(labels):
        assert {p for name, p in zip(labels, parts, strict=True) if name == label} == {
            "train",
            "val",
            "test",
        }


@pytest.mark.parametrize("seed", range(5))
def test_groups_stay_together_near_the_ratios(seed):
    """Objects with 2 to 12 photos, 40 a class: a class's share is off by at most 3 points.

    A group is up to 12 of about 280 photos, so that the best possible is half of that, 2 points.
    """
    random = np.random.default_rng(seed)
    labels, groups = [], []
    for number in range(160):
        size = int(random.integers(2, 13))
        labels += [f"class {number % 4}"] * size
        groups += [number] * size
    parts = stratified_parts(labels, (0.7, 0.15, 0.15), seed, groups)
    check_split(labels, groups, parts)
    for label in set(labels):
        own = [p for name, p in zip(labels, parts, strict=True) if name == label]
        for part, ratio in (("train", 0.7), ("val", 0.15), ("test", 0.15)):
            assert abs(own.count(part) / len(own) - ratio) < 0.03
    assert parts == stratified_parts(labels, (0.7, 0.15, 0.15), seed, groups)
    assert parts != stratified_parts(labels, (0.7, 0.15, 0.15), seed + 1, groups)


@pytest.mark.parametrize("seed", range(5))
def test_groups_across_classes(seed):
    """Twelve people, each in every class: no person is in two parts, no class out of any."""
    random = np.random.default_rng(seed)
    labels, groups = [], []
    for person in range(12):
        for label in ("point", "wave", "fist"):
            size = int(random.integers(1, 9))
            labels += [label] * size
            groups += [person] * size
    parts = stratified_parts(labels, (0.6, 0.2, 0.2), seed, groups)
    check_split(labels, groups, parts)
    assert abs(parts.count("train") / len(parts) - 0.6) < 0.1  # a person is 8 %


@pytest.mark.parametrize("sizes", [(20, 1, 1), (9, 9, 9), (5, 5, 1, 1), (30, 2, 2, 2)])
def test_no_part_is_empty_with_few_groups(sizes):
    groups = [number for number, size in enumerate(sizes) for _ in range(size)]
    labels = ["a"] * len(groups) + ["b"] * 10
    groups += range(100, 110)
    check_split(labels, groups, stratified_parts(labels, (0.8, 0.1, 0.1), 0, groups))


def test_a_class_without_groups_is_split_as_ever():
    ratios, alone = (0.6, 0.2, 0.2), ["a"] * 20
    parts = stratified_parts(alone + ["b"] * 20, ratios, 3, [*range(20), *([50, 51, 52, 53] * 5)])
    assert parts[:20] == stratified_parts(alone, ratios, 3)
    assert stratified_parts(alone, ratios, 3, range(20)) == stratified_parts(alone, ratios, 3)


def test_too_few_groups_names_class_and_counts():
    with pytest.raises(DatasetError, match=r"'b': its photos belong to 2 groups.*--group-by"):
        stratified_parts(
            ["a"] * 9 + ["b"] * 9, (0.8, 0.1, 0.1), 0, [*range(9), *([20, 21, 21] * 3)]
        )
    # Three groups a class would do, were they not the same three and one with a single class.
    labels = ["a", "a", "b", "b", "a", "b", "a"]
    with pytest.raises(DatasetError, match="belong to"):
        stratified_parts(labels, (0.8, 0.1, 0.1), 0, [0, 0, 0, 0, 1, 1, 1])


def objects(folder, classes=("cup", "plate"), count=12, views=3):
    """``count`` objects a class with ``views`` photos each, ``cup3_view0.png``."""
    random = np.random.default_rng(0)
    for name in classes:
        (folder / name).mkdir(parents=True)
        for number in range(count):
            for view in range(views):
                pixels = random.integers(0, 256, (8, 8, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / name / f"{name}{number}_view{view}.png")
    return folder


def test_group_by_on_disk_and_in_memory(tmp_path):
    source = objects(tmp_path / "objects")
    shutil.copy(source / "cup" / "cup0_view0.png", source / "cup" / "other.png")
    result = CliRunner().invoke(
        cli,
        ["split", str(source), str(tmp_path / "out"), "--ratios", "0.5,0.25,0.25",
         "--group-by", "^([a-z]+[0-9]+)_", "--json"],
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    assert "does not match 1 of 73 photos" in result.stderr
    answer = json.loads(result.stdout)
    assert answer["groups"] == {"groups": 24, "photos": 73, "unmatched": 1}
    assert answer["counts"]["train"]["plate"] == 18
    assert abs(answer["ratios"]["train"] - 0.5) < 0.02 and sum(answer["ratios"].values()) == 1
    files = files_below(tmp_path / "out")
    where = parts_of(
        [os.path.basename(file).split("_")[0] for file in files],
        [file.split(os.sep)[0] for file in files],
    )
    assert where.pop("other.png") == where["cup0"], "a copy goes with the photo that it is of"
    assert len(where) == 24 and all(len(parts) == 1 for parts in where.values())
    in_memory = index_dataset(source, (0.5, 0.25, 0.25), 0, "^([a-z]+[0-9]+)_")
    assert {
        part: {os.path.relpath(sample.path, source) for sample in samples}
        for part, samples in in_memory.parts.items()
    } == {
        part: {file.split(os.sep, 1)[1] for file in files if file.startswith(part)}
        for part in ("train", "val", "test")
    }


def test_copies_of_one_file_stay_together(photo_folder, tmp_path):
    """In a class and across classes, whatever their names; equal sizes alone are nothing."""
    first = photo_folder / "green" / "photo_000.jpg"
    for number in range(4):
        shutil.copy(first, photo_folder / "green" / f"copy_{number}.jpg")
    shutil.copy(photo_folder / "green" / "photo_001.png", photo_folder / "red stripes" / "x.png")
    (photo_folder / "green" / "one.jpg").write_bytes(b"1234")
    (photo_folder / "green" / "two.jpg").write_bytes(b"5678")
    for seed in range(5):
        plan = plan_split(photo_folder, (0.6, 0.2, 0.2), seed)
        assert (plan.groups, plan.grouped, plan.unmatched) == (2, 7, None)
        by_name = {
            os.path.relpath(path, photo_folder): part
            for part, classes in plan.parts.items()
            for paths in classes.values()
            for path in paths
        }
        assert len({by_name[f"green/copy_{number}.jpg"] for number in range(4)}) == 1
        assert by_name["green/copy_0.jpg"] == by_name["green/photo_000.jpg"]
        assert by_name["green/photo_001.png"] == by_name["red stripes/x.png"]


def test_only_files_of_one_size_are_opened(tmp_path, monkeypatch):
    paths = [tmp_path / name for name in ("a", "b", "c", "d")]
    for path, content in zip(paths, (b"1", b"22", b"33", b"22"), strict=True):
        path.write_bytes(content)
    opened = []

    def digest(path):
        opened.append(os.path.basename(path))
        return open(path, "rb").read().hex()

    monkeypatch.setattr("trainer.data.grouping.sha256_file", digest)
    assert equal_files([str(path) for path in [*paths, tmp_path / "absent"]]) == [[1, 3]]
    assert sorted(opened) == ["b", "c", "d"]


def test_large_files_are_read_only_if_they_end_alike(tmp_path, monkeypatch):
    """Pictures that are not compressed have one size."""
    start, read = os.urandom(100_000), []
    for name, end in (("a", b"1"), ("b", b"2"), ("c", b"3"), ("d", b"1")):
        (tmp_path / name).write_bytes(start + end)
    (tmp_path / "e").write_bytes(b"other" + start[5:] + b"3")

    def digest(path):
        read.append(os.path.basename(path))
        return sha256_file(path)

    monkeypatch.setattr("trainer.data.grouping.sha256_file", digest)
    assert equal_files([str(tmp_path / name) for name in "abcde"]) == [[0, 3]]
    assert sorted(read) == ["a", "c", "d", "e"]


def test_near_duplicates_stay_together(tmp_path):
    """Ten photos of a class, each once more as a smaller JPEG."""
    random = np.random.default_rng(0)
    for name in ("a", "b"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(10):
            noise = Image.fromarray(random.integers(0, 256, (12, 12, 3), dtype=np.uint8))
            image = noise.resize((120, 120), Image.Resampling.BICUBIC)
            image.save(tmp_path / "photos" / name / f"{number}.png")
            image.resize((90, 90)).save(tmp_path / "photos" / name / f"{number + 100}.jpg")
    plan = plan_split(tmp_path / "photos", (0.6, 0.2, 0.2), 0, near_duplicates=True)
    assert (plan.groups, plan.grouped) == (20, 40)
    assert plan.counts == {
        "train": {"a": 12, "b": 12},
        "val": {"a": 4, "b": 4},
        "test": {"a": 4, "b": 4},
    }
    for classes in plan.parts.values():
        for paths in classes.values():
            numbers = sorted(int(os.path.basename(path).split(".")[0]) for path in paths)
            assert [n + 100 for n in numbers if n < 100] == [n for n in numbers if n >= 100]
    assert plan_split(tmp_path / "photos", (0.6, 0.2, 0.2), 0).groups == 0


# links ------------------------------------------------------------------------------------------


def test_symlinks_hold_when_the_destination_moves(photo_folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    create_train_val_test_split("photos", "out", link="symlink")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out").rename(tmp_path / "elsewhere" / "out")
    links = list((tmp_path / "elsewhere" / "out").rglob("*.*"))
    assert len(links) == 30 and all(p.is_symlink() for p in links)
    for link in links:
        assert link.read_bytes() == (photo_folder / link.parent.name / link.name).read_bytes()
    samples = index_dataset(tmp_path / "elsewhere" / "out").parts["train"]
    assert len(samples) == 24


def test_hard_links_are_second_names(photo_folder, tmp_path):
    """Of the file that a link leads to, not of the link, which would lead nowhere from there."""
    (photo_folder / "green" / "real.jpg").write_bytes(b"real")
    (photo_folder / "green" / "link.jpg").symlink_to("real.jpg")
    create_train_val_test_split(photo_folder, tmp_path / "out", link="hard")
    made = {p.name: p for p in (tmp_path / "out").rglob("*.jpg") if p.parent.name == "green"}
    assert os.path.samefile(made["link.jpg"], photo_folder / "green" / "real.jpg")
    assert not made["link.jpg"].is_symlink()
    assert (photo_folder / "green" / "photo_000.jpg").stat().st_nlink == 2


@pytest.mark.parametrize(
    ("code", "message"), [(errno.EXDEV, "different file systems"), (errno.EPERM, "refuses them")]
)
def test_hard_links_that_are_not_possible(photo_folder, tmp_path, monkeypatch, code, message):
    def refuse(source, target):
        raise OSError(code, os.strerror(code), source)

    monkeypatch.setattr("trainer.data.placing.os.link", refuse)
    result = CliRunner().invoke(
        cli, ["split", str(photo_folder), str(tmp_path / "out"), "--link", "hard"]
    )
    assert result.exit_code == 2 and message in result.stderr and "--link copy" in result.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["photos"]


def test_bad_group_by_leaves_nothing(photo_folder, tmp_path):
    for pattern, message in (("(", "no regular expression"), ("^IMG_", "matches none of 30")):
        with pytest.raises(UsageError, match=message):
            create_train_val_test_split(photo_folder, tmp_path / "out", group_by=pattern)
    assert [p.name for p in tmp_path.iterdir()] == ["photos"]
