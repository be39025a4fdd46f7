"""Files give every frame in order; live sources only the newest."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from color_model import COLORS, ColorModels

from edge_runtime import Classifier, sources
from edge_runtime.cli import cli
from edge_runtime.errors import DataError, MissingComponent, SystemFailure, UsageError
from edge_runtime.sources import FrameSource, hide_credentials
from edge_runtime.stream import Window, classify_frames

ORDER = ["red", "green", "blue"]


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty frames: ten red, ten green, ten blue."""
    import cv2

    file = tmp_path_factory.mktemp("video") / "colors.avi"
    writer = cv2.VideoWriter(str(file), cv2.VideoWriter_fourcc(*"MJPG"), 25, (64, 48))
    for name in ORDER:
        for _ in range(10):
            writer.write(np.full((48, 64, 3), COLORS[name][::-1], np.uint8))
    writer.release()
    return file


def run(*arguments: object) -> Result:
    """Run edge-classify stream in this process."""
    return CliRunner().invoke(cli, ["stream", *map(str, arguments)])


def test_every_frame_of_a_file_in_order(color_models: ColorModels, video: Path) -> None:
    result = run("--model", color_models.tflite, "--source", video, "--json")
    assert result.exit_code == 0, result.stderr
    answers = [json.loads(line) for line in result.stdout.splitlines()]
    assert [answer["frame"] for answer in answers] == list(range(30))
    assert [answer["label"] for answer in answers] == [name for name in ORDER for _ in range(10)]
    first = answers[0]
    assert first["path"] == str(video) and first["age_ms"] >= 0 and first["error"] is None
    assert first["time"].endswith("+00:00")


def test_max_frames_and_text(color_models: ColorModels, video: Path) -> None:
    result = run("--model", color_models.tflite, "--source", video, "--max-frames", 3)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert len(lines) == 3 and lines[0].startswith("frame 0: red ")


class FakeCamera:
    """A camera that delivers a numbered frame every few milliseconds."""

    def __init__(self, frames: int = 1000, period: float = 0.005, opened: bool = True) -> None:
        self.frames, self.period, self.opened, self.released = frames, period, opened, False
        self.count = 0

    def isOpened(self) -> bool:
        return self.opened

    def read(self) -> tuple[bool, np.ndarray | None]:
        time.sleep(self.period)
        if self.count == self.frames:
            return False, None
        self.count += 1
        return True, np.full((8, 8, 3), (0, 0, 255), np.uint8)  # red, as BGR

    def release(self) -> None:
        self.released = True


@pytest.fixture
def camera(monkeypatch: pytest.MonkeyPatch) -> FakeCamera:
    """OpenCV opens this camera whatever the number."""
    fake = FakeCamera()
    cv2 = sources.import_cv2()
    monkeypatch.setattr(cv2, "VideoCapture", lambda _: fake)
    return fake


def test_live_source_keeps_the_newest_frame(camera: FakeCamera) -> None:
    """A reader that takes ten frame times gets a frame of now, not the next in a queue."""
    camera.frames = 10**6  # it outlasts a busy machine
    with FrameSource("0") as source:
        frames = iter(source)
        frame = next(frames)
        for _ in range(5):
            before = frame
            while camera.count < before.number + 10:
                time.sleep(camera.period)
            read = camera.count
            frame = next(frames)
            # numbers begin with 0, and the last frame may be on its way from the camera
            assert frame.number >= read - 2 and frame.captured > before.captured
        assert source.live and source.dropped > 0
    assert camera.released and frame.pixels[0, 0].tolist() == [255, 0, 0]


def test_live_source_that_ends_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeCamera(frames=2, period=0.05)
    monkeypatch.setattr(sources.import_cv2(), "VideoCapture", lambda _: fake)
    with FrameSource("0") as source, pytest.raises(SystemFailure, match="no more frames after 2"):
        list(source)
    assert fake.released


def test_closing_ends_a_waiting_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    """While the camera delivers nothing."""
    asked, go_on = threading.Event(), threading.Event()

    def read() -> tuple[bool, None]:
        asked.set()
        return go_on.wait(60), None

    fake = FakeCamera()
    monkeypatch.setattr(fake, "read", read)
    monkeypatch.setattr(sources.import_cv2(), "VideoCapture", lambda _: fake)
    source = FrameSource("0")
    closer = threading.Thread(target=lambda: asked.wait(60) and source.close())
    closer.start()
    assert list(source) == [] and not go_on.is_set()
    go_on.set()
    closer.join()
    source.close()


def test_no_reader_thread_stays_behind(color_models: ColorModels, video: Path) -> None:
    classifier = Classifier.open(color_models.tflite)
    with FrameSource(str(video)) as source:
        assert len(list(classify_frames(classifier, source, max_frames=1))) == 1
    assert "frame-reader" not in {thread.name for thread in threading.enumerate()}


def test_failure_of_the_reader_reaches_the_caller(
    monkeypatch: pytest.MonkeyPatch, video: Path
) -> None:
    fake = FakeCamera()
    monkeypatch.setattr(fake, "read", lambda: (True, None))
    monkeypatch.setattr(sources.import_cv2(), "VideoCapture", lambda _: fake)
    with FrameSource(str(video)) as source, pytest.raises(DataError, match="reading failed"):
        list(source)


def test_sources_that_do_not_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="no such video file"):
        FrameSource(str(tmp_path / "none.mp4"))
    with pytest.raises(UsageError, match="is a folder"):
        FrameSource(str(tmp_path))
    text = tmp_path / "text.mp4"
    text.write_text("no video")
    with pytest.raises(DataError, match="not a video"):
        FrameSource(str(text))
    fake = FakeCamera(opened=False)
    monkeypatch.setattr(sources.import_cv2(), "VideoCapture", lambda _: fake)
    with pytest.raises(SystemFailure, match="plugged in"):
        FrameSource("7")
    with pytest.raises(SystemFailure) as caught:
        FrameSource("rtsp://user:secret@127.0.0.1/stream")
    assert "secret" not in str(caught.value) and "***@127.0.0.1" in str(caught.value)


def test_file_without_a_frame(monkeypatch: pytest.MonkeyPatch, video: Path) -> None:
    monkeypatch.setattr(sources.import_cv2(), "VideoCapture", lambda _: FakeCamera(frames=0))
    with FrameSource(str(video)) as source, pytest.raises(DataError, match="no readable frame"):
        list(source)


def test_missing_opencv(monkeypatch: pytest.MonkeyPatch, video: Path) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(MissingComponent, match=r"edge-classify\[camera\]"):
        FrameSource(str(video))


def test_hide_credentials() -> None:
    assert hide_credentials("rtsp://me:pw@host:554/x") == "rtsp://***@host:554/x"
    assert hide_credentials("video@home.mp4") == "video@home.mp4"


def test_window_without_a_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(SystemFailure, match="no screen"):
        Window()


def test_window_with_headless_opencv(monkeypatch: pytest.MonkeyPatch) -> None:
    cv2 = sources.import_cv2()

    def refuse(*_: object) -> None:
        raise cv2.error("The function is not implemented.")

    monkeypatch.setenv("DISPLAY", ":99")
    monkeypatch.setattr(cv2, "namedWindow", refuse)
    with pytest.raises(MissingComponent, match=r"edge-classify\[window\]"):
        Window()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_it_cleanly(
    color_models: ColorModels, tmp_path: Path, number: signal.Signals
) -> None:
    """A stream without an end stops with exit code 0 and whole lines."""
    program = tmp_path / "endless.py"
    program.write_text(
        "import signal, sys, time, numpy as np\n"
        # a shell that starts the tests in the background hands down an ignored SIGINT
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from edge_runtime import sources\n"
        "class Camera:\n"
        "    def isOpened(self): return True\n"
        "    def read(self):\n"
        "        time.sleep(0.01)\n"
        "        return True, np.zeros((8, 8, 3), np.uint8)\n"
        "    def release(self): pass\n"
        "sources.import_cv2().VideoCapture = lambda _: Camera()\n"
        "from edge_runtime.cli import cli\n"
        "cli(sys.argv[1:])\n"
    )
    command = [sys.executable, program, "stream", "--model", color_models.tflite, "--source", "0"]
    with subprocess.Popen(
        [*map(str, command), "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
    ) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        process.send_signal(number)
        rest, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    for line in [first, *rest.splitlines()]:
        json.loads(line)
    assert "stopped after" in errors and "Traceback" not in errors


@pytest.mark.parametrize(
    ("source", "said", "code"), [("none.mp4", "no such video", 2), ("text.mp4", "not a video", 3)]
)
def test_wrong_use(
    color_models: ColorModels, tmp_path: Path, source: str, said: str, code: int
) -> None:
    (tmp_path / "text.mp4").write_text("no video")
    result = run("--model", color_models.tflite, "--source", tmp_path / source)
    assert (result.exit_code, result.stdout) == (code, "")
    assert said in result.stderr and "Traceback" not in result.stderr
