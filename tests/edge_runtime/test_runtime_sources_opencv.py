"""A child process reads what OpenCV reads: newest first, never torn, left behind when it hangs."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from fake_camera import FakeOpenCV, number_of, open_files

from edge_runtime.errors import MissingComponent
from edge_runtime.sources.base import BadFrame, Frame, Grabbed, SourceLost, SourceStalled
from edge_runtime.sources.opencv.memory import Pool, nameless_file

#: Seconds that something which comes at once may take on a busy machine.
LONG = 60.0


@pytest.fixture
def opencv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeOpenCV:
    """OpenCV in child processes does what a plan says."""
    return FakeOpenCV(tmp_path, monkeypatch)


@pytest.fixture(autouse=True)
def nothing_stays() -> Iterator[None]:
    """No descriptor, no child, no zombie is left behind by any of these tests."""
    before = open_files()
    yield
    gc.collect()  # tracebacks of expected errors hold readers
    assert open_files() <= before


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for something that has to come."""
    end = time.monotonic() + LONG
    while not condition():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.005)


def gone(pid: int) -> bool:
    """Whether a process has ended, and is no zombie either."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return True
    return state == "Z"


def taken(grabbed: Grabbed | None) -> int:
    """Number of a frame that was read."""
    assert grabbed is not None
    return number_of(grabbed.data())


def test_live_source_gives_the_newest_frame(opencv: FakeOpenCV) -> None:
    """However long the reader was busy, and however small the frame was that waited."""
    reader = opencv.open()
    before = taken(reader.read(LONG))
    for _ in range(4):
        passed = opencv.count + 20
        wait_until(lambda passed=passed: opencv.count >= passed)  # type: ignore[misc]
        at_least = opencv.count
        grabbed = reader.read(LONG)
        assert grabbed is not None and grabbed.captured <= time.monotonic()
        number = taken(grabbed)
        # the last one may be on its way from the driver to the slot
        assert number >= at_least - 1 and number > before
        before = number
    reader.close()


def test_frame_is_stamped_before_it_is_decoded(opencv: FakeOpenCV) -> None:
    """Both processes have the same clock."""
    opencv.plan(period=0.05)
    reader = opencv.open()
    reader.read(LONG)
    begin = time.monotonic()
    grabbed = reader.read(LONG)
    end = time.monotonic()
    # 0.05: the frame that is read may have come right before the question
    assert grabbed is not None and begin - 0.05 - 0.5 < grabbed.captured < end
    del grabbed
    reader.close()


def test_no_frame_is_torn_while_others_are_written(opencv: FakeOpenCV) -> None:
    """Three frames are kept unused, as many as the feed does, at full speed and 1.4 MB a frame."""
    opencv.plan(sizes=[(800, 600)], period=0)
    reader = opencv.open()
    kept: list[Grabbed] = []
    numbers = []
    for _ in range(60):
        grabbed = reader.read(LONG)
        assert grabbed is not None
        kept.append(grabbed)
        if len(kept) == 3:
            numbers.append(taken(kept.pop(0)))
    assert numbers == sorted(set(numbers))
    kept.clear()
    reader.close()


def test_all_frames_of_a_file_in_order(opencv: FakeOpenCV) -> None:
    """The child waits for the parent: none is lost however slow that is, or many are kept."""
    opencv.plan(frames=50, count=50, period=0)
    reader = opencv.open(live=False, camera=False)
    numbers, kept = [], []
    reader.connect()
    time.sleep(0.3)  # in which the child could decode all of them
    assert opencv.count < 10  # as many as there are slots, and one in hand
    while (grabbed := reader.read(LONG)) is not None:
        assert grabbed.index == len(numbers) + len(kept)
        assert grabbed.seconds == pytest.approx(grabbed.index * 0.04)
        kept.append(grabbed)
        if len(kept) == 5:
            numbers += [taken(one) for one in kept]
            kept.clear()
    numbers += [taken(one) for one in kept]
    assert numbers == list(range(50)) and reader.read(1) is None
    reader.close()


@pytest.mark.parametrize("live", [True, False])
def test_frames_that_nobody_uses_free_their_memory(opencv: FakeOpenCV, live: bool) -> None:
    opencv.plan(period=0)
    reader = opencv.open(live=live, camera=live)
    for _ in range(50):  # eight times the slots
        assert reader.read(LONG) is not None
    assert taken(reader.read(LONG)) >= 50
    reader.close()


@pytest.mark.parametrize("live", [True, False])
def test_frames_that_are_kept_stay_what_they_were(opencv: FakeOpenCV, live: bool) -> None:
    """More than the shared memory holds: older ones move out of it."""
    opencv.plan(period=0)
    reader = opencv.open(live=live, camera=live)
    kept = [reader.read(LONG) for _ in range(20)]  # three times the slots
    numbers = [taken(grabbed) for grabbed in kept]
    assert numbers == sorted(set(numbers)) and (live or numbers == list(range(20)))
    reader.close()


@pytest.mark.parametrize("live", [True, False])
def test_changed_size(opencv: FakeOpenCV, live: bool) -> None:
    """Larger and smaller; a frame that is kept meanwhile stays what it was."""
    sizes = [(32, 24), (400, 300), (16, 12), (800, 600), (8, 8)]
    opencv.plan(sizes=sizes, period=0.1 if live else 0)
    reader = opencv.open(live=live, camera=live)
    first = reader.read(LONG)
    assert first is not None
    if live:  # the frame that waits for the reader is of a size that is no more
        wait_until(lambda: opencv.count >= 3)
    seen = {}
    while (grabbed := reader.read(LONG)) is not None:
        pixels = grabbed.data()
        number = number_of(pixels)
        seen[number] = pixels.shape  # type: ignore[union-attr]
        if number >= 5:
            break
    assert number_of(first.data()) == 0
    expected = {n: (sizes[min(n, 4)][1], sizes[min(n, 4)][0], 3) for n in seen}
    assert seen == expected and (live or sorted(seen) == [1, 2, 3, 4, 5])
    reader.close()


def test_frame_becomes_rgb_of_its_own(opencv: FakeOpenCV) -> None:
    """Number 0x010000 is red in the order of RGB; and writing to it reaches nobody else."""
    reader = opencv.open()
    grabbed = reader.read(LONG)
    assert grabbed is not None
    frame = Frame(grabbed, 0)
    assert frame.pixels.flags.owndata and frame.pixels.flags.c_contiguous
    assert frame.pixels.dtype == np.uint8 and frame.pixels.shape == (24, 32, 3)
    assert frame.photo is frame.pixels
    reader.close()


def test_hung_driver_is_a_stall_and_left_behind(opencv: FakeOpenCV) -> None:
    opencv.plan(hang_at=3, hang_at_release=True)
    reader = opencv.open()
    with pytest.raises(SourceStalled, match=r"no frame for 0.2 s"):
        while True:
            reader.read(0.2)
    pid = reader.pid
    assert not gone(pid)
    reader.close()
    assert gone(pid)
    reader.close()  # twice is safe
    with pytest.raises(SourceLost, match="closed"):
        reader.read(LONG)


def test_child_that_does_not_even_answer_is_left_behind(opencv: FakeOpenCV) -> None:
    """Stopped as by a debugger, it neither gives a frame nor ends by itself."""
    reader = opencv.open()
    reader.read(LONG)
    os.kill(reader.pid, signal.SIGSTOP)
    with pytest.raises(SourceStalled):
        while True:
            reader.read(0.05)
    with pytest.raises(SourceStalled):
        reader.read(0.05)
    reader.close()
    assert gone(reader.pid)


def test_hung_opening_is_left_behind(opencv: FakeOpenCV) -> None:
    """Another thread closes while one waits for the source to open."""
    opencv.plan(hang_at_opening=True)
    reader = opencv.open()
    closer = threading.Timer(0.5, reader.close)
    closer.start()
    with pytest.raises(SourceLost, match="closed"):
        reader.connect()
    closer.join()
    assert gone(reader.pid)


def test_opening_has_an_end(opencv: FakeOpenCV, monkeypatch: pytest.MonkeyPatch) -> None:
    from edge_runtime.sources.opencv import reader as module

    monkeypatch.setattr(module, "_GRACE", 0.0)
    opencv.plan(hang_at_opening=True)
    reader = opencv.open(open_ms=50)
    with pytest.raises(SourceStalled, match=r"did not open within 0.05 s"):
        reader.read(LONG)
    reader.close()


def test_frame_after_a_stall_is_not_an_old_one(opencv: FakeOpenCV) -> None:
    """What came between two calls is dropped, unless nothing newer is there."""
    opencv.plan(period=0.1)
    reader = opencv.open()
    reader.read(LONG)
    stalls = 0
    for _ in range(10):
        try:
            reader.read(0.001)
        except SourceStalled:
            stalls += 1
    assert stalls
    wanted = opencv.count + 5
    wait_until(lambda: opencv.count >= wanted)
    assert taken(reader.read(LONG)) >= wanted - 1
    reader.close()


def test_crash_is_a_loss_with_its_reason(opencv: FakeOpenCV) -> None:
    """And the last words of what crashed, without the password in them."""
    address = "rtsp://me:secretword@cam/x"
    opencv.plan(crash_at=2, says=f"trouble with {address} and secretword\n")
    reader = opencv.open(address=address, camera=False)
    with pytest.raises(SourceLost) as caught:
        while True:
            reader.read(LONG)
    assert "SIGSEGV" in str(caught.value) and "secretword" not in str(caught.value)
    with pytest.raises(SourceLost, match="SIGSEGV"):
        reader.read(LONG)
    reader.close()


def test_killed_child_says_its_last_words(opencv: FakeOpenCV) -> None:
    opencv.plan(hang_at=0)
    reader = opencv.open()
    reader.connect()
    os.kill(reader.pid, signal.SIGKILL)
    with pytest.raises(SourceLost, match=r"SIGKILL.*lack of memory"):
        reader.read(LONG)
    reader.close()


def test_end_of_a_live_source_is_a_loss(opencv: FakeOpenCV) -> None:
    opencv.plan(frames=3)
    reader = opencv.open()
    with pytest.raises(SourceLost, match="gives no more frames"):
        while True:
            assert reader.read(LONG) is not None
    reader.close()


def test_refusal_has_the_words_of_opencv(opencv: FakeOpenCV) -> None:
    opencv.plan(refuse=True, says="[ WARN:0@0.1] global cap.cpp device busy.\n")
    reader = opencv.open()
    with pytest.raises(SourceLost, match=r"^refused: global cap.cpp device busy$"):
        reader.read(LONG)
    reader.close()


def test_missing_opencv(opencv: FakeOpenCV) -> None:
    opencv.plan(missing=True)
    reader = opencv.open()
    with pytest.raises(MissingComponent, match=r"edge-classify\[camera\]"):
        reader.connect()
    reader.close()


def test_closing_ends_a_read_on_another_thread(opencv: FakeOpenCV) -> None:
    opencv.plan(hang_at=1)
    reader = opencv.open()
    reader.read(LONG)
    closer = threading.Timer(0.2, reader.close)
    closer.start()
    with pytest.raises(SourceLost, match="closed"):
        reader.read(LONG)
    closer.join()


def test_frame_outlives_its_reader(opencv: FakeOpenCV) -> None:
    reader = opencv.open()
    grabbed = reader.read(LONG)
    reader.close()
    assert taken(grabbed) >= 0


def test_signals_for_all_do_not_end_the_child(opencv: FakeOpenCV) -> None:
    """Ctrl-C and a service manager's SIGTERM reach it, too; the parent decides."""
    reader = opencv.open()
    reader.read(LONG)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(reader.pid, number)
    later = opencv.count + 5
    wait_until(lambda: opencv.count >= later)
    assert taken(reader.read(LONG)) >= later - 1
    assert os.getsid(reader.pid) != os.getsid(0)  # no terminal's Ctrl-C reaches it anyway
    reader.close()


def test_address_is_on_no_command_line(opencv: FakeOpenCV) -> None:
    reader = opencv.open(address="rtsp://me:secretword@cam/x", camera=False)
    reader.read(LONG)
    about = Path(f"/proc/{reader.pid}")
    for file in ("cmdline", "environ"):
        content = (about / file).read_bytes()
        assert content and b"secretword" not in content
    assert any("secretword" in line for line in opencv.log)  # it did arrive
    reader.close()


def test_child_ends_with_its_parent(opencv: FakeOpenCV, tmp_path: Path) -> None:
    """A parent that is killed has no time to say so; a driver that hangs does not keep it."""
    opencv.plan(hang_at=2)
    program = tmp_path / "parent.py"
    program.write_text(
        "import sys, time\n"
        "from edge_runtime.sources.base import Source, SourceLost\n"
        "from edge_runtime.sources.opencv.job import Job\n"
        "from edge_runtime.sources.opencv.reader import OpenCVReader\n"
        "source = Source('camera', '/dev/video0', 'camera', True)\n"
        "reader = OpenCVReader(source, Job('/dev/video0', live=True, camera=True), SourceLost)\n"
        "reader.read(60)\n"
        "assert 'cv2' not in sys.modules\n"
        "print(reader.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    root = str(Path(__file__).parents[2])
    environment = os.environ | {"PYTHONPATH": f"{os.environ['PYTHONPATH']}:{root}"}
    with subprocess.Popen(
        [sys.executable, program], stdout=subprocess.PIPE, text=True, env=environment
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert not gone(pid)
        parent.kill()
    wait_until(lambda: gone(pid))


def test_camera_is_set_up_in_the_right_order(opencv: FakeOpenCV) -> None:
    """The format decides which sizes there are, and both which rates; one buffer, no queue."""
    reader = opencv.open(size=(640, 480), fps=15.0, pixel_format="MJPG")
    reader.connect()
    assert reader.fps == 25 and reader.size == (32, 24) and reader.pixel_format == "YUYV"
    asked = [line.split()[1] for line in opencv.log if line.startswith("set")]
    # FOURCC, width, height, rate, buffers: the numbers of fake_cv2
    assert asked == ["4", "1", "2", "3", "7"]
    reader.close()
    assert "release" in opencv.log


def test_jpeg_of_a_camera_stays_one(opencv: FakeOpenCV) -> None:
    """It is decoded where it is needed; a damaged one is left out, not shown as the one before."""
    opencv.plan(jpeg=True, damaged=[3], period=0.2)
    reader = opencv.open()
    seen, bad = [], 0
    while len(seen) < 5:
        try:
            grabbed = reader.read(LONG)
        except BadFrame:
            bad += 1
            continue
        assert grabbed is not None
        content = grabbed.data()
        assert isinstance(content, bytes)
        seen.append(content)
    assert bad == 1
    pixels = Frame(Grabbed(0.0, lambda: seen[0]), 0).pixels
    assert pixels.shape == (24, 32, 3) and pixels[0, 0].tolist() == [254, 0, 0]  # as JPEG has red
    reader.close()


def test_file_that_says_it_has_more(opencv: FakeOpenCV, caplog: pytest.LogCaptureFixture) -> None:
    """Counts in files are estimates; without an error of the decoder, it is the end."""
    opencv.plan(frames=10, count=100, period=0)
    reader = opencv.open(live=False, camera=False)
    for _ in range(10):
        assert reader.read(LONG) is not None
    with caplog.at_level("WARNING", "edge_runtime"):
        assert reader.read(LONG) is None
    assert "ends after 10 frames, 90 fewer than it says" in caplog.text
    reader.close()


def test_memory_without_memfd_leaves_no_file(tmp_path: Path) -> None:
    """As on systems that do not have memfd_create."""
    descriptor = nameless_file(str(tmp_path))
    pool = Pool(0, 4096, 2, descriptor)
    other = Pool(0, 4096, 2, descriptor)
    os.close(descriptor)
    pool.view(1, 3)[:] = (1, 2, 3)
    assert other.view(1, 3).tolist() == [1, 2, 3] and other.view(0, 1).tolist() == [0]
    assert not list(tmp_path.iterdir())
