"""How a command starts and ends: only what it needs, and nothing is lost in a quick end."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import click
import pytest
from color_model import ColorModels, paint
from PIL import Image

from edge_runtime import Classifier, meanwhile, preprocess
from edge_runtime.cli import cli
from edge_runtime.console import EdgeGroup, LazyCommands

#: A program whose command leaves things to be done at its end.
PROGRAM = """
import atexit, os, sys, tempfile, threading, time
import click
from edge_runtime.console import EdgeGroup

cli = EdgeGroup("program", quick_exit=True)

@cli.command()
def leave():
    global kept
    kept = tempfile.TemporaryDirectory()
    sys.stdout.write(kept.name + "\\n")
    atexit.register(lambda: sys.stdout.write("at exit\\n"))

@cli.command()
def wait():
    def late():
        time.sleep(0.2)
        sys.stdout.write("late\\n")
    threading.Thread(target=late).start()

@cli.command()
def fail():
    sys.stdout.write("said\\n")
    raise RuntimeError("broken")

@cli.command()
def fill():
    sys.stdout.write("x")

cli()
sys.stdout.write("not reached\\n")
"""


def program(*arguments: str, shell: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", PROGRAM, *arguments]
    if shell:
        command = ["bash", "-c", f'"$@" {shell}', "bash", *command]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def test_what_is_left_for_the_end_is_done() -> None:
    done = program("leave")
    folder, last = done.stdout.splitlines()
    assert (done.returncode, last) == (0, "at exit")
    assert not Path(folder).exists()


def test_a_thread_is_waited_for() -> None:
    done = program("wait")
    assert (done.returncode, done.stdout) == (0, "late\n")


def test_exit_code_and_output_of_a_failure() -> None:
    done = program("fail")
    assert (done.returncode, done.stdout) == (1, "said\n")
    assert "unexpected RuntimeError: broken" in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has it")
def test_a_full_disk_shows_at_the_end() -> None:
    """The output is written only then, and the exit code must not say that it was."""
    done = program("fill", shell="> /dev/full")
    assert done.returncode == 6 and "No space left" in done.stderr


@pytest.mark.parametrize("shell", [">&-", "2>&-"])
def test_without_standard_streams(shell: str) -> None:
    assert program("leave", shell=shell).returncode in (0, 1)


def test_a_caller_with_arguments_goes_on() -> None:
    """Only a program of its own may end the process: tests and embedders get SystemExit."""
    with pytest.raises(SystemExit) as ended:
        cli(["--version"])
    assert ended.value.code == 0


def test_commands_are_imported_when_they_are_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "lazy_commands"
    package.mkdir()
    for name in ("one", "two"):
        (package / f"{name}.py").write_text(
            f"import click\n@click.command()\ndef {name}():\n    click.echo('{name} runs')\n"
        )
    monkeypatch.syspath_prepend(tmp_path)
    group = EdgeGroup("group", commands=LazyCommands("lazy_commands", "one", "two"))
    context = click.Context(group)
    assert group.list_commands(context) == ["one", "two"]
    assert not {"lazy_commands.one", "lazy_commands.two"} & set(sys.modules)
    assert group.get_command(context, "three") is None
    assert group.get_command(context, "one") is not None
    assert "lazy_commands.two" not in sys.modules
    group.add_command(click.Command("three"))
    assert sorted(group.commands) == ["one", "three", "two"]
    del group.commands["three"]
    assert len(group.commands) == 2


def test_modules_are_imported_while_the_model_loads(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("wave", "html.entities"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setattr(meanwhile, "PHOTO_MODULES", ("wave", "no_such_module", "html.entities"))
    threads = threading.active_count()
    with meanwhile.meanwhile():
        pass
    assert "wave" in sys.modules and threading.active_count() == threads
    assert "html.entities" not in sys.modules, "it ends with the first failure, without a word"


def test_the_first_photo_is_decoded_while_the_model_loads(
    color_models: ColorModels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once, on another thread; a second time, and another part of it, are decoded anew."""
    photo = str(paint(tmp_path / "p.png", (0, 0, 255)))
    threads: list[str] = []
    decoded = preprocess.upright

    def watched(*arguments: Any) -> Any:
        threads.append(threading.current_thread().name)
        return decoded(*arguments)

    monkeypatch.setattr(preprocess, "upright", watched)
    first = meanwhile.FirstPhoto(photo)
    with Classifier.open(color_models.bundle, first=first) as classifier:
        assert len(threads) == 1 and threads[0] != "MainThread"
        assert classifier.classify(photo).label == "blue"
        assert len(threads) == 1
        assert classifier.classify(photo).label == "blue"
        assert threads[1:] == ["MainThread"]
    first = meanwhile.FirstPhoto(photo)
    with Classifier.open(color_models.bundle, first=first) as classifier:
        assert classifier.classify(photo, roi=(0, 0, 0.5, 1)).label == "blue"
    assert threads[2:][1:] == ["MainThread"]


def test_what_is_wrong_with_the_first_photo_is_said(
    color_models: ColorModels, tmp_path: Path
) -> None:
    """Though the interpreter's own lines are thrown away at that time."""
    Image.new("RGB", (40, 40), (255, 0, 0)).save(tmp_path / "p.png", "GIF")
    (tmp_path / "cut.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    command = [sys.executable, "-m", "edge_runtime.cli", "image", "--model"]
    for name, said, code in (("p.png", "holds a GIF", 0), ("cut.png", "cut.png", 1)):
        done = subprocess.run(
            [*command, str(color_models.bundle), str(tmp_path / name)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == code and said in done.stderr + done.stdout


def test_one_photo_in_a_process_of_its_own(color_models: ColorModels, tmp_path: Path) -> None:
    photo = paint(tmp_path / "p.jpg", (0, 0, 255))
    command = [sys.executable, "-m", "edge_runtime.cli", "image", "--model"]
    for model in (color_models.tflite, color_models.onnx):
        done = subprocess.run(
            [*command, str(model), str(photo), str(tmp_path / "none.jpg")],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 2 and "no such file" in done.stderr
        done = subprocess.run([*command, str(model), str(photo)], capture_output=True, check=False)
        assert done.returncode == 0 and b": blue 1.000" in done.stdout
