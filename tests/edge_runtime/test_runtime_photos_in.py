"""What names photos on the command line: files, folders, patterns, lists."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from color_model import COLORS, ColorModels, paint

from edge_runtime.cli import cli
from edge_runtime.errors import SystemFailure, UsageError
from edge_runtime.photos.finding import PhotosIn, read_list
from edge_runtime.photos.patterns import matches


def run(*arguments: object, stdin: bytes = b"") -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments], input=stdin)


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with photos at several depths."""
    for name, color in (("b.png", "green"), ("a.jpg", "red"), ("deep/c.bmp", "blue")):
        paint(tmp_path / "in" / name, COLORS[color])
    paint(tmp_path / "in/deep/er/d.jpg", COLORS["red"])
    (tmp_path / "in/notes.txt").write_text("no photo")
    paint(tmp_path / "in/.hidden/x.jpg", COLORS["red"])
    monkeypatch.chdir(tmp_path)
    return tmp_path / "in"


def named(*paths: str, **options: str) -> list[str]:
    groups = PhotosIn(paths, **options).groups()  # type: ignore[arg-type]
    return [found.path for group in groups for found in group]


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("in/*.jpg", ["in/a.jpg"]),
        ("in/*", ["in/a.jpg", "in/b.png", "in/deep/c.bmp", "in/deep/er/d.jpg"]),
        ("in/**", ["in/a.jpg", "in/b.png", "in/deep/c.bmp", "in/deep/er/d.jpg"]),
        ("in/**/*", ["in/a.jpg", "in/b.png", "in/deep/c.bmp", "in/deep/er/d.jpg"]),
        ("in/**/**/*.jpg", ["in/a.jpg", "in/deep/er/d.jpg"]),
        ("**/er/*.jpg", ["in/deep/er/d.jpg"]),
        ("in/[ab].*", ["in/a.jpg", "in/b.png"]),
        ("in/?.png", ["in/b.png"]),
        ("i*/de*/c.bmp", ["in/deep/c.bmp"]),
        ("in/*.txt", ["in/notes.txt"]),
        ("in/.hid*/*.jpg", ["in/.hidden/x.jpg"]),
    ],
)
def test_patterns(photos: Path, pattern: str, found: list[str]) -> None:
    """Photos once each, in order; a pattern with an extension of its own takes what has it."""
    assert named(pattern) == found
    assert named(str(photos.parent / pattern)) == [str(photos.parent / path) for path in found]


def test_a_loop_of_links_is_not_followed(photos: Path) -> None:
    (photos / "deep/loop").symlink_to("..")
    (photos / "deep/loop2").symlink_to(".")
    assert len(named("in")) == len(named("in/**")) == 4
    assert matches("in/**/a.jpg") == ["in/a.jpg"]


def test_a_name_with_wildcards_is_a_file_where_there_is_one(photos: Path) -> None:
    for name in ("[ab].jpg", "*.jpg"):
        paint(photos / name, COLORS["red"])
    assert named("in/[ab].jpg", "in/*.jpg") == ["in/[ab].jpg", "in/*.jpg"]


def test_named_twice_is_answered_twice(photos: Path) -> None:
    assert named("in/a.jpg", "./in/a.jpg", "in/*.jpg") == ["in/a.jpg", "./in/a.jpg", "in/a.jpg"]


@pytest.mark.parametrize(
    ("paths", "said"),
    [
        (["none.jpg"], "no such file"),
        (["in/*.heic"], "no photo matches"),
        (["-", "-"], "given twice"),
        (["in/deep/er/../../../none"], "no such file"),
    ],
)
def test_what_is_not_there_is_a_wrong_use(photos: Path, paths: list[str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        PhotosIn(paths)


def test_a_folder_that_cannot_be_read(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Below another it is named and left out; named itself it is an error (6)."""
    scandir = os.scandir

    def refuse(path: str) -> object:
        if str(path).endswith("er"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    found = PhotosIn(["in"])
    assert found.unread == ["in/deep/er"] and found.total == 3
    with pytest.raises(SystemFailure, match="permission denied"):
        PhotosIn(["in/deep/er"])


def test_lists_are_taken_as_they_come() -> None:
    """What a slow writer has written is classified at once; the last line may lack its end."""
    chunks = iter([b"a\nb\nc", b"d\n\n", b"e\xe9", b""])
    assert list(read_list(lambda _: next(chunks), b"\n")) == [["a", "b"], ["cd"], ["e\udce9"]]
    chunks = iter([b"a\nb\0", b""])
    assert list(read_list(lambda _: next(chunks), b"\0")) == [["a\nb"]]


def test_list_on_standard_input(color_models: ColorModels, photos: Path) -> None:
    """Folders count, too; what is not there is an error line, because no one typed it."""
    result = run(
        "image", "--model", color_models.tflite, "in/b.png", "-", "in/a.jpg", "--top-k", 1,
        stdin=b"in/a.jpg\nin/gone.jpg\nin/deep\n",
    )  # fmt: skip
    assert result.exit_code == 1
    assert [line.split(": ")[:2] for line in result.stdout.splitlines()] == [
        ["in/b.png", "green 1.000"],
        ["in/a.jpg", "red 1.000"],
        ["in/gone.jpg", "error"],
        ["in/deep/c.bmp", "blue 1.000"],
        ["in/deep/er/d.jpg", "red 1.000"],
        ["in/a.jpg", "red 1.000"],
    ]


def test_empty_list_is_nothing_to_do(color_models: ColorModels, photos: Path) -> None:
    """A search in a pipe that finds nothing is no mistake of the command line."""
    result = run("image", "--model", color_models.tflite, "-", stdin=b"")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "nothing to do" in result.stderr


def test_names_with_newlines_and_bytes_that_are_no_utf8(
    color_models: ColorModels, photos: Path
) -> None:
    names = [b"new\nline.png", b"caf\xe9.png", b"\x1b[31mred.png"]
    for name in names:
        os.rename(paint(photos / "x.png", COLORS["red"]), os.fsencode(photos) + b"/" + name)
    command = [sys.executable, "-m", "edge_runtime.cli", "image", "-0", "-", "--top-k", "1"]
    done = subprocess.run(
        [*command, "--model", str(color_models.tflite)],
        input=b"\0".join(b"in/" + name for name in names),
        capture_output=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        rb"in/new\nline.png: red 1.000",
        rb"in/caf\udce9.png: red 1.000",
        rb"in/\x1b[31mred.png: red 1.000",
    ]


def test_output_folders_are_no_input(photos: Path) -> None:
    """A search above leaves them out; one in the folder that is sorted into sorts anew."""
    paint(photos / "sorted/red/z.jpg", COLORS["red"])
    paint(photos / "heat/z.jpg", COLORS["red"])
    outputs = {"sorted_into": "in/sorted", "heatmaps": "in/heat"}
    assert named("in", **outputs) == named("in/**", **outputs)
    assert len(named("in", **outputs)) == 4
    assert named("in/sorted", **outputs) == ["in/sorted/red/z.jpg"]
    for inside in ("in/heat", "in/heat/*"):
        with pytest.raises(UsageError, match="heat maps"):
            named(inside, **outputs)


def test_thousands_of_files(tmp_path: Path) -> None:
    """Ten thousand names are found, sorted and counted in well under the second allowed here.

    Of this process, whatever else the machine does.
    """
    import time

    for number in range(10_000):
        (tmp_path / f"{number:05d}.jpg").touch()
    start = time.process_time()
    found = PhotosIn([str(tmp_path)])
    assert found.total == 10_000 and time.process_time() - start < 1
