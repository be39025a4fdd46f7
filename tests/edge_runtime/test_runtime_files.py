"""Outputs are whole or absent, and photos are found in a fixed order."""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path

import pytest

from edge_runtime.errors import OutputExists, SystemFailure, UsageError
from edge_runtime.files import (
    atomic_file,
    atomic_folder,
    find_photos,
    refuse_existing,
    refuse_overlap,
    sha256_tree,
    size_of,
)


def test_find_photos(tmp_path: Path) -> None:
    for name in (
        "b/2.JPG",
        "b/1.png",
        "a/x.webp",
        ".git/y.png",
        "a/.z.png",
        "a/n.txt",
        "__MACOSX/q.png",
    ):
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.touch()
    found = [os.path.relpath(path, tmp_path) for path in find_photos(tmp_path)]
    assert found == ["a/x.webp", "b/1.png", "b/2.JPG"]


def test_atomic_file(tmp_path: Path) -> None:
    out = tmp_path / "new" / "x.txt"
    with atomic_file(out) as temporary:
        temporary.write_text("whole")
        assert not out.exists()
    assert out.read_text() == "whole" and os.listdir(out.parent) == ["x.txt"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_nothing_half_written_stays(tmp_path: Path, error: type[BaseException]) -> None:
    """The old contents survive a failure, Ctrl-C included."""
    out, folder = tmp_path / "x.txt", tmp_path / "folder"
    out.write_text("old")
    folder.mkdir()
    (folder / "old").touch()
    with pytest.raises(error), atomic_file(out) as temporary:
        temporary.write_text("ha")
        raise error
    with pytest.raises(error), atomic_folder(folder, overwrite=True) as filled:
        (filled / "half").touch()
        raise error
    assert out.read_text() == "old" and os.listdir(folder) == ["old"]
    assert sorted(os.listdir(tmp_path)) == ["folder", "x.txt"]


def test_existing_output_needs_overwrite(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    refuse_existing(folder, overwrite=False)  # empty: nothing to lose
    (folder / "precious").write_text("1")
    with pytest.raises(OutputExists, match="--overwrite"), atomic_folder(folder):
        pass
    assert (folder / "precious").read_text() == "1"
    with atomic_folder(folder, overwrite=True) as filled:
        (filled / "new").touch()
        assert (folder / "precious").exists()
    assert os.listdir(folder) == ["new"] and os.listdir(tmp_path) == ["run"]


def test_output_that_appears_meanwhile_is_kept(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with pytest.raises(OutputExists), atomic_folder(folder):
        folder.mkdir()
        (folder / "other").touch()
    assert os.listdir(folder) == ["other"]


def test_wrong_kind_of_output(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="is a file"), atomic_folder(tmp_path / "file", True):
        pass
    with pytest.raises(UsageError, match="is a folder"), atomic_file(tmp_path):
        pass


def test_places_where_nothing_can_be_made(tmp_path: Path) -> None:
    """A name that the file system cannot hold is no unexpected error."""
    too_long = tmp_path / ("a" * 300 + ".txt")
    with pytest.raises(SystemFailure, match="cannot be made there"), atomic_file(too_long):
        pass
    with pytest.raises(FileNotFoundError), atomic_file(tmp_path / "x.txt"):
        os.stat("elsewhere/of the caller")  # not the output's fault
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EACCES, errno.EROFS])
def test_refusals_of_the_system(tmp_path: Path, code: int) -> None:
    with pytest.raises(SystemFailure, match=r"x\.txt"), atomic_file(tmp_path / "x.txt"):
        raise OSError(code, os.strerror(code))
    assert os.listdir(tmp_path) == []


def test_digest_of_a_folder_sees_names_and_contents(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    first = sha256_tree(tmp_path)
    (tmp_path / "a").rename(tmp_path / "b")
    second = sha256_tree(tmp_path)
    (tmp_path / "b").write_text("2")
    assert len({first, second, sha256_tree(tmp_path)}) == 3 and size_of(tmp_path) == 1


@pytest.mark.parametrize(
    ("first", "second", "overlap"),
    [
        ("a", "a", True),
        ("a", "a/b", True),
        ("a/b", "a", True),
        ("link/b", "a", True),
        ("a/../ab", "a", False),
        ("ab", "a", False),
    ],
)
def test_refuse_overlap(tmp_path: Path, first: str, second: str, overlap: bool) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "link").symlink_to("a")
    with pytest.raises(UsageError, match="no") if overlap else contextlib.nullcontext():
        refuse_overlap(tmp_path / first, tmp_path / second, "no")
