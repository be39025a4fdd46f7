"""The test pattern, screens, and the Raspberry Pi's cameras by a library or a program of others."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from fake_camera import open_files

from edge_runtime.errors import MissingComponent, SystemFailure, UsageError
from edge_runtime.sources import SourceSettings, parse_source
from edge_runtime.sources.base import Frame, Grabbed, SourceLost, SourceStalled
from edge_runtime.sources.opening import open_reader
from edge_runtime.sources.pattern import COLORS, TestPattern
from edge_runtime.sources.picamera import _what_is_missing
from edge_runtime.sources.picamera.program import ProgramReader

LONG = 60.0


def pixels_of(grabbed: Grabbed | None) -> np.ndarray:
    """Its picture."""
    assert grabbed is not None
    return Frame(grabbed, 0).pixels


def test_pattern_tells_its_colors() -> None:
    """By the index of a frame, however many nobody has read."""
    reader = open_reader(parse_source("test:red, Cyan"), SourceSettings(size=(64, 32), fps=50))
    assert reader.fps == 50
    last = -1
    for _ in range(3):
        grabbed = reader.read(LONG)
        assert grabbed is not None and grabbed.index is not None and grabbed.index > last
        last = grabbed.index
        assert grabbed.seconds == pytest.approx(last / 50)
        pixels = pixels_of(grabbed)
        assert pixels.shape == (32, 64, 3)
        name = ("red", "cyan")[int(last / 50 / 2) % 2]  # a colour stays two seconds
        assert tuple(pixels[0, 0]) == COLORS[name]
        time.sleep(0.1)  # five frames
    assert last >= 10
    reader.close()
    with pytest.raises(SourceLost):
        reader.read(LONG)


def test_pattern_moves_and_is_seen_on_every_color() -> None:
    for name, color in COLORS.items():
        pattern = TestPattern([name], (64, 32), 25)
        first, later = pattern._paint(0), pattern._paint(10)
        assert not (first == later).all()
        assert (first.reshape(-1, 3) == color).all(1).mean() > 0.99  # the bar is 1/256 of it


def test_pattern_waits_no_longer_than_it_may() -> None:
    reader = TestPattern(["red"], (8, 8), 0.01)
    assert reader.read(LONG) is not None
    with pytest.raises(SourceStalled):
        reader.read(0.01)
    closer = threading.Timer(0.1, reader.close)
    closer.start()
    with pytest.raises(SourceLost):
        reader.read(LONG)


def test_pattern_of_an_unknown_color() -> None:
    with pytest.raises(UsageError, match=r"'mauve' is none of red, green"):
        open_reader(parse_source("test:red,mauve"), SourceSettings())


@pytest.fixture
def desktop(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A screen of 320 x 240 pixels that nobody looks at."""
    program = shutil.which("Xvfb")
    if program is None:
        pytest.skip("Xvfb is not installed")
    read, write = os.pipe()
    command = [program, "-displayfd", str(write), "-screen", "0", "320x240x24", "-noreset"]
    with subprocess.Popen(command, pass_fds=[write], stderr=subprocess.DEVNULL) as process:
        os.close(write)
        with os.fdopen(read) as stream:
            number = stream.readline().strip()
        if not number:
            pytest.skip("Xvfb does not start")
        monkeypatch.setenv("DISPLAY", f":{number}")
        monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
        try:
            yield
        finally:
            process.terminate()


def test_screen(desktop: None) -> None:
    reader = open_reader(parse_source("screen:"), SourceSettings(fps=20))
    stamps = []
    for _ in range(3):
        grabbed = reader.read(LONG)
        assert grabbed is not None
        stamps.append(grabbed.captured)
        assert pixels_of(grabbed).shape == (240, 320, 3)
    # a rate of 20 means at least 50 ms from one to the next; stamps are taken behind the picture
    assert stamps[2] - stamps[0] > 0.05
    reader.close()
    with pytest.raises(SourceLost):
        reader.read(LONG)


def test_one_of_the_screens(desktop: None) -> None:
    from edge_runtime.sources.monitors import screens

    if not screens():
        pytest.skip("no libXrandr")
    assert screens() == [(0, 0, 320, 240)]
    reader = open_reader(parse_source("screen:0"), SourceSettings())
    assert pixels_of(reader.read(LONG)).shape == (240, 320, 3)
    with pytest.raises(UsageError, match="no such screen"):
        open_reader(parse_source("screen:4"), SourceSettings())


def test_no_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("PATH", "/nowhere")  # Pillow would ask programs for screenshots
    for source in ("screen:", "screen:1"):
        with pytest.raises(SystemFailure, match="there is no screen to look at"):
            open_reader(parse_source(source), SourceSettings())


class FakePicamera2:
    """As much of picamera2's camera as is used; a thread gives frames."""

    opened: list[FakePicamera2] = []

    def __init__(self, number: int) -> None:
        if number > 0:
            raise IndexError("list index out of range")
        self.pre_callback: Any = None
        self.calls: list[Any] = []
        self.running = False
        FakePicamera2.opened.append(self)

    def create_video_configuration(self, **wishes: Any) -> dict[str, Any]:
        self.calls.append(wishes)
        return wishes

    def configure(self, configuration: dict[str, Any]) -> None:
        self.size = configuration["main"]["size"]

    def start(self) -> None:
        self.running = True
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        count = 0
        while self.running:
            time.sleep(0.005)
            count += 1
            width, height = self.size
            pixels = np.full((height, width, 3), (255, 0, count % 200), np.uint8)
            self.pre_callback(SimpleNamespace(make_array=lambda _, pixels=pixels: pixels))

    def stop(self) -> None:
        self.running = False
        self.thread.join()
        self.calls.append("stop")

    def close(self) -> None:
        self.calls.append("close")


@pytest.fixture
def picamera2(monkeypatch: pytest.MonkeyPatch) -> type[FakePicamera2]:
    """picamera2 is installed."""
    FakePicamera2.opened = []
    monkeypatch.setitem(sys.modules, "picamera2", SimpleNamespace(Picamera2=FakePicamera2))
    monkeypatch.setattr("edge_runtime.sources.picamera._has_library", lambda: True)
    return FakePicamera2


def test_library_gives_the_newest_frame(picamera2: type[FakePicamera2]) -> None:
    settings = SourceSettings(size=(64, 48), fps=15)
    reader = open_reader(parse_source("picamera"), settings)
    before = 0.0
    for _ in range(3):
        begin = time.monotonic()
        grabbed = reader.read(LONG)
        assert grabbed is not None and grabbed.captured > before
        before = time.monotonic()
        pixels = pixels_of(grabbed)
        assert pixels.shape == (48, 64, 3) and tuple(pixels[0, 0, :2]) == (255, 0)
        assert before >= grabbed.captured > begin - 1
    camera = picamera2.opened[0]
    assert camera.calls[0] == {
        "main": {"size": (64, 48), "format": "BGR888"},  # RGB in memory
        "controls": {"FrameRate": 15},
    }
    reader.close()
    reader.close()
    assert camera.calls[1:] == ["stop", "close"]
    with pytest.raises(SourceLost, match="closed"):
        reader.read(LONG)


def test_library_without_a_camera(picamera2: type[FakePicamera2]) -> None:
    with pytest.raises(SourceLost, match=r"camera 1 does not open.*--list-cameras"):
        open_reader(parse_source("picamera:1"), SourceSettings())


def test_library_that_does_not_load(
    picamera2: type[FakePicamera2], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is there, and was built for another Python."""
    monkeypatch.setitem(sys.modules, "picamera2", None)
    with pytest.raises(MissingComponent, match="--system-site-packages"):
        open_reader(parse_source("picamera"), SourceSettings())


def test_library_that_falls_silent(picamera2: type[FakePicamera2]) -> None:
    reader = open_reader(parse_source("picamera"), SourceSettings(size=(8, 8)))
    camera = picamera2.opened[0]
    reader.read(LONG)
    camera.running = False
    camera.thread.join()
    with pytest.raises(SourceStalled, match="ribbon cable"):
        while True:
            reader.read(0.05)
    reader.close()


_PROGRAM = """#!{python}
import io, sys, time
from PIL import Image
log = open({log!r}, "w")
print(" ".join(sys.argv[1:]), file=log, flush=True)
if "--camera 1" in " ".join(sys.argv):
    sys.stderr.write("[0:00:01] INFO Camera\\nERROR: *** no cameras available ***\\n")
    sys.exit(255)
stream = io.BytesIO()
Image.new("RGB", (32, 24), (255, 0, 0)).save(stream, "JPEG")
for number in range({frames}):
    sys.stdout.buffer.write(stream.getvalue())
    sys.stdout.buffer.flush()
    time.sleep(0.01)
time.sleep({then})
"""


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A rpicam-vid that sends red pictures; no picamera2. The log of its options."""
    write_program(tmp_path, 1 << 20, 0)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr("edge_runtime.sources.picamera._has_library", lambda: False)
    return tmp_path / "log"


def write_program(folder: Path, frames: int, then: float) -> None:
    """A program of so many pictures that lives on for so many seconds."""
    file, log = folder / "rpicam-vid", str(folder / "log")
    file.write_text(_PROGRAM.format(python=sys.executable, log=log, frames=frames, then=then))
    file.chmod(0o755)


def test_program_gives_jpegs(program: Path) -> None:
    before = open_files()
    reader = open_reader(parse_source("picamera"), SourceSettings(size=(64, 48), fps=12.5))
    last = 0.0
    for _ in range(3):
        grabbed = reader.read(LONG)
        assert grabbed is not None and grabbed.captured > last
        last = grabbed.captured
        assert isinstance(grabbed.data(), bytes)
        assert pixels_of(grabbed).shape == (24, 32, 3)
    options = program.read_text()
    for option in ("--codec mjpeg", "--camera 0", "--timeout 0", "--width 64 --height 48"):
        assert option in options
    assert "--framerate 12.5" in options and "--output -" in options
    closer = threading.Timer(0.1, reader.close)
    closer.start()
    with pytest.raises(SourceLost, match="closed"):
        while True:
            reader.read(LONG)
    closer.join()
    assert open_files() <= before


def test_program_without_a_camera(program: Path) -> None:
    reader = open_reader(parse_source("picamera:1"), SourceSettings())
    with pytest.raises(SourceLost, match=r"rpicam-vid ended with exit code 255 \(ERROR: .*no cam"):
        reader.read(LONG)
    reader.close()


def test_program_that_falls_silent(program: Path) -> None:
    write_program(program.parent, 2, 600)
    reader = open_reader(parse_source("picamera"), SourceSettings())
    reader.read(LONG)
    with pytest.raises(SourceStalled):
        while True:
            reader.read(0.1)
    assert isinstance(reader, ProgramReader)
    reader.close()
    assert reader._process.returncode is not None


def test_program_that_writes_something_else(program: Path) -> None:
    """It ends as a camera that is lost, rather than in memory that grows for ever."""
    file = program.parent / "rpicam-vid"
    file.write_text("#!/bin/sh\nexec head -c 40000000 /dev/zero\n")
    reader = open_reader(parse_source("picamera"), SourceSettings())
    with pytest.raises(SourceLost, match=r"rpicam-vid: .* MB came and no whole picture"):
        reader.read(LONG)
    reader.close()


def test_neither_library_nor_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr("edge_runtime.sources.picamera._has_library", lambda: False)
    with pytest.raises(MissingComponent, match="apt install rpicam-apps"):
        open_reader(parse_source("picamera"), SourceSettings())
    trap = _what_is_missing(on_system=True, in_environment=True)
    assert "this virtual environment does not see" in trap and "--system-site-packages" in trap
