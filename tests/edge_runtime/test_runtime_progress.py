"""The progress line: on a terminal only, and never in the way."""

from __future__ import annotations

import logging
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from color_model import COLORS, ColorModels, paint

from edge_runtime.console import StderrHandler
from edge_runtime.progress import Progress, describe

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("done", "total", "seconds", "width", "text"),
    [
        (50, 100, 10.0, 60, "[" + "#" * 13 + "." * 13 + "] 50/100 photos  5.0/s  0:10 left"),
        (1, 7201, 1.0, 45, "[" + "." * 8 + "] 1/7201 photos  1.0/s  2:00:00 left"),
        (50, 100, 10.0, 20, "50/100 photos  5.0/s"),
        (7, None, 2.0, 60, "7 photos  3.5/s"),
    ],
)  # fmt: skip
def test_line(done: int, total: int | None, seconds: float, width: int, text: str) -> None:
    line = describe(done, total, seconds, width)
    assert len(line) <= width
    assert line == text


def on_terminal(command: list[str], share: bool) -> tuple[str, str]:
    """What a command writes to a terminal and to its standard output."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=theirs if share else subprocess.PIPE,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm"},
    )
    os.close(theirs)
    seen = b""
    while True:
        try:
            chunk = os.read(ours, 4096)
        except OSError:  # the other end is closed
            break
        if not chunk:
            break
        seen += chunk
    os.close(ours)
    stdout = process.stdout.read().decode() if process.stdout is not None else ""
    process.wait()
    return seen.decode(), stdout


def screen(text: str) -> list[str]:
    """Lines as a terminal shows them in the end: CR goes back, ESC [ K wipes to the right."""
    lines = []
    for raw in text.replace("\r\n", "\n").split("\n"):
        shown = ""
        for part in raw.split("\r"):
            wiped = part.startswith("\x1b[K")
            part = part.removeprefix("\x1b[K")
            shown = part if wiped else part + shown[len(part) :]
        lines.append(shown)
    return lines


@pytest.fixture
def command(color_models: ColorModels, tmp_path: Path) -> list[str]:
    for number in range(5):
        paint(tmp_path / "in" / f"{number}.png", COLORS["red"])
    paint(tmp_path / "in/5.gif", COLORS["red"]).rename(tmp_path / "in/5.jpg")  # is warned of
    return [
        sys.executable, "-m", "edge_runtime.cli", "image", "--model", str(color_models.tflite),
        str(tmp_path / "in"), "--top-k", "1",
    ]  # fmt: skip


def test_results_and_messages_stay_whole(command: list[str], tmp_path: Path) -> None:
    """On the same terminal results, warning and line share the screen without a mixed line."""
    seen, _ = on_terminal(command, share=True)
    assert "/6 photos" in seen
    lines = [line for line in screen(seen) if line]
    assert sorted(line for line in lines if not line.startswith("warning")) == sorted(
        f"{tmp_path}/in/{n}.{'jpg' if n == 5 else 'png'}: red 1.000" for n in range(6)
    )
    assert next(line for line in lines if line.startswith("warning: ")).endswith("this warning.")


def test_line_beside_a_pipe(command: list[str]) -> None:
    seen, stdout = on_terminal(command, share=False)
    assert "/6 photos" in seen and stdout.count("\n") == 6 and "\x1b" not in stdout
    assert not any("photos" in line for line in screen(seen))


@pytest.mark.parametrize("change", ["--quiet", "one"])
def test_no_line(command: list[str], change: str) -> None:
    changed = [*command, "--quiet"]
    if change == "one":
        changed = [part + "/0.png" * part.endswith("/in") for part in command]
    seen, _ = on_terminal(changed, share=False)
    assert "photos" not in seen and "\x1b" not in seen


def test_no_line_in_a_pipe(command: list[str]) -> None:
    done = subprocess.run([*command, "--json"], cwd=ROOT, capture_output=True, text=True)
    assert "photos" not in done.stderr and "\r" not in done.stderr


def test_close_gives_the_log_back() -> None:
    class Screen:
        encoding = "utf-8"

        def isatty(self) -> bool:
            return True

        def write(self, text: str) -> int:
            return len(text)

        def flush(self) -> None: ...

        def fileno(self) -> int:
            raise ValueError

    log = logging.getLogger("edge_runtime")
    handler = StderrHandler()
    log.addHandler(handler)
    level = log.level
    log.setLevel(logging.INFO)
    try:
        progress = Progress(3, Screen())  # type: ignore[arg-type]
        progress.step()
        assert handler.give_way is not None
        progress.close()
        progress.close()
        assert handler.give_way is None
    finally:
        log.setLevel(level)
        log.removeHandler(handler)
