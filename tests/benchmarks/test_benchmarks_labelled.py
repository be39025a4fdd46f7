"""Class folders get the bundle's indices; what does not fit is refused with a remedy."""

from __future__ import annotations

import logging

import pytest
from bench_models import COLORS

from benchmarks.labelled import labelled_photos
from edge_runtime.errors import DatasetError, UsageError

NAMES = tuple(COLORS)  # red, green, blue: not the alphabetical order


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def test_index_is_the_bundles_and_not_the_folders(tmp_path):
    touch(tmp_path, "blue/a.jpg", "green/deep/b.PNG", "blue/notes.txt", ".git/c.jpg", "d.jpg")
    assert labelled_photos(tmp_path, NAMES) == [
        (str(tmp_path / "blue/a.jpg"), 2),
        (str(tmp_path / "green/deep/b.PNG"), 1),
    ]


def test_missing_folder(tmp_path):
    with pytest.raises(UsageError, match="nowhere: no such folder"):
        labelled_photos(tmp_path / "nowhere", NAMES)


def test_folder_that_is_no_class_is_refused(tmp_path):
    touch(tmp_path, "red/a.jpg", "purple/a.jpg")
    with pytest.raises(DatasetError, match=r"purple among.*red, green, blue\.$"):
        labelled_photos(tmp_path, NAMES)


def test_folder_of_parts_names_the_test_part(tmp_path):
    touch(tmp_path, "train/red/a.jpg", "test/red/a.jpg")
    with pytest.raises(DatasetError, match=r"Did you mean .*/test\?"):
        labelled_photos(tmp_path, NAMES)


def test_no_photo_at_all(tmp_path):
    with pytest.raises(DatasetError, match="no photo in a class folder"):
        labelled_photos(tmp_path, NAMES)


def test_empty_class_folder_is_warned_of(tmp_path, caplog):
    touch(tmp_path, "red/a.jpg")
    (tmp_path / "green").mkdir()
    with caplog.at_level(logging.WARNING, "benchmarks"):
        logging.getLogger("benchmarks").propagate = True  # a command run before turned it off
        assert len(labelled_photos(tmp_path, NAMES)) == 1
    assert "green: no photo" in caplog.text
