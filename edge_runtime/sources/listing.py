"""The sources that are here: cameras, screens, and the test pattern."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

#: A camera in the list of rpicam-hello: ``0 : imx708 [4608x2592 10-bit RGGB] (/base/...)``.
_LISTED = re.compile(r"(\d+)\s*:\s*(.*?)\s*(?:\(([^()]*)\))?$")


def list_sources(root: Path = Path("/")) -> list[dict[str, Any]]:
    """What ``--source`` can be here, without starting a camera.

    Args:
        root: Where ``dev``, ``sys`` and ``usr`` lie.

    Returns:
        Of each ``source`` (what to type), ``kind`` (``camera``, ``picamera``, ``screen`` or
        ``pattern``) and ``name``. Of a camera also ``usable`` (whether this user may open it),
        ``stable`` (a path that follows it when it is plugged in elsewhere, or null) and
        ``formats``: ``pixel_format``, ``description`` and ``sizes``, each with ``width``,
        ``height`` and ``fps``, a list. Of a screen ``width`` and ``height``.
    """
    from ..doctor.cameras import find_cameras
    from .pattern import COLORS

    found = find_cameras(root)
    listed = [_camera(root, entry) for entry in found["cameras"] if entry["kind"] == "camera"]
    listed += _libcamera(found["camera_software"]["libcamera_cameras"])
    listed += _screens()
    listed.append({"source": "test:", "kind": "pattern", "name": f"colours: {', '.join(COLORS)}"})
    return listed


def _camera(root: Path, entry: dict[str, Any]) -> dict[str, Any]:
    from .v4l2 import device_of
    from .v4l2_formats import formats_of

    device = entry["device"]
    links = sorted((root / "dev/v4l/by-id").glob("*"))
    paths = [f"/{link.relative_to(root)}" for link in links]
    return {
        "source": device,
        "kind": "camera",
        "name": entry["name"],
        "usable": entry["usable"],
        "stable": next((path for path in paths if device_of(path, root) == device), None),
        "formats": formats_of(str(root / device.lstrip("/"))) if entry["usable"] else [],
    }


def _libcamera(lines: list[str]) -> list[dict[str, Any]]:
    matches = [match for match in map(_LISTED.match, lines) if match]
    return [
        {"source": f"picamera:{match[1]}", "kind": "picamera", "name": match[2]}
        for match in matches
        if "usb" not in (match[3] or "").lower()  # these are among the cameras of Video4Linux
    ]


def _screens() -> list[dict[str, Any]]:
    from .monitors import screens

    boxes = screens()
    if not boxes:
        return []
    width = max(left + wide for left, _, wide, _ in boxes)
    height = max(top + high for _, top, _, high in boxes)
    every = {"source": "screen:", "kind": "screen", "name": "all that is shown"}
    return [
        {**every, "width": width, "height": height},
        *(
            {
                "source": f"screen:{number}",
                "kind": "screen",
                "name": f"screen {number}",
                "width": wide,
                "height": high,
            }
            for number, (_, _, wide, high) in enumerate(boxes)
        ),
    ]


def format_sources(listed: list[dict[str, Any]]) -> str:
    """The list for people."""
    lines = []
    for entry in listed:
        size = f", {entry['width']} x {entry['height']}" if "width" in entry else ""
        lines.append(f"{entry['source']:<16} {entry['name']}{size}")
        if entry["kind"] != "camera":
            continue
        if not entry["usable"]:
            lines.append("    no permission: sudo usermod -aG video $USER, then log in anew")
        if entry["stable"]:
            lines.append(f"    also {entry['stable']}")
        for form in entry["formats"]:
            sizes = ", ".join(_size(size) for size in form["sizes"])
            lines.append(f"    {form['pixel_format']} {sizes}".rstrip())
    if not any(entry["kind"] in ("camera", "picamera") for entry in listed):
        lines.append("No camera was found. Is one plugged in? edge-classify doctor says more.")
    return "\n".join(lines)


def _size(size: dict[str, Any]) -> str:
    rates = f" at {max(size['fps']):g} fps" if size["fps"] else ""
    return f"{size['width']}x{size['height']}{rates}"
