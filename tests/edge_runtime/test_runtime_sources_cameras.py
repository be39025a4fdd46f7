"""Cameras of Video4Linux: told apart, found again, listed, and helped with."""

from __future__ import annotations

import json
import os
import struct
from pathlib import Path

import pytest
from click.testing import CliRunner
from fake_camera import FakeOpenCV, FakeSystem

from edge_runtime.cli import cli
from edge_runtime.sources import SourceSettings, parse_source
from edge_runtime.sources.base import Source, SourceLost
from edge_runtime.sources.camera import open_reader
from edge_runtime.sources.listing import format_sources, list_sources
from edge_runtime.sources.v4l2 import Places, cameras, device_of, holders
from edge_runtime.sources.v4l2_formats import enumerate_formats


@pytest.fixture
def system(tmp_path: Path) -> FakeSystem:
    """A machine without a camera."""
    return FakeSystem(tmp_path / "root")


@pytest.fixture
def opencv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeOpenCV:
    """OpenCV in child processes does what a plan says."""
    return FakeOpenCV(tmp_path, monkeypatch)


def devices(system: FakeSystem) -> list[str]:
    """What is taken for cameras."""
    return [node.device for node in cameras(system.root)]


def test_only_nodes_with_pictures_are_cameras(system: FakeSystem) -> None:
    """Of two nodes a camera the second gives metadata; a Pi has codecs and raw ports."""
    system.plug(10, "1-1")
    system.plug(2, "1-2")
    system.add(14, "bcm2835-isp-capture0")
    system.add(0, "unicam-image")
    system.add(5, "Grabber")
    assert devices(system) == ["/dev/video2", "/dev/video5", "/dev/video10"]


def test_camera_is_found_where_it_is_plugged_in_again(system: FakeSystem) -> None:
    """Also when the port, the number and the order are others."""
    system.plug(0, "1-1", serial="A1")
    places = Places(system.root)
    assert places.find("0") == ("/dev/video0", None)
    places.remember("0", "/dev/video0")
    system.unplug(0, "1-1")
    assert places.find("0")[0] is None
    system.plug(4, "2-3", serial="A1")
    assert places.find("0")[0] == "/dev/video4"
    assert places.find("/dev/video0") == ("/dev/video0", None)  # another source's business


def test_another_camera_does_not_take_its_place(system: FakeSystem) -> None:
    system.plug(0, "1-1", serial="A1")
    places = Places(system.root)
    places.remember("/dev/video0", "/dev/video0")
    system.unplug(0, "1-1")
    system.plug(0, "1-1", serial="B2")
    device, known = places.find("/dev/video0")
    assert device is None and str(known) == "Cam"
    system.plug(2, "1-2", serial="A1")
    assert places.find("/dev/video0")[0] == "/dev/video2"


def test_twins_without_a_serial_number_are_told_apart_by_their_place(system: FakeSystem) -> None:
    """Its twin, which was there before, is not taken for it; one at a new place is."""
    system.plug(0, "1-1")
    system.plug(2, "1-2")
    places = Places(system.root)
    places.remember("0", "/dev/video0")
    system.unplug(0, "1-1")
    assert places.find("0")[0] is None
    system.plug(6, "1-4")
    assert places.find("0")[0] == "/dev/video6"
    system.unplug(6, "1-4")
    system.plug(8, "1-1")  # back at its place, with another number
    assert places.find("0")[0] == "/dev/video8"


def test_camera_that_is_on_no_usb(system: FakeSystem) -> None:
    system.add(3, "Grabber")
    places = Places(system.root)
    places.remember("3", "/dev/video3")
    assert places.find("3")[0] == "/dev/video3"


def test_links_by_id(system: FakeSystem) -> None:
    system.plug(2, "1-1", serial="A1")
    link = "/dev/v4l/by-id/usb-A1-video-index0"
    assert device_of(link, system.root) == "/dev/video2"
    assert device_of("7", system.root) == "/dev/video7"
    assert parse_source(link).kind == "camera"


def test_open_and_open_again_elsewhere(system: FakeSystem, opencv: FakeOpenCV) -> None:
    """The whole way: opened, unplugged, plugged in as another number, opened there."""
    system.plug(0, "1-1", serial="A1")
    places = Places(system.root)
    source, settings = Source("camera", "0", "0", True), SourceSettings(stall_after=3)
    reader = open_reader(source, settings, places)
    assert reader.read(60) is not None
    reader.close()
    system.unplug(0, "1-1")
    with pytest.raises(SourceLost, match=r"the camera \(Cam\) is gone. There is none"):
        open_reader(source, settings, places)
    system.plug(0, "1-1", name="Other", serial="B2")
    system.plug(2, "1-2", serial="A1")
    reader = open_reader(source, settings, places)
    assert reader.read(60) is not None
    reader.close()
    opened = [line for line in opencv.log if line.startswith("open")]
    assert [line.split()[1] for line in opened] == ["/dev/video0", "/dev/video2"]


def test_wishes_that_are_not_granted_are_said(
    system: FakeSystem, opencv: FakeOpenCV, caplog: pytest.LogCaptureFixture
) -> None:
    system.plug(0, "1-1")
    settings = SourceSettings(size=(640, 480), pixel_format="MJPG")
    reader = open_reader(Source("camera", "0", "0", True), settings, Places(system.root))
    with caplog.at_level("WARNING", "edge_runtime"):
        reader.read(60)
    reader.close()
    assert "0: gives 32 x 24 pixels in place of 640 x 480" in caplog.text
    assert "0: gives YUYV in place of MJPG" in caplog.text


def test_no_such_camera_names_those_that_are_there(system: FakeSystem) -> None:
    source = Source("camera", "7", "7", True)
    with pytest.raises(SourceLost, match=r"There is none\. Is it plugged in\?"):
        open_reader(source, SourceSettings(), Places(system.root))
    system.plug(2, "1-1", name="HD Webcam")
    with pytest.raises(SourceLost, match=r"There are: /dev/video2 \(HD Webcam\)"):
        open_reader(source, SourceSettings(), Places(system.root))


def test_no_permission(system: FakeSystem, monkeypatch: pytest.MonkeyPatch) -> None:
    system.plug(0, "1-1")
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(SourceLost, match="group video"):
        open_reader(Source("camera", "0", "0", True), SourceSettings(), Places(system.root))


def test_busy_camera_names_who_holds_it(system: FakeSystem, opencv: FakeOpenCV) -> None:
    opencv.plan(refuse=True)
    system.plug(0, "1-1")
    process = system.root / "proc/4711"
    (process / "fd").mkdir(parents=True)
    (process / "comm").write_text("cheese\n")
    (process / "fd/7").symlink_to("/dev/video0")
    assert holders("/dev/video0", system.root) == ["cheese (process 4711)"]
    reader = open_reader(Source("camera", "0", "0", True), SourceSettings(), Places(system.root))
    with pytest.raises(SourceLost, match=r"/dev/video0 is in use by cheese \(process 4711\)"):
        reader.read(60)
    reader.close()


def test_refused_without_a_known_reason(system: FakeSystem, opencv: FakeOpenCV) -> None:
    opencv.plan(refuse=True, says="VIDIOC_REQBUFS: Device or resource busy\n")
    system.plug(0, "1-1")
    places = Places(system.root)
    for address, said in (
        ("0", "does not open (VIDIOC_REQBUFS: Device or resource busy)"),
        ("1", "/dev/video1 gives no pictures. There are: /dev/video0"),
    ):
        reader = open_reader(Source("camera", address, "x", True), SourceSettings(), places)
        with pytest.raises(SourceLost) as caught:
            reader.read(60)
        reader.close()
        assert said in str(caught.value)


def answer(request: int, data: bytes) -> bytes:
    """A driver with MJPG in two sizes, and YUYV in any size up to 640 x 480 at any rate to 30."""
    index = struct.unpack_from("<I", data)[0]
    formats = (b"MJPG", b"YUYV")
    if request == 0xC0405602 and index < 2:
        code = struct.unpack("<I", formats[index])[0]
        return struct.pack("<3I32s5I", index, 1, 0, b"Name", code, 0, 0, 0, 0)
    if request == 0xC02C564A:
        code = struct.unpack_from("<I", data, 4)[0]
        if code == struct.unpack("<I", b"MJPG")[0] and index < 2:
            size = ((1920, 1080), (640, 480))[index]
            return struct.pack("<11I", index, code, 1, *size, *[0] * 6)
        if code == struct.unpack("<I", b"YUYV")[0] and index == 0:
            return struct.pack("<11I", index, code, 3, 16, 640, 2, 16, 480, 2, 0, 0)
    if request == 0xC034564B:
        code = struct.unpack_from("<I", data, 4)[0]
        if code == struct.unpack("<I", b"MJPG")[0] and index < 2:
            return struct.pack(
                "<13I", *struct.unpack_from("<4I", data), 1, 1, (30, 15)[index], *[0] * 6
            )
        if code == struct.unpack("<I", b"YUYV")[0] and index == 0:
            return struct.pack("<13I", *struct.unpack_from("<4I", data), 2, 1, 30, *[0] * 6)
    raise OSError(22, "Invalid argument")


def test_formats_are_asked_of_the_driver() -> None:
    """By the structures of linux/videodev2.h."""
    found = list(enumerate_formats(answer))
    assert [(f["pixel_format"], f["description"]) for f in found] == [
        ("MJPG", "Name"),
        ("YUYV", "Name"),
    ]
    assert found[0]["sizes"] == [
        {"width": 1920, "height": 1080, "fps": [30.0, 15.0]},
        {"width": 640, "height": 480, "fps": [30.0, 15.0]},
    ]
    assert found[1]["sizes"] == [{"width": 640, "height": 480, "fps": [30.0]}]


def test_driver_that_does_not_end_its_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_runtime.sources.v4l2_formats._MOST", 7)
    found = list(enumerate_formats(lambda request, data: answer(request, bytes(4) + data[4:])))
    assert [len(found), len(found[0]["sizes"]), len(found[0]["sizes"][0]["fps"])] == [7, 7, 7]


def test_list_of_sources(system: FakeSystem, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cameras with a path that follows them; codecs, ports and metadata left out."""
    system.plug(2, "1-1", name="HD Webcam", serial="A1")
    system.add(0, "unicam-image")
    lines = [
        "0 : imx708 [4608x2592 10-bit RGGB] (/base/soc/i2c0mux/i2c@1/imx708@1a)",
        "1 : UVC Camera [1920x1080] (/base/scb/pcie@7d500000/usb@1-1)",
    ]
    monkeypatch.setattr("edge_runtime.doctor.cameras._listed", lambda _: lines)
    monkeypatch.setattr("edge_runtime.doctor.cameras.shutil.which", lambda name: name)
    monkeypatch.setattr(
        "edge_runtime.sources.monitors.screens", lambda: [(0, 0, 800, 600), (800, 0, 640, 480)]
    )
    listed = list_sources(system.root)
    by_source = {entry["source"]: entry for entry in listed}
    assert list(by_source) == ["/dev/video2", "screen:", "screen:0", "screen:1", "test:"]
    camera = by_source["/dev/video2"]
    assert camera["stable"] == "/dev/v4l/by-id/usb-A1-video-index0" and camera["usable"]
    assert camera["name"] == "HD Webcam" and camera["formats"] == []  # no driver answers
    assert (by_source["screen:"]["width"], by_source["screen:"]["height"]) == (1440, 600)
    camera["formats"] = list(enumerate_formats(answer))
    text = format_sources(listed)
    assert "MJPG 1920x1080 at 30 fps, 640x480 at 30 fps" in text
    assert "also /dev/v4l/by-id/usb-A1-video-index0" in text
    for entry in listed:  # what is listed can be typed
        assert parse_source(entry["source"]).kind == entry["kind"]


def test_cameras_of_libcamera_are_listed() -> None:
    from edge_runtime.sources.listing import _libcamera

    assert _libcamera(
        [
            "0 : imx708 [4608x2592 10-bit RGGB] (/base/soc/i2c0mux/i2c@1/imx708@1a)",
            "1 : UVC Camera [1920x1080] (/base/scb/pcie@7d500000/usb@1-1)",
        ]
    ) == [{"source": "picamera:0", "kind": "picamera", "name": "imx708 [4608x2592 10-bit RGGB]"}]


@pytest.mark.parametrize("arguments", [["--list-sources", "--json"], ["--json", "--list-sources"]])
def test_list_sources_needs_no_model(arguments: list[str]) -> None:
    result = CliRunner().invoke(cli, ["stream", *arguments])
    assert result.exit_code == 0 and result.stderr == ""
    listed = json.loads(result.stdout)["sources"]
    assert listed[-1]["source"] == "test:"
    plain = CliRunner().invoke(cli, ["stream", "--list-sources"])
    assert plain.exit_code == 0 and "test: " in plain.stdout
