"""Cameras: devices of Video4Linux, what libcamera sees, and whether this user may use them."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import struct
import subprocess
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

from ..procfs import read
from ..sources.v4l2 import CODECS, PORTS

#: ``VIDIOC_QUERYCAP`` of linux/videodev2.h: struct v4l2_capability has 104 bytes, its field
#: ``device_caps`` stands at byte 88; bits say that pictures can be read from a device.
_QUERYCAP, _SIZE, _DEVICE_CAPS = 0x80685600, 104, 88
_CAPTURE = 0x1 | 0x1000

#: Programs that list the cameras of libcamera, the newer name first.
_LISTERS = ("rpicam-hello", "libcamera-hello", "cam")

_APT_PACKAGES = "usr/lib/python3/dist-packages"


def find_cameras(root: Path) -> dict[str, Any]:
    """Cameras and the software for them.

    Args:
        root: Where ``dev``, ``sys`` and ``usr`` lie.

    Returns:
        ``cameras``: ``device``, ``name``, ``kind`` (camera, port, or other), ``usable`` (whether
        this user may open it); ``camera_software``: ``opencv`` and ``picamera2`` (installed
        here), ``picamera2_system`` (installed, for the system's Python), ``libcamera`` (the
        program that lists cameras) and ``libcamera_cameras``.
    """
    devices = sorted((root / "dev").glob("video[0-9]*"), key=lambda p: int(p.name[5:]))
    lister = next((name for name in _LISTERS if shutil.which(name)), None)
    real = root == Path("/")
    return {
        "cameras": [_device(root, device) for device in devices],
        "camera_software": {
            "opencv": PathFinder.find_spec("cv2") is not None,
            "picamera2": PathFinder.find_spec("picamera2") is not None,
            "picamera2_system": (root / _APT_PACKAGES / "picamera2").is_dir(),
            "libcamera": lister,
            "libcamera_cameras": _listed(lister) if real and lister else [],
        },
    }


def _device(root: Path, device: Path) -> dict[str, Any]:
    about = root / "sys/class/video4linux" / device.name
    name, index = read(about / "name") or "", read(about / "index")
    usable = os.access(device, os.R_OK | os.W_OK)
    kind = "camera"
    if CODECS.search(name) or index not in (None, "", "0"):
        kind = "other"
    elif PORTS.search(name):
        kind = "port"
    elif usable and _captures(device) is False:
        kind = "other"
    return {"device": f"/dev/{device.name}", "name": name, "kind": kind, "usable": usable}


def _captures(device: Path) -> bool | None:
    """Whether pictures can be read from it; None where the driver does not say."""
    try:
        descriptor = os.open(device, os.O_RDWR | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        answer = fcntl.ioctl(descriptor, _QUERYCAP, bytes(_SIZE))
    except OSError:
        return None
    finally:
        os.close(descriptor)
    (capabilities,) = struct.unpack_from("<I", answer, _DEVICE_CAPS)
    return bool(capabilities & _CAPTURE)


def _listed(program: str) -> list[str]:
    """Lines such as ``0 : imx708 [4608x2592 ...] (/base/...)``."""
    option = "--list" if program == "cam" else "--list-cameras"
    try:
        done = subprocess.run(
            [program, option], capture_output=True, text=True, timeout=15, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [line.strip() for line in done.stdout.splitlines() if re.match(r"\s*\d+\s*:", line)]
