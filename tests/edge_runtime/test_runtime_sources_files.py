"""Videos and pictures: every one in its order, and what is damaged is said."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from color_model import COLORS, ColorModels, paint
from PIL import Image

from edge_runtime.cli import cli
from edge_runtime.errors import DataError, SystemFailure, UsageError
from edge_runtime.sources import SourceSettings, parse_source
from edge_runtime.sources.base import BadFrame, Frame, Reader, SourceLost
from edge_runtime.sources.opening import open_reader
from edge_runtime.sources.pictures import find_pictures, natural_order

ORDER = ["red", "green", "blue"]
LONG = 60.0


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty frames: ten red, ten green, ten blue; each a JPEG of its own (MJPEG in AVI)."""
    import cv2

    file = tmp_path_factory.mktemp("video") / "a:colors 100%.avi"
    writer = cv2.VideoWriter(str(file), cv2.VideoWriter_fourcc(*"MJPG"), 25, (64, 48))
    for name in ORDER:
        for _ in range(10):
            writer.write(np.full((48, 64, 3), COLORS[name][::-1], np.uint8))
    writer.release()
    return file


def write_noise(file: Path, code: str) -> Path:
    """Sixty frames of noise."""
    import cv2

    writer = cv2.VideoWriter(str(file), cv2.VideoWriter_fourcc(*code), 25, (160, 120))
    random = np.random.default_rng(0)
    for _ in range(60):
        writer.write(random.integers(0, 60, (120, 160, 3), np.uint8))
    writer.release()
    return file


@pytest.fixture(scope="module")
def noise(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty frames of noise, in MPEG-4."""
    return write_noise(tmp_path_factory.mktemp("noise") / "noise.mp4", "mp4v")


def opened(source: Path | str, settings: SourceSettings | None = None) -> Reader:
    """A reader, connected."""
    reader = open_reader(parse_source(str(source)), settings or SourceSettings())
    connect = getattr(reader, "connect", None)
    if connect is not None:
        connect()
    return reader


def counts(reader: Reader) -> tuple[int, int, str]:
    """Frames, damaged frames, and the error at the end."""
    good = bad = 0
    try:
        while True:
            try:
                if reader.read(LONG) is None:
                    return good, bad, ""
                good += 1
            except BadFrame:
                bad += 1
    except DataError as error:
        return good, bad, str(error)
    finally:
        reader.close()


def color(pixels: np.ndarray) -> str:
    """The colour that a picture has most of; JPEG changes it a little."""
    return ORDER[int(pixels.reshape(-1, 3).mean(0).argmax())]


def test_every_frame_of_a_video(video: Path) -> None:
    """With its place, as RGB; a name with a colon, a percent sign and blanks is a name."""
    reader = opened(video)
    frames = [reader.read(LONG) for _ in range(30)]
    assert reader.fps == 25 and reader.read(LONG) is None
    for index in (0, 9, 10, 19, 20, 29):
        grabbed = frames[index]
        assert grabbed is not None and grabbed.index == index
        assert grabbed.seconds == pytest.approx(index / 25, abs=0.001)
    reader.close()


def test_colors_of_a_video(video: Path) -> None:
    reader = opened(video)
    seen = []
    while (grabbed := reader.read(LONG)) is not None:
        seen.append(color(Frame(grabbed, 0).pixels))
    assert seen == [name for name in ORDER for _ in range(10)]
    reader.close()


def test_parent_loads_no_opencv(video: Path) -> None:
    code = (
        "import sys\n"
        "from edge_runtime.sources import SourceSettings, parse_source\n"
        "from edge_runtime.sources.opening import open_reader\n"
        "reader = open_reader(parse_source(sys.argv[1]), SourceSettings())\n"
        "assert reader.read(60).data().shape == (48, 64, 3)\n"
        "reader.close()\n"
        "assert 'cv2' not in sys.modules\n"
    )
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", code, str(video)], cwd=root, check=True)


def test_damage_in_the_middle(
    noise: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What the decoder cannot make a frame of is left out and said; the rest is read on."""
    content = bytearray(noise.read_bytes())
    middle = len(content) // 2
    content[middle : middle + len(content) // 10] = bytes(len(content) // 10)
    damaged = tmp_path / "damaged.mp4"
    damaged.write_bytes(content)
    reader = opened(damaged)
    with caplog.at_level("WARNING", "edge_runtime"):
        good, bad, error = counts(reader)
    assert (good + bad, error) == (60, "") and 45 <= good < 60  # a tenth of the bytes is zero
    assert bad or "damaged near" in caplog.text


def test_file_that_is_cut_off(tmp_path: Path) -> None:
    """All frames that are there, then an error that says so: not the end of a whole file."""
    file = write_noise(tmp_path / "cut.avi", "MJPG")
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])  # in the middle of a JPEG
    good, _, error = counts(opened(file))
    # header and index at the ends of the file are small beside the frames
    assert 25 <= good <= 31 and "cut off or damaged" in error
    assert f"cut.avi: ends after {good} frames, {60 - good} fewer than it says it has" in error


def test_whole_file_ends_without_an_error(noise: Path) -> None:
    assert counts(opened(noise)) == (60, 0, "")


def test_videos_that_are_none(tmp_path: Path) -> None:
    text = tmp_path / "text.mp4"
    text.write_text("no video")
    with pytest.raises(DataError, match=r"text.mp4: not a video that OpenCV can read"):
        opened(text)
    empty = tmp_path / "empty.avi"
    empty.touch()
    with pytest.raises(DataError, match="not a video"):
        opened(empty)
    source = parse_source(str(text))
    text.unlink()
    with pytest.raises(DataError, match="the file is gone"):
        open_reader(source, SourceSettings())


def test_pictures_answer_as_photos_do(color_models: ColorModels, tmp_path: Path) -> None:
    """The same photo reading: EXIF orientation, 16 bits, alpha and all."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for number, name in enumerate(ORDER):
        paint(folder / f"{number}.png", name)
    exif = Image.Exif()
    exif[0x0112] = 6
    half = Image.new("RGB", (60, 40), COLORS["red"])
    half.paste(COLORS["blue"], (0, 0, 20, 40))
    half.save(folder / "3.jpg", exif=exif)
    run = CliRunner().invoke
    stream = run(
        cli, ["stream", "--model", str(color_models.tflite), "--source", str(folder), "--json"]
    )
    image = run(cli, ["image", "--model", str(color_models.tflite), str(folder), "--json"])
    assert stream.exit_code == image.exit_code == 0, stream.stderr
    ours, theirs = ([json.loads(x) for x in r.stdout.splitlines()] for r in (stream, image))
    keys = ("path", "label", "index", "score", "top")
    assert [[one[key] for key in keys] for one in ours] == [
        [one[key] for key in keys] for one in theirs
    ]
    assert [one["frame"] for one in ours] == [0, 1, 2, 3]


def test_order_of_pictures(tmp_path: Path) -> None:
    """Numbers by their value, in a folder, with a pattern, and of a sequence."""
    for name in ("f10.png", "f9.png", "f1.png", "g.png", "f09.txt"):
        (tmp_path / name).touch()
    names = [Path(path).name for path in find_pictures(str(tmp_path))]
    assert names == ["f1.png", "f9.png", "f10.png", "g.png"]
    names = [Path(path).name for path in find_pictures(str(tmp_path / "f*.png"))]
    assert names == ["f1.png", "f9.png", "f10.png"]
    names = [Path(path).name for path in find_pictures(str(tmp_path / "f%d.png"))]
    assert names == ["f1.png", "f9.png", "f10.png"]
    assert find_pictures(str(tmp_path / "g.png")) == [str(tmp_path / "g.png")]


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("f_%04d.jpg", ["f_0001.jpg", "f_0002.jpg", "f_0010.jpg", "f_12345.jpg"]),
        ("f_%03d.jpg", ["f_001.jpg", "f_12345.jpg"]),  # as printf writes these numbers
        ("f_%d.jpg", ["f_7.jpg", "f_12345.jpg"]),
    ],
)
def test_numbered_sequence(tmp_path: Path, pattern: str, found: list[str]) -> None:
    for number in ("0001", "0002", "0010", "12345", "001", "7"):
        (tmp_path / f"f_{number}.jpg").touch()
    source = parse_source(str(tmp_path / pattern))
    assert (source.kind, source.live) == ("pictures", False)
    assert [Path(path).name for path in find_pictures(source.address)] == found


def test_natural_order_is_one() -> None:
    paths = ["b/2", "a10/1", "a2/10", "a2/9", "a2/x"]
    assert sorted(paths, key=natural_order) == ["a2/9", "a2/10", "a2/x", "a10/1", "b/2"]


def test_damaged_picture_is_left_out(tmp_path: Path) -> None:
    paint(tmp_path / "1.png", "red")
    (tmp_path / "2.png").write_bytes(b"no picture")
    (tmp_path / "3.png").write_bytes((tmp_path / "1.png").read_bytes()[:20])
    shutil.copy(tmp_path / "1.png", tmp_path / "4.png")
    reader = opened(tmp_path, SourceSettings(fps=2))
    outcomes = []
    while (grabbed := reader.read(1)) is not None:
        try:
            frame = Frame(grabbed, grabbed.index or 0)
            outcomes.append((frame.path, frame.seconds))
        except BadFrame as error:
            assert str(grabbed.path) in str(error)
            outcomes.append((None, grabbed.seconds))
    assert outcomes == [
        (str(tmp_path / "1.png"), 0.0), (None, 0.5), (None, 1.0), (str(tmp_path / "4.png"), 1.5),
    ]  # fmt: skip
    reader.close()
    with pytest.raises(SourceLost):
        reader.read(1)


def test_places_without_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="no picture in this folder"):
        opened(tmp_path)
    with pytest.raises(UsageError, match="no photo matches"):
        opened(tmp_path / "*.jpg")
    with pytest.raises(UsageError, match="no picture of such a name"):
        opened(tmp_path / "f%d.jpg")

    def refuse(folder: str, onerror: object) -> object:
        onerror(PermissionError(13, "Permission denied", folder))  # type: ignore[operator]
        return iter(())

    monkeypatch.setattr("edge_runtime.files.os.walk", refuse)
    with pytest.raises(SystemFailure, match="Permission denied"):
        opened(tmp_path)


def test_no_fifo_is_opened(tmp_path: Path) -> None:
    """It would wait for ever for somebody to write."""
    import os

    os.mkfifo(tmp_path / "pipe.mp4")
    with pytest.raises(UsageError, match="not a regular file"):
        parse_source(str(tmp_path / "pipe.mp4"))
