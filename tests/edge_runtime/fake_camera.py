"""A system with cameras that are plugged in and out, and an OpenCV that does as it is told."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_runtime.sources.base import Source, SourceLost
from edge_runtime.sources.opencv.job import Job
from edge_runtime.sources.opencv.reader import OpenCVReader


class FakeOpenCV:
    """What the children of this test find in place of OpenCV."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.file = folder / "plan.json"
        paths = [os.fspath(Path(__file__).with_name("fake_cv2")), os.environ.get("PYTHONPATH", "")]
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
        patch.setenv("FAKE_CV2", os.fspath(self.file))
        self.plan()

    def plan(self, **plan: Any) -> None:
        """What the next child does."""
        self.file.write_text(json.dumps({"sizes": [(32, 24)], **plan}))

    @property
    def count(self) -> int:
        """Number of the last frame that the camera gave; -1 for none."""
        try:
            return int(Path(f"{self.file}.count").read_text())
        except FileNotFoundError:
            return -1

    @property
    def log(self) -> list[str]:
        """What it was asked for."""
        return Path(f"{self.file}.log").read_text().splitlines()

    def open(self, live: bool = True, address: str = "/dev/video0", **job: Any) -> OpenCVReader:
        """A reader of it."""
        source = Source("camera", address, "camera", live)
        return OpenCVReader(
            source,
            Job(address, ("V4L2",), live=live, **{"camera": True, **job}),
            lambda words: SourceLost(f"refused: {words}"),
        )


def number_of(pixels: bytes | np.ndarray) -> int:
    """Number of a frame, which is its colour; all of its pixels have to have it."""
    assert isinstance(pixels, np.ndarray)
    assert (pixels == pixels[0, 0]).all(), "torn"
    red, green, blue = (int(value) for value in pixels[0, 0])
    return red << 16 | green << 8 | blue


class FakeSystem:
    """The part of ``/dev``, ``/sys`` and ``/proc`` that cameras have."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for folder in ("dev/v4l/by-id", "sys/class/video4linux", "sys/devices", "proc"):
            (root / folder).mkdir(parents=True)

    def plug(
        self, number: int, port: str, name: str = "Cam", serial: str = "", nodes: int = 2
    ) -> None:
        """A USB camera with a node for pictures and one for metadata."""
        usb = self.root / "sys/devices/usb1" / port
        interface = usb / f"{port}:1.0"
        interface.mkdir(parents=True)
        for file, text in (("idVendor", "046d"), ("idProduct", "0825"), ("serial", serial)):
            if text:
                (usb / file).write_text(f"{text}\n")
        (interface / "bInterfaceNumber").write_text("00\n")
        for index in range(nodes):
            self._node(number + index, name, index, interface)
        if serial:
            link = self.root / "dev/v4l/by-id" / f"usb-{serial}-video-index0"
            link.unlink(missing_ok=True)
            link.symlink_to(f"../../video{number}")

    def add(self, number: int, name: str) -> None:
        """A device that is not on the USB."""
        place = self.root / "sys/devices/platform" / f"device{number}"
        place.mkdir(parents=True)
        self._node(number, name, 0, place)

    def unplug(self, number: int, port: str, nodes: int = 2) -> None:
        """Take it away."""
        for n in range(number, number + nodes):
            shutil.rmtree(self.root / f"sys/class/video4linux/video{n}")
            (self.root / f"dev/video{n}").unlink()
        shutil.rmtree(self.root / "sys/devices/usb1" / port)

    def _node(self, number: int, name: str, index: int, device: Path) -> None:
        about = self.root / f"sys/class/video4linux/video{number}"
        about.mkdir()
        (about / "name").write_text(f"{name}\n")
        (about / "index").write_text(f"{index}\n")
        (about / "device").symlink_to(device)
        (self.root / f"dev/video{number}").touch()


def open_files() -> set[str]:
    """What this process has open, and the processes that it has started, dead ones included."""
    found = set()
    for descriptor in os.listdir("/proc/self/fd"):
        try:
            found.add(f"{descriptor} {os.readlink(f'/proc/self/fd/{descriptor}')}")
        except OSError:  # the descriptor of the listing itself
            continue
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    if children.exists():
        found |= {f"child {pid}" for pid in children.read_text().split()}
    return found
