"""Moving photos aside and back: nothing is deleted or overwritten, whenever it is interrupted."""

from __future__ import annotations

import errno
import json
import os
import sys

import pytest
from click.testing import CliRunner

from edge_runtime.errors import DataError, OutputExists, SystemFailure, UsageError
from trainer.cli import cli
from trainer.doctor import quarantine as module
from trainer.doctor.quarantine import LOG, quarantine, undo


def contents(folder):
    """Every file below a folder but the log, with its bytes; of links where they lead."""
    return {
        str(path.relative_to(folder)): os.readlink(path) if path.is_symlink() else path.read_bytes()
        for path in folder.rglob("*")
        if (path.is_symlink() or path.is_file()) and path.name != LOG
    }


@pytest.fixture
def data(tmp_path):
    root = tmp_path / "data"
    for name in ("a/1.jpg", "a/2.jpg", "b/deep/1.jpg"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode())
    return root


def all_of(data):
    return {str(path): "unreadable" for path in sorted(data.rglob("*.jpg"))}


def test_there_and_back(data, tmp_path):
    before, aside = contents(data), tmp_path / "aside"
    moves = quarantine(data, aside, all_of(data))
    assert contents(data) == {} and contents(aside) == before
    assert [(move.source, move.target) for move in moves] == [
        (str(data / name), str(aside / name)) for name in sorted(before)
    ]
    header, *lines = [json.loads(line) for line in (aside / LOG).read_text().splitlines()]
    assert header == {"quarantine": 1, "data": str(data)}
    assert lines[0] == {"from": "a/1.jpg", "to": "a/1.jpg", "kind": "unreadable"}
    back, stay = undo(aside)
    assert stay == [] and {move.target for move in back} == {str(data / name) for name in before}
    assert contents(data) == before and [path.name for path in aside.iterdir()] == [LOG]
    assert undo(aside) == ([], [])


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS refuses names that are not UTF-8")
def test_names_that_are_not_utf8_links_and_line_feeds(data, tmp_path):
    (data / "a" / os.fsdecode(b"caf\xe9\n.jpg")).write_bytes(b"x")
    (data / "a" / "link.jpg").symlink_to("../b/deep/1.jpg")
    before, aside = contents(data), tmp_path / "aside"
    quarantine(data, aside, all_of(data))
    assert contents(aside) == before
    undo(aside)
    assert contents(data) == before


def test_a_second_time_the_same_name(data, tmp_path):
    """The place is taken: the later file gets another name, and goes back to its own place."""
    aside, path = tmp_path / "aside", data / "a" / "1.jpg"
    quarantine(data, aside, {str(path): "unreadable"})
    path.write_bytes(b"later")
    (move,) = quarantine(data, aside, {str(path): "unreadable"})
    assert move.target == str(aside / "a" / "1~1.jpg")
    back, stay = undo(aside)
    assert path.read_bytes() == b"later" and len(back) == 1
    assert stay == [(str(aside / "a" / "1.jpg"), f"another file lies at {path}")]
    path.unlink()
    undo(aside)
    assert path.read_bytes() == b"a/1.jpg"


def test_the_log_is_never_overwritten(data, tmp_path):
    (data / LOG).write_bytes(b"a photo of this name")
    aside = tmp_path / "aside"
    quarantine(data, aside, {str(data / LOG): "unreadable"})
    undo(aside)
    assert (data / LOG).read_bytes() == b"a photo of this name"


@pytest.mark.parametrize("where", ["data", "data/a/aside", "."])
def test_a_quarantine_lies_beside_the_data(data, tmp_path, where):
    before = contents(tmp_path)
    with pytest.raises(UsageError, match="inside or around"):
        quarantine(data, tmp_path / where, all_of(data))
    link = tmp_path / "link"
    link.symlink_to(data)
    with pytest.raises(UsageError, match="inside or around"):
        quarantine(data, link / "aside", all_of(data))
    link.unlink()
    assert contents(tmp_path) == before


def test_other_folders_are_left_alone(data, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep me")
    with pytest.raises(OutputExists, match=r"no quarantine"):
        quarantine(data, tmp_path / "mine", all_of(data))
    with pytest.raises(UsageError, match="no quarantine"):
        undo(tmp_path / "mine")
    (tmp_path / "other").mkdir()
    quarantine(tmp_path / "other", tmp_path / "aside", {})
    with pytest.raises(UsageError, match="is the quarantine of"):
        quarantine(data, tmp_path / "aside", all_of(data))
    assert len(contents(data)) == 3


def test_the_data_may_have_moved(data, tmp_path):
    aside, before = tmp_path / "aside", contents(data)
    quarantine(data, aside, all_of(data))
    data.rename(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match="where the data set lies now"):
        undo(aside)
    undo(aside, tmp_path / "elsewhere")
    assert contents(tmp_path / "elsewhere") == before


def test_a_damaged_log(data, tmp_path):
    aside = tmp_path / "aside"
    quarantine(data, aside, all_of(data))
    log = aside / LOG
    whole = log.read_bytes()
    for bad in (b"", b"{}\n", b"[]\n", whole + b'{"from": "../x", "to": "x", "kind": "k"}\n'):
        log.write_bytes(bad)
        with pytest.raises(DataError, match=r"line of JSON|empty"):
            undo(aside)
    # A line that was not finished was never followed by a move.
    log.write_bytes(whole + b'{"from": "a/9.j')
    (data / "a" / "new.jpg").parent.mkdir(parents=True, exist_ok=True)
    (data / "a" / "new.jpg").write_bytes(b"new")
    quarantine(data, aside, {str(data / "a" / "new.jpg"): "unreadable"})
    back, _ = undo(aside)
    assert len(back) == 4


# killed -----------------------------------------------------------------------------------------


class Killed(BaseException):
    """Stands for a signal that nobody handles."""


def across(monkeypatch):
    """Let every move between two folders be one between file systems."""
    rename = os.rename

    def refuse(source, target):
        if "edge-train-moving" not in str(source):
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), source)
        rename(source, target)

    monkeypatch.setattr(module.os, "rename", refuse)


#: Calls at which a run can be killed: a move is a rename, or a copy, a rename and a removal.
CALLS = {"rename": ("rename",), "copy": ("copy2", "fsync", "rename", "unlink")}


@pytest.mark.parametrize("back", [False, True], ids=["there", "back"])
@pytest.mark.parametrize("how", ["rename", "copy"])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_killed_at_any_moment(data, tmp_path, monkeypatch, back, how, after):
    """Killed before and after each step of the second of three moves; then all is put right."""
    before, aside = contents(data), tmp_path / "aside"
    if how == "copy":
        across(monkeypatch)
    for name in CALLS[how]:
        if back:
            quarantine(data, aside, all_of(data))
        place = module.shutil if name == "copy2" else module.os
        original, calls = getattr(place, name), []

        def kill(*args, _original=original, _calls=calls, **options):
            _calls.append(args)
            if len(_calls) < 2:
                return _original(*args, **options)
            if after:
                _original(*args, **options)
            raise Killed

        with monkeypatch.context() as patch:
            patch.setattr(place, name, kill)
            with pytest.raises(Killed):
                _ = undo(aside) if back else quarantine(data, aside, all_of(data))
        # No photo is lost, none has other bytes.
        for photo, content in before.items():
            found = [f / photo for f in (data, aside) if (f / photo).exists()]
            assert found and {path.read_bytes() for path in found} == {content}
        undo(aside)
        assert contents(data) == before
        undo(aside)
        assert contents(aside) == {}


def test_a_refusal_names_the_file(data, tmp_path, monkeypatch):
    def refuse(source, target):
        raise PermissionError(errno.EACCES, "Permission denied", source)

    monkeypatch.setattr(module.os, "rename", refuse)
    with pytest.raises(SystemFailure, match=r"1\.jpg: Permission denied"):
        quarantine(data, tmp_path / "aside", all_of(data))
    monkeypatch.undo()
    assert undo(tmp_path / "aside") == ([], []) and len(contents(data)) == 3


# the command ------------------------------------------------------------------------------------


def test_command(split_folder, tmp_path, monkeypatch):
    """Unreadable photos and copies go, the exit code tells that nothing bad is left, all returns."""
    monkeypatch.chdir(tmp_path)
    train = split_folder / "train" / "green"
    (train / "bad.jpg").write_bytes(b"text")
    (split_folder / "test" / "green" / "copy.jpg").write_bytes(
        (train / "photo_000.jpg").read_bytes()
    )
    (train / "twice.png").write_bytes((train / "photo_001.png").read_bytes())
    (train / ".DS_Store").write_bytes(b"system")
    before = contents(split_folder)
    run = CliRunner().invoke
    result = run(cli, ["check", "data", "--quarantine", "aside", "--json"])
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["moved"] == [
        {
            "path": "data/train/green/bad.jpg",
            "moved_to": "aside/train/green/bad.jpg",
            "kind": "unreadable",
        },
        {
            "path": "data/train/green/photo_000.jpg",
            "moved_to": "aside/train/green/photo_000.jpg",
            "kind": "leakage",
        },
    ]
    result = run(
        cli,
        ["check", "data", "--quarantine", "aside", "--include", "duplicate",
         "--include", "system-file"],
    )  # fmt: skip
    assert result.exit_code == 0 and "aside: 2 files moved here" in result.stdout
    assert set(contents(tmp_path / "aside")) == {
        "train/green/bad.jpg",
        "train/green/photo_000.jpg",
        "train/green/twice.png",
        "train/green/.DS_Store",
    }
    result = run(cli, ["check", "--undo", "aside"])
    assert result.exit_code == 0 and "aside: 4 files moved back" in result.stdout
    assert contents(split_folder) == before


def test_command_keeps_the_exit_code_for_what_cannot_be_moved(split_folder, tmp_path):
    (split_folder / "train" / "green" / "bad.jpg").write_bytes(b"text")
    (split_folder / "train" / "empty").mkdir()
    result = CliRunner().invoke(
        cli, ["check", str(split_folder), "--quarantine", str(tmp_path / "aside")]
    )
    assert result.exit_code == 3 and "1 error that would spoil" in result.stderr


def test_undo_says_what_stays(data, tmp_path):
    quarantine(data, tmp_path / "aside", all_of(data))
    (data / "a" / "1.jpg").parent.mkdir(parents=True, exist_ok=True)
    (data / "a" / "1.jpg").write_bytes(b"new")
    result = CliRunner().invoke(cli, ["check", "--undo", str(tmp_path / "aside"), "--json"])
    assert result.exit_code == 1 and "1 files stay in the quarantine" in result.stderr
    answer = json.loads(result.stdout)
    assert len(answer["moved_back"]) == 2 and len(answer["failed"]) == 1
    assert (data / "a" / "1.jpg").read_bytes() == b"new"
