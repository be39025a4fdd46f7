"""``0`` or ``/dev/video0``: a camera of Video4Linux, through OpenCV in a child process."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from .base import Reader, Source, SourceLost, SourceSettings
from .v4l2 import Places, cameras, holders

if TYPE_CHECKING:
    from .opencv.reader import OpenCVReader

#: Which camera each source means, for as long as the program runs.
_PLACES = Places()

#: Programs that hold a camera, of which so many are named.
_NAMED = 3

#: Seconds that a driver has to open; some load firmware into the camera first.
_OPENING = 15.0


def open_reader(source: Source, settings: SourceSettings, places: Places = _PLACES) -> Reader:
    """Start to open a camera; one that was plugged in elsewhere meanwhile is found there.

    Args:
        source: Number, device, or a link to one.
        settings: Size, rate and pixel format; a camera gives what comes nearest.
        places: Where each source's camera was, and below which folder the system's files lie.

    Raises:
        SourceLost: There is no such camera now, or this user may not use it.
        SystemFailure: The system gives no process or memory.
    """
    from .opencv.job import Job
    from .opencv.reader import OpenCVReader

    device, root = source.address, places.root
    if sys.platform == "linux":
        device = _present(source.address, places)
    silence = round(settings.stall_after)
    job = Job(
        device,
        backends=("V4L2",),
        live=True,
        camera=True,
        open_ms=round(_OPENING * 1000),
        size=settings.size,
        fps=settings.fps,
        pixel_format=settings.pixel_format,
        environment={
            "OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT": str(max(1, silence)),  # seconds
            "OPENCV_LOG_LEVEL": "ERROR",
        },
    )

    def opened(reader: OpenCVReader) -> None:
        places.remember(source.address, device)
        _tell(source, settings, reader)

    return OpenCVReader(source, job, lambda words: _refusal(device, words, root), opened)


def _present(address: str, places: Places) -> str:
    """The device, which is there and may be used."""
    root = places.root
    device, known = places.find(address)
    if device is None:
        raise SourceLost(f"the camera ({known}) is gone. {_there_are(root)}")
    path = root / device.lstrip("/")
    if not path.exists():
        raise SourceLost(f"no such camera. {_there_are(root)}")
    if not os.access(path, os.R_OK | os.W_OK):
        raise SourceLost(
            f"no permission for {device}. Join the group video with "
            "sudo usermod -aG video $USER, and log in anew."
        )
    return device


def _there_are(root: Path) -> str:
    found = [f"{node.device} ({node.identity})" for node in cameras(root)]
    if found:
        return f"There are: {', '.join(found)}."
    return "There is none. Is it plugged in? edge-classify stream --list-sources lists what is."


def _refusal(device: str, words: str, root: Path) -> SourceLost:
    if device not in [node.device for node in cameras(root)]:
        return SourceLost(f"{device} gives no pictures. {_there_are(root)}")
    users = holders(device, root)[:_NAMED]
    if users:
        return SourceLost(f"{device} is in use by {', '.join(users)}; end that first.")
    said = f" ({words})" if words else ""
    return SourceLost(f"{device} does not open{said}. Is another program using it?")


def _tell(source: Source, settings: SourceSettings, reader: OpenCVReader) -> None:
    """Say what the camera gives where it is not what was wished."""
    import logging

    log = logging.getLogger("edge_runtime")
    wished = settings.size
    if wished is not None and reader.size is not None and reader.size != wished:
        log.warning(
            "%s: gives %d x %d pixels in place of %d x %d.", source.name, *reader.size, *wished
        )
    if settings.pixel_format not in (None, reader.pixel_format):
        log.warning(
            "%s: gives %s in place of %s.", source.name, reader.pixel_format, settings.pixel_format
        )
