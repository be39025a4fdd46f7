"""``picamera`` a camera of the Raspberry Pi on its ribbon cable, through libcamera.

With picamera2 where Python finds it, else with ``rpicam-vid``, whose pictures come over a pipe.
"""

from __future__ import annotations

import shutil
import sys
from importlib.machinery import PathFinder
from pathlib import Path

from ...errors import MissingComponent
from ..base import Reader, Source, SourceSettings

#: Programs that send a camera's pictures, the newer name first.
_PROGRAMS = ("rpicam-vid", "libcamera-vid")

#: Where Raspberry Pi OS installs picamera2, for the system's own Python.
_SYSTEM = Path("/usr/lib/python3/dist-packages/picamera2")


def open_reader(source: Source, settings: SourceSettings) -> Reader:
    """Start a camera.

    Args:
        source: Its address is the camera's number, or empty for the first.
        settings: Size and rate.

    Raises:
        SourceLost: There is no such camera now, or another program uses it.
        MissingComponent: Neither picamera2 nor rpicam-vid is here; says how to get either.
    """
    number = int(source.address or 0)
    if _has_library():
        from .library import LibraryReader

        return LibraryReader(number, settings)
    program = next((path for name in _PROGRAMS if (path := shutil.which(name))), None)
    if program is None:
        raise MissingComponent(_what_is_missing(_SYSTEM.is_dir(), sys.prefix != sys.base_prefix))
    from .program import ProgramReader

    return ProgramReader(program, number, settings)


def _has_library() -> bool:
    return PathFinder.find_spec("picamera2") is not None


def _what_is_missing(on_system: bool, in_environment: bool) -> str:
    """Neither is here: what to install, and why an installed picamera2 is not found.

    Args:
        on_system: Whether the system's Python has picamera2.
        in_environment: Whether this Python is that of a virtual environment.
    """
    what = "picamera: neither picamera2 nor rpicam-vid is here."
    if on_system and in_environment:
        return (
            f"{what} picamera2 is installed for the system's Python, which this virtual "
            "environment does not see. Make it anew with "
            "python3 -m venv --system-site-packages, or: sudo apt install rpicam-apps"
        )
    return (
        f"{what} On Raspberry Pi OS: sudo apt install rpicam-apps, or "
        "sudo apt install python3-picamera2 and a virtual environment that is made with "
        "python3 -m venv --system-site-packages. Pictures of a USB camera come from --source 0."
    )
