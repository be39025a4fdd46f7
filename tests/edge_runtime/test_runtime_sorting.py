"""Sorting photos into folders: nothing lost, nothing overwritten, and all of it undone."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from color_model import COLORS, ColorModels, paint

from edge_runtime.cli import cli
from edge_runtime.errors import DataError, SystemFailure, UsageError
from edge_runtime.prediction import Prediction
from edge_runtime.sorting import moving
from edge_runtime.sorting.log import read_log
from edge_runtime.sorting.sorter import Sorter, folder_names
from edge_runtime.sorting.undoing import undo

ROOT = Path(__file__).parents[2]
LABELS = ("red", "green")


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def answer(path: Path, index: int = 0, unknown: bool = False) -> Prediction:
    return Prediction(path=str(path), label=LABELS[index], index=index, score=1.0, unknown=unknown)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder but the logs."""
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in folder.rglob("*")
        if file.is_file() and not file.name.startswith("undo-")
    }


def write(file: Path, content: bytes = b"photo") -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    os.utime(file, ns=(10**18, 10**18 + 123_000_000))
    return file


@pytest.fixture
def sorted_into(tmp_path: Path) -> Path:
    return tmp_path / "sorted"


@pytest.mark.parametrize("option", ["--move-to", "--copy-to"])
def test_command_and_its_undoing(color_models: ColorModels, tmp_path: Path, option: str) -> None:
    """From the photos to the folders and back, with the results saying where each photo is."""
    inbox, target = tmp_path / "in", tmp_path / "in" / "sorted"
    for name, color in (("a.jpg", "red"), ("x/a.jpg", "blue"), ("y/a.jpg", "red")):
        paint(inbox / name, COLORS[color], (48, 40 + len(name)))
    (inbox / "bad.jpg").write_text("no photo")
    before = contents(inbox)
    result = run("image", "--model", color_models.tflite, inbox, option, target, "--json")
    assert result.exit_code == 1
    places = {a["path"]: a["sorted"] for a in map(json.loads, result.stdout.splitlines())}
    assert places == {
        f"{inbox}/a.jpg": f"{target}/red/a.jpg",
        f"{inbox}/bad.jpg": None,
        f"{inbox}/x/a.jpg": f"{target}/blue/a.jpg",
        f"{inbox}/y/a.jpg": f"{target}/red/a-2.jpg",
    }
    moved = option == "--move-to"
    assert (inbox / "bad.jpg").exists() and (inbox / "a.jpg").exists() is not moved
    assert (target / "red/a-2.jpg").read_bytes() == before["y/a.jpg"]
    if not moved:  # again: the same bytes are there already, and the copies are no input
        again = run("image", "--model", color_models.tflite, inbox, option, target)
        assert len(contents(target)) == 3 and "3 were there already" in again.stderr
        assert again.stdout.count("\n") == 4
    back = run("undo", target, "--json")
    assert back.exit_code == 0, back.stderr
    count = json.loads(back.stdout)
    assert (count["moved_back"], count["copies_removed"]) == ((3, 0) if moved else (0, 3))
    assert contents(inbox) == before
    assert not any(path.is_dir() for path in target.iterdir())
    assert run("undo", target).exit_code == 2  # nothing is left to undo


def test_move_keeps_times_and_never_overwrites(tmp_path: Path, sorted_into: Path) -> None:
    write(sorted_into / "red/a.jpg", b"another")
    photo = write(tmp_path / "a.jpg")
    sorter = Sorter(str(sorted_into), LABELS, move=True)
    assert sorter.place(answer(photo)) == f"{sorted_into}/red/a-2.jpg"
    moved = sorted_into / "red/a-2.jpg"
    assert moved.stat().st_mtime_ns == 10**18 + 123_000_000 and not photo.exists()
    assert (sorted_into / "red/a.jpg").read_bytes() == b"another"
    twin = write(tmp_path / "a.jpg", b"another")
    assert sorter.place(answer(twin)) == f"{sorted_into}/red/a.jpg"
    assert twin.exists() and (sorter.placed, sorter.same) == (1, 1)
    assert sorter.place(answer(moved)) == str(moved)  # at its place already


def test_unknown_and_unreadable(tmp_path: Path, sorted_into: Path) -> None:
    sorter = Sorter(str(sorted_into), LABELS, move=True)
    assert sorter.place(Prediction(path="x.jpg", error="x.jpg: damaged")) is None
    assert not sorted_into.exists()
    photo = write(tmp_path / "a.jpg")
    assert sorter.place(answer(photo, unknown=True)) == f"{sorted_into}/unknown/a.jpg"
    with pytest.raises(DataError, match="vanished"):
        sorter.place(answer(photo))


def test_folder_names() -> None:
    labels = [
        "a/b",
        "..",
        "Cat",
        "cat",
        "unknown",
        "CON?",
        " x. ",
        "",
        "日本",
        "l" * 300,
        "unknown",
    ]
    assert folder_names(labels) == [
        "a_b", "_ (1)", "Cat (2)", "cat (3)", "unknown (4)", "CON_", "x", "_ (7)", "日本",
        "l" * 120, "unknown",
    ]  # fmt: skip
    assert len(folder_names(["語" * 100, "unknown"])[0].encode()) <= 120


@pytest.mark.parametrize("move", [True, False])
@pytest.mark.parametrize("refusal", [errno.EXDEV, errno.EPERM])
def test_other_file_systems(
    tmp_path: Path, sorted_into: Path, monkeypatch: pytest.MonkeyPatch, refusal: int, move: bool
) -> None:
    """Where no hard link can be made: across file systems, and on FAT."""

    def refuse(source: str, *_: object, **__: object) -> None:
        if refusal == errno.EPERM or source.endswith(".jpg"):
            raise OSError(refusal, os.strerror(refusal))
        link(source, *_, **__)

    link = os.link
    monkeypatch.setattr(os, "link", refuse)
    write(sorted_into / "red/a.jpg", b"another")
    photo = write(tmp_path / "a.jpg")
    sorter = Sorter(str(sorted_into), LABELS, move=move)
    assert sorter.place(answer(photo)) == f"{sorted_into}/red/a-2.jpg"
    assert photo.exists() is not move
    assert contents(sorted_into) == {"red/a.jpg": b"another", "red/a-2.jpg": b"photo"}
    assert (sorted_into / "red/a-2.jpg").stat().st_mtime_ns == 10**18 + 123_000_000
    undo(str(sorted_into))
    assert photo.read_bytes() == b"photo" and contents(sorted_into) == {"red/a.jpg": b"another"}
    assert photo.stat().st_mtime_ns == 10**18 + 123_000_000


def test_a_copy_that_differs_is_no_move(
    tmp_path: Path, sorted_into: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The original goes only once the copy has been read back."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EXDEV, "other file system")

    monkeypatch.setattr(os, "link", refuse)
    monkeypatch.setattr(moving, "_digest", lambda _: "of a bad memory card")
    photo = write(tmp_path / "a.jpg")
    with pytest.raises(DataError, match="differs"):
        Sorter(str(sorted_into), LABELS, move=True).place(answer(photo))
    assert photo.exists() and contents(sorted_into) == {}


def test_links_are_moved_as_links(tmp_path: Path, sorted_into: Path) -> None:
    """What a link pointed to it still points to, there and back."""
    photo = write(tmp_path / "real/a.jpg")
    link = tmp_path / "in" / "l.jpg"
    link.parent.mkdir()
    link.symlink_to("../real/a.jpg")
    Sorter(str(sorted_into), LABELS, move=True).place(answer(link))
    assert (sorted_into / "red/l.jpg").is_symlink() and not os.path.lexists(link)
    assert (sorted_into / "red/l.jpg").read_bytes() == b"photo" and photo.exists()
    undo(str(sorted_into))
    assert os.readlink(link) == "../real/a.jpg"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES])
@pytest.mark.parametrize("function", ["link", "unlink"])
def test_refusals_of_the_system(
    tmp_path: Path, sorted_into: Path, monkeypatch: pytest.MonkeyPatch, number: int, function: str
) -> None:
    """The photo stays where it is, nothing of it is left elsewhere, and the log says so."""
    photo = write(tmp_path / "a.jpg")
    real = getattr(os, function)

    def refuse(path: str, *rest: object, **more: object) -> None:
        if path == str(photo):
            raise OSError(number, os.strerror(number), path)
        real(path, *rest, **more)

    monkeypatch.setattr(os, function, refuse)
    sorter = Sorter(str(sorted_into), LABELS, move=True)
    with pytest.raises(SystemFailure):
        sorter.place(answer(photo))
    assert photo.read_bytes() == b"photo" and contents(sorted_into) == {}
    assert [action.done for action in read_log(str(sorter.log.path))[0]] == [False]


def test_full_disk_is_exit_code_6(color_models: ColorModels, tmp_path: Path) -> None:
    """A limit of 2000 bytes a file stands for the disk; the log fits, the second photo does not."""
    import resource

    from PIL import Image

    small = paint(tmp_path / "in/a.png", COLORS["red"])
    Image.effect_noise((64, 64), 90).convert("RGB").save(tmp_path / "in/b.png")
    assert small.stat().st_size < 1000 and (tmp_path / "in/b.png").stat().st_size > 2000
    done = subprocess.run(
        [sys.executable, "-m", "edge_runtime.cli", "image", "--model", color_models.tflite,
         tmp_path / "in", "--copy-to", tmp_path / "sorted"],
        capture_output=True, text=True, cwd=ROOT,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000)),
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip
    assert done.returncode == 6, done.stderr
    assert "Traceback" not in done.stderr and "too large" in done.stderr
    assert list(contents(tmp_path / "sorted")) == ["red/a.png"]


_KILLED = """
import os, signal, sys
from edge_runtime.prediction import Prediction
from edge_runtime.sorting.sorter import Sorter
from edge_runtime.sorting import moving
photo, folder, point, move = sys.argv[1:]
count = 0
def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)
def after(function):
    def then_die(*arguments, **more):
        function(*arguments, **more)
        die()
    return then_die
if point == "before":
    os.link = die
elif point == "between":
    os.link = after(os.link)
elif point == "after":
    moving.os.unlink = after(os.unlink)
elif point == "across":
    real = os.link
    def across(source, target):
        if not source.endswith(".part"):
            raise OSError(18, "other file system")
        real(source, target)
        die()
    os.link = across
elif point == "placeholder":
    def refuse(*_):
        raise OSError(1, "no hard links here")
    os.link, os.replace = refuse, die
elif point == "part":
    def across(source, target):
        if source.endswith(".part"):
            die()
        raise OSError(18, "other file system")
    os.link = across
Sorter(folder, ("red", "green"), move == "move").place(
    Prediction(path=photo, label="red", index=0, score=1.0)
)
"""


@pytest.mark.parametrize(
    ("point", "how"),
    [(point, "move") for point in ("before", "between", "after", "across", "part", "placeholder")]
    + [(point, "copy") for point in ("before", "between", "after", "placeholder")],
)
def test_killed_at_any_moment(tmp_path: Path, sorted_into: Path, point: str, how: str) -> None:
    """The photo is whole somewhere, and the log is enough to bring it back and clean up."""
    photo = write(tmp_path / "a.jpg")
    done = subprocess.run(
        [sys.executable, "-c", _KILLED, photo, sorted_into, point, how], cwd=ROOT, check=False
    )
    assert done.returncode == -signal.SIGKILL
    assert b"photo" in {**contents(tmp_path)}.values()
    result = undo(str(sorted_into))
    assert result.left == []
    assert contents(tmp_path) == {"a.jpg": b"photo"}
    assert photo.stat().st_mtime_ns == 10**18 + 123_000_000
    assert [path.suffix for path in sorted_into.iterdir()] == [".undone"]


def test_half_a_line_at_the_end_of_the_log(tmp_path: Path, sorted_into: Path) -> None:
    photo = write(tmp_path / "a.jpg")
    sorter = Sorter(str(sorted_into), LABELS, move=True)
    sorter.place(answer(photo))
    sorter.close()
    with open(str(sorter.log.path), "a") as log:
        log.write('{"n": 2, "do": "mo')
    assert undo(str(sorter.log.path)).moved_back == 1 and photo.exists()


def test_undo_overwrites_and_loses_nothing(tmp_path: Path, sorted_into: Path) -> None:
    """What was changed since is left and named; once it is out of the way, undoing goes on."""
    first, second = write(tmp_path / "a.jpg"), write(tmp_path / "b.jpg", b"other")
    sorter = Sorter(str(sorted_into), LABELS, move=True)
    sorter.place(answer(first))
    sorter.place(answer(second, 1))
    write(first, b"newcomer")
    result = run("undo", sorted_into)
    assert result.exit_code == 1 and "another file lies at" in result.stdout
    assert first.read_bytes() == b"newcomer" and second.read_bytes() == b"other"
    first.unlink()
    assert run("undo", sorted_into).exit_code == 0 and first.read_bytes() == b"photo"


@pytest.mark.parametrize("change", ["copy", "original", "gone"])
def test_undo_keeps_the_only_copy(tmp_path: Path, sorted_into: Path, change: str) -> None:
    photo = write(tmp_path / "a.jpg")
    Sorter(str(sorted_into), LABELS, move=False).place(answer(photo))
    copy = sorted_into / "red/a.jpg"
    if change == "gone":
        photo.unlink()
    else:
        write(copy if change == "copy" else photo, b"changed")
    kept = copy.read_bytes()
    result = undo(str(sorted_into))
    assert [path for path, _ in result.left] == [str(copy)] and copy.read_bytes() == kept


@pytest.mark.parametrize(
    ("text", "kind", "said"),
    [
        (None, UsageError, "no such log"),
        ("hello\n", DataError, "expected the log"),
        ('{"edge_classify_sorting": 9}\n', DataError, "another version"),
        (
            '{"edge_classify_sorting": 1}\n{"n": 1, "do": "copy", "from": "/x", "to": "../y",'
            ' "part": "z"}\n',
            DataError,
            "leads out",
        ),
    ],
)
def test_no_log(tmp_path: Path, text: str | None, kind: type[Exception], said: str) -> None:
    log = tmp_path / "undo-1.jsonl"
    if text is not None:
        log.write_text(text)
    with pytest.raises(kind, match=said):
        undo(str(log))


def test_wrong_use(color_models: ColorModels, tmp_path: Path) -> None:
    photo = paint(tmp_path / "p.png", COLORS["red"])
    both = run("image", "--model", color_models.tflite, photo, "--copy-to", "a", "--move-to", "b")
    assert both.exit_code == 2 and "one of them" in both.stderr
    (tmp_path / "sorted").mkdir()
    (tmp_path / "sorted/red").write_text("a file")
    taken = run("image", "--model", color_models.tflite, photo, "--move-to", tmp_path / "sorted")
    assert taken.exit_code == 2 and photo.exists()


def test_many_photos_of_one_name(tmp_path: Path, sorted_into: Path) -> None:
    """Beyond the first hundred the free number is found by steps; none is overwritten."""
    sorter = Sorter(str(sorted_into), LABELS, move=True)
    for number in range(250):
        sorter.place(answer(write(tmp_path / "latest.jpg", b"%d" % number)))
    assert len(set(contents(sorted_into).values())) == 250


def test_ctrl_c_waits_for_the_photo(
    tmp_path: Path, sorted_into: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A signal in the middle of a move is answered when the photo is at its place."""
    photo = write(tmp_path / "a.jpg")
    link = os.link

    def interrupted(*arguments: str) -> None:
        link(*arguments)
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(os, "link", interrupted)
    sorter = Sorter(str(sorted_into), LABELS, move=True)
    with pytest.raises(KeyboardInterrupt):
        sorter.place(answer(photo))
    assert contents(tmp_path) == {"sorted/red/a.jpg": b"photo"} and sorter.placed == 1
    assert [action.done for action in read_log(str(sorter.log.path))[0]] == [True]
