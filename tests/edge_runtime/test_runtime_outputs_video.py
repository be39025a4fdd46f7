"""A video is as long as what it shows, and can be played however the stream ended."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from color_model import ColorModels
from stream_results import PATIENCE, make_frame, make_result, wait_for

from edge_runtime.errors import MissingComponent, OutputExists, SystemFailure, UsageError
from edge_runtime.stream.outputs import video as video_module
from edge_runtime.stream.outputs.base import Outlet
from edge_runtime.stream.outputs.frame_times import Places, rate_of
from edge_runtime.stream.outputs.video import Video
from edge_runtime.stream.results import FrameResult
from edge_runtime.stream.status import Status

pytest.importorskip("cv2", reason="OpenCV is not installed")


def read(file: Path) -> tuple[float, list[np.ndarray]]:
    """Frame rate and RGB frames of a video."""
    import cv2

    capture = cv2.VideoCapture(str(file))
    frames = []
    while True:
        there, frame = capture.read()
        if not there:
            break
        frames.append(frame[:, :, ::-1])
    fps = capture.get(cv2.CAP_PROP_FPS)
    capture.release()
    return fps, frames


def at(seconds: float, color: tuple[int, int, int] = (255, 0, 0), **rest: object) -> FrameResult:
    """The answer to a frame that arrived at a time."""
    frame = make_frame(color=color, captured=seconds, **rest)  # type: ignore[arg-type]
    return make_result(frame=frame)


def written(file: Path, results: list[FrameResult], live: bool = True, **options: object) -> None:
    """A video of results."""
    output = Video(str(file), live, **options)  # type: ignore[arg-type]
    for result in results:
        output.result(result)
    output.close()


@pytest.mark.parametrize("ending", ["mp4", "mkv", "avi", "webm"])
def test_length_is_that_of_the_time(tmp_path: Path, ending: str) -> None:
    """Frames come at 30 a second, then at 3, then with a pause; the video has 10."""
    times = [n / 30 for n in range(30)] + [1 + n / 3 for n in range(6)] + [6.0]
    colors = [(255, 0, 0)] * 30 + [(0, 255, 0)] * 6 + [(0, 0, 255)]
    file = tmp_path / f"video.{ending}"
    written(file, [at(100 + t, c) for t, c in zip(times, colors, strict=True)], fps=10)
    fps, frames = read(file)
    # From 0 s to 6 s there are 61 tenths; OpenCV's reader may lose the last frame of VP8.
    assert fps == pytest.approx(10) and len(frames) in (61, 60)
    strongest = [int(frame[4, 4].argmax()) for frame in frames]
    assert strongest[:10] == [0] * 10  # red for the first second
    # The last red frame has the place of 1.0 s; the next green one is that of 1.33 s.
    assert strongest[13:60] == [1] * 47


def test_places() -> None:
    places = Places(10)
    found = [places.place(t) for t in (50.0, 50.04, 50.1, 50.12, 50.5, 50.4, 51.0)]
    assert found == [0, None, 0, None, 3, None, 4]
    assert places.gap(53.0) == 2.0 and places.length(53.0) == 3.0


@pytest.mark.parametrize(
    ("first", "second", "rate"),
    [(0.0, 1 / 30, 30.0), (0.0, 0.04, 25.0), (None, None, 15.0), (1.0, 1.0, 15.0), (0, 1e-9, 15.0)],
)
def test_rate_of_a_recording(first: float, second: float, rate: float) -> None:
    assert rate_of(first, second, 15.0) == rate


def test_a_recording_keeps_each_frame(tmp_path: Path) -> None:
    """However long the classifier took: its own times count."""
    results = [
        make_result(frame=make_frame(n, captured=100 + n * 7.0, seconds=n / 25)) for n in range(20)
    ]
    written(tmp_path / "video.mp4", results, live=False)
    fps, frames = read(tmp_path / "video.mp4")
    assert fps == pytest.approx(25) and len(frames) == 20
    written(tmp_path / "one.mp4", results[:1], live=False)
    assert len(read(tmp_path / "one.mp4")[1]) == 1
    pictures = [make_result(frame=make_frame(n)) for n in range(5)]  # without times
    written(tmp_path / "pictures.mp4", pictures, live=False)
    assert len(read(tmp_path / "pictures.mp4")[1]) == 5


def test_another_size_is_fitted_into_the_first(tmp_path: Path) -> None:
    sizes = [(64, 48), (48, 64), (640, 480), (7, 5)]
    results = [at(n / 10, size=size) for n, size in enumerate(sizes)]
    written(tmp_path / "video.avi", results, fps=10, codec="MJPG")
    _, frames = read(tmp_path / "video.avi")
    assert [frame.shape for frame in frames] == [(48, 64, 3)] * 4
    upright = frames[1]
    assert upright[10, 2].max() < 60 and upright[10, 32, 0] > 180  # black bars, red in between
    written(tmp_path / "odd.mp4", [at(0, size=(63, 47)), at(1, size=(63, 47))], fps=10)
    assert read(tmp_path / "odd.mp4")[1][0].shape == (48, 64, 3)


def test_after_a_gap_another_file_begins(tmp_path: Path) -> None:
    times = [0.0, 0.1, 60.0, 60.1]
    written(tmp_path / "video.mp4", [at(t) for t in times], fps=10)
    assert [len(read(tmp_path / n)[1]) for n in ("video.mp4", "video-2.mp4")] == [2, 2]


def test_a_series_goes_on_and_removes_the_oldest(tmp_path: Path) -> None:
    (tmp_path / "cam-000007.avi").write_bytes(b"x" * 900_000)  # of an earlier run
    (tmp_path / "cam-7.avi").write_bytes(b"not ours")
    results = [at(n / 10, size=(320, 240)) for n in range(40)]
    options = {"fps": 10, "minutes": 1 / 60, "codec": "MJPG"}
    written(tmp_path / "cam.avi", results, **options, most_bytes=1_000_000)
    names = sorted(path.name for path in tmp_path.iterdir())
    # Four files of a second; the old one makes room, since all but one may take 750 kB.
    assert names == [
        "cam-000008.avi",
        "cam-000009.avi",
        "cam-000010.avi",
        "cam-000011.avi",
        "cam-7.avi",
    ]
    assert sum(len(read(tmp_path / name)[1]) for name in names[:4]) == 40


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    file = tmp_path / "video.mp4"
    file.write_bytes(b"precious")
    with pytest.raises(OutputExists):
        Video(str(file), True)
    assert file.read_bytes() == b"precious"
    written(file, [at(0.0), at(1.0)], overwrite=True)
    assert len(read(file)[1]) == 16


def test_names_and_codecs_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="a name that ends in"):
        Video(str(tmp_path / "video.gif"), True)
    (tmp_path / "folder.mp4").mkdir()
    with pytest.raises(UsageError, match="is a folder"):
        Video(str(tmp_path / "folder.mp4"), True)
    with pytest.raises(UsageError, match="four characters"):
        Video(str(tmp_path / "video.mp4"), True, codec="h264x")
    with pytest.raises(UsageError, match="this OpenCV cannot write"):
        Video(str(tmp_path / "video.mp4"), True, codec="ZZZZ")
    assert [path.name for path in tmp_path.iterdir()] == ["folder.mp4"]


def test_missing_opencv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cv2.py").write_text("raise ImportError('none')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(MissingComponent, match=r"edge-classify\[camera\]"):
        Video(str(tmp_path / "video.mp4"), True)


Usage = namedtuple("Usage", "total used free")


def test_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The video ends, said once, while there is room to finish it."""
    free = [10**9]
    usage: Callable[[str], Usage] = lambda _: Usage(10**9, 0, free[0])  # noqa: E731
    monkeypatch.setattr(video_module.shutil, "disk_usage", usage)
    monkeypatch.setattr(video_module, "_LOOK", 0.0)
    status = Status("test:", "m")
    outlet = Outlet(Video(str(tmp_path / "video.mp4"), True, fps=10), status)
    for number in range(3):
        outlet.result(at(number / 10))
    wait_for(lambda: status.snapshot()["output_queues"]["video"] == 0)
    free[0] = 10**6
    for number in range(3, 9):
        outlet.result(at(number / 10))
    wait_for(lambda: bool(status.snapshot()["output_failures"]))
    free[0] = 10**9
    assert outlet.close(PATIENCE)  # after what was in the queue already
    assert status.snapshot()["output_failures"] == {"video": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["video.mp4"]
    assert not outlet.output.wants_results and 1 <= len(read(tmp_path / "video.mp4")[1]) <= 3


def test_full_disk_ends_a_recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = Usage(10**9, 10**9, 0)
    monkeypatch.setattr(video_module.shutil, "disk_usage", lambda _: usage)
    output = Video(str(tmp_path / "video.mp4"), False, fps=10)
    with pytest.raises(SystemFailure, match="no space left"):
        output.result(at(0.0))
    output.close()
    assert list(tmp_path.iterdir()) == []


def test_a_dead_encoder_gets_a_successor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(video_module, "_REST", 0.0)
    output = Video(str(tmp_path / "video.avi"), True, fps=10, codec="MJPG")
    output.result(at(0.0))
    assert output._process is not None
    output._process._process.kill()
    output._process._process.wait()
    with pytest.raises(SystemFailure, match="ended with -9"):
        for number in range(1, 5):
            output.result(at(number / 10))
    output.result(at(1.0))
    output.result(at(1.1))
    output.close()
    assert len(read(tmp_path / "video-2.avi")[1]) == 2


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="needs POSIX")
def test_an_encoder_that_does_not_finish_gets_a_successor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its late answer would be taken for that of the next file; the one it left counts as space."""
    monkeypatch.setattr(video_module, "_REST", 0.0)
    output = Video(str(tmp_path / "cam.avi"), True, fps=10, codec="MJPG", minutes=1 / 60)
    done: list[str] = []
    monkeypatch.setattr(output._parts, "done", lambda file: done.append(Path(file).name))
    for moment in (0.0, 0.5):
        output.result(at(moment))
    assert output._process is not None
    hanging = output._process._process
    hanging.send_signal(signal.SIGSTOP)
    with monkeypatch.context() as patch:
        patch.setattr(video_module, "_FINISH", 0.05)
        with pytest.raises(SystemFailure, match="no answer"):
            output.result(at(1.0))
    assert done == ["cam-000001.avi"]
    assert hanging.poll() is not None and output._process is None  # it does not stay, either
    for moment in (1.1, 1.2):
        output.result(at(moment))
    output.close()
    assert done == ["cam-000001.avi", "cam-000002.avi"]
    assert len(read(tmp_path / "cam-000002.avi")[1]) == 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_playable_after_a_signal(
    tmp_path: Path, color_models: ColorModels, number: signal.Signals
) -> None:
    """Even SIGKILL of the command leaves a whole MP4: the process that encodes finishes it."""
    file = tmp_path / "video.mp4"
    command = [sys.executable, "-m", "edge_runtime.cli", "stream", "--model", color_models.tflite]
    command += ["--source", "test:", "--video", file, "--json", "--print", "frames"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        for _ in range(40):
            assert process.stdout.readline()
        process.send_signal(number)
        process.communicate(timeout=PATIENCE)
    assert process.returncode == (0 if number is signal.SIGTERM else -9)

    def whole() -> bool:
        return len(read(file)[1]) >= 10  # 40 frames at 30 a second are 20 at 15

    wait_for(whole)
