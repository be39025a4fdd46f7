"""Photos that arrive: each once, when it is complete, for months."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from color_model import COLORS, ColorModels, paint

from edge_runtime.cli import cli
from edge_runtime.errors import UsageError
from edge_runtime.photos.finding import Outputs
from edge_runtime.photos.watching import INTERVAL, SETTLE, Watch

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    return tmp_path / "in"


def test_a_file_is_given_out_once_it_rests(folder: Path) -> None:
    """Not while it grows, and once only, until it changes again."""
    watch = Watch(str(folder), existing=False)
    file = folder / "a.jpg"
    file.write_bytes(b"1")
    assert watch.look(100.0) == []
    file.write_bytes(b"12")
    assert watch.look(100.9) == watch.look(101.8) == []
    assert watch.look(100.9 + SETTLE) == [str(file)]
    assert watch.look(110.0) == []
    file.write_bytes(b"123")
    assert watch.look(111.0) == [] and watch.look(112.0) == [str(file)]


def test_moved_in_as_a_whole(folder: Path, tmp_path: Path) -> None:
    """A file that nobody has written for a while is complete when it appears."""
    (tmp_path / "old.jpg").write_bytes(b"whole")
    os.utime(tmp_path / "old.jpg", (time.time() - 60,) * 2)
    watch = Watch(str(folder), existing=False)
    os.rename(tmp_path / "old.jpg", folder / "old.jpg")
    assert watch.look() == [str(folder / "old.jpg")]


def test_an_empty_file_is_given_longer(folder: Path) -> None:
    watch = Watch(str(folder), existing=False)
    (folder / "a.jpg").touch()
    assert watch.look(100.0) == watch.look(105.0) == []
    assert watch.look(110.0) == [str(folder / "a.jpg")]


@pytest.mark.parametrize("existing", [True, False])
def test_what_is_there_already(folder: Path, existing: bool) -> None:
    (folder / "a.jpg").write_bytes(b"1")
    watch = Watch(str(folder), existing)
    assert watch.look(100.0) == []
    assert watch.look(102.0) == [str(folder / "a.jpg")] * existing


def test_what_is_passed_over(folder: Path) -> None:
    """Unfinished, hidden and other files, pipes, and what the run itself writes."""
    outputs = Outputs(str(folder / "sorted"), str(folder / "heat"))
    watch = Watch(str(folder), existing=False, outputs=outputs)
    for name in ("a.jpg.part", "b.tmp", ".c.jpg", "sorted/red/d.jpg", "heat/e.jpg", ".x/f.jpg"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"1")
    os.mkfifo(folder / "pipe.jpg")
    (folder / "nowhere.jpg").symlink_to("none.jpg")
    assert watch.look(100.0) == watch.look(200.0) == [] and len(watch) == 0
    os.rename(folder / "a.jpg.part", folder / "a.jpg")
    assert watch.look(201.0) + watch.look(203.0) == [str(folder / "a.jpg")]


def test_files_that_are_gone_are_forgotten(folder: Path) -> None:
    watch = Watch(str(folder), existing=False)
    for round_ in range(50):
        file = folder / f"{round_}.jpg"
        file.write_bytes(b"1")
        watch.look(10.0 * round_)
        watch.look(10.0 * round_ + 2)
        file.unlink()
    watch.look(1000.0)
    assert len(watch) == 0


def test_a_folder_that_goes_and_comes_back(folder: Path) -> None:
    """A card that is pulled out ends nothing."""
    watch = Watch(str(folder), existing=False)
    folder.rmdir()
    assert watch.look(100.0) == []
    folder.mkdir()
    (folder / "a.jpg").write_bytes(b"1")
    assert watch.look(101.0) + watch.look(103.0) == [str(folder / "a.jpg")]


def test_looks_are_rarer_where_they_take_longer(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At most 2 % of one core, whatever the number of files."""
    watch = Watch(str(folder), existing=False)
    waits: list[float] = []

    def stop(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 2:
            raise KeyboardInterrupt

    def look() -> list[str]:
        time.sleep(0.05 * len(waits))
        return []

    monkeypatch.setattr(watch, "look", look)
    with pytest.raises(KeyboardInterrupt):
        next(watch.arrivals(stop))
    assert waits[0] == INTERVAL and waits[1] >= 50 * 0.05


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--watch", "none"], "no such folder"),
        (["--watch", "in", "--heatmap", "in"], "heat maps"),
        (["--existing", "in"], "goes with --watch"),
        (["-0", "in"], "goes with `-`"),
    ],
)
def test_wrong_use(
    color_models: ColorModels,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    said: str,
) -> None:
    monkeypatch.chdir(folder.parent)
    model = ["--model", str(color_models.tflite)]
    result = CliRunner().invoke(cli, ["image", *model, *arguments])
    assert result.exit_code == 2 and said in result.stderr
    with pytest.raises(UsageError):
        Watch("none", existing=False)


@pytest.fixture
def started(color_models: ColorModels) -> Iterator[list[subprocess.Popen[str]]]:
    """Processes that end with the test."""
    processes: list[subprocess.Popen[str]] = []
    yield processes
    for process in processes:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_watching_for_real(
    color_models: ColorModels,
    folder: Path,
    started: list[subprocess.Popen[str]],
    number: signal.Signals,
) -> None:
    """Lines as photos come, moved away, a broken one told, exit code 0 on either signal."""
    out = folder.parent / "answers.csv"
    out.write_text("")
    command = [sys.executable, "-m", "edge_runtime.cli", "image", "--model", color_models.tflite]
    command += ["--watch", folder, "--move-to", folder / "sorted", "--out", out, "--top-k", "1"]
    process = subprocess.Popen(list(map(str, command)), cwd=ROOT, stderr=subprocess.PIPE, text=True)
    started.append(process)
    assert process.stderr is not None and "watching" in process.stderr.readline()
    paint(folder / "a.png", COLORS["red"])
    (folder / "bad.jpg").write_text("no photo")
    end = time.monotonic() + 120
    while out.read_bytes().count(b"\r\n") < 3 and time.monotonic() < end:
        time.sleep(0.05)
    process.send_signal(number)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    rows = list(csv.DictReader(out.open(newline="")))
    assert [(row["label"], bool(row["error"])) for row in rows] == [("red", False), ("", True)]
    assert rows[0]["sorted"] == f"{folder}/sorted/red/a.png" and os.path.isfile(rows[0]["sorted"])
    assert "stopped after 2 photos, 1 of them unreadable" in said


def test_answers_are_added_to_the_file(
    color_models: ColorModels, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A service that is started again goes on where it was, also behind half a line."""
    out = folder.parent / "answers.jsonl"
    paint(folder / "a.png", COLORS["red"])
    os.utime(folder / "a.png", (time.time() - 60,) * 2)

    def no_wait(_: object, sleep: object = None) -> Iterator[list[str]]:
        yield [str(folder / "a.png")]
        raise KeyboardInterrupt

    monkeypatch.setattr(Watch, "arrivals", no_wait)
    arguments = ["image", "--model", str(color_models.tflite), "--watch", str(folder)]
    for half in ("", '{"path": "/x'):
        with out.open("a") as stream:
            stream.write(half)
        assert CliRunner().invoke(cli, [*arguments, "--out", str(out)]).exit_code == 0
    first, broken, second = out.read_text().splitlines()
    assert json.loads(first)["label"] == json.loads(second)["label"] == "red"
    assert broken == '{"path": "/x'
    other = CliRunner().invoke(cli, [*arguments, "--out", str(out), "--output", "csv"])
    assert other.exit_code == 2 and "something else" in other.stderr
