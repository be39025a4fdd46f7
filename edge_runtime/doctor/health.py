"""Memory, temperature, throttling and disk space."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

from ..files import cache_folder
from .board import read

#: Bits of ``vcgencmd get_throttled``; 16 higher stands what was so since the start
#: (https://www.raspberrypi.com/documentation/computers/os.html#get_throttled).
_THROTTLED = {
    0: "under-voltage",
    1: "frequency capped",
    2: "throttled",
    3: "soft temperature limit",
}
_SINCE_START = 16

#: Where the kernel of a Raspberry Pi shows the same number.
_FIRMWARE = "sys/devices/platform/soc/soc:firmware/get_throttled"


def describe_health(root: Path) -> dict[str, Any]:
    """How the machine is.

    Args:
        root: Where ``proc`` and ``sys`` lie.
    """
    return {
        "memory": _memory(root),
        "temperature": temperatures(root),
        "throttling": throttling(root),
        "disk": _disk(),
    }


def _memory(root: Path) -> dict[str, int | None]:
    """Bytes, of /proc/meminfo."""
    kilobytes = {}
    for line in (read(root / "proc/meminfo") or "").splitlines():
        key, _, value = line.partition(":")
        number = value.split()[:1]
        if number and number[0].isdigit():
            kilobytes[key] = int(number[0])
    names = {
        "total": "MemTotal",
        "available": "MemAvailable",
        "swap_total": "SwapTotal",
        "swap_free": "SwapFree",
    }
    return {n: kilobytes[key] * 1024 if key in kilobytes else None for n, key in names.items()}


def temperatures(root: Path) -> list[dict[str, Any]]:
    """Each thermal zone's name and degrees Celsius."""
    zones = []
    for zone in sorted((root / "sys/class/thermal").glob("thermal_zone*")):
        try:
            degrees = int(read(zone / "temp") or "") / 1000
        except ValueError:  # a sensor that is switched off
            continue
        zones.append({"zone": read(zone / "type") or zone.name, "celsius": round(degrees, 1)})
    return zones


def throttling(root: Path) -> dict[str, Any] | None:
    """What slows a Raspberry Pi down ``now``, and what did ``since_start``; None elsewhere."""
    text = read(root / _FIRMWARE)
    if text is None and root == Path("/"):
        text = _ask_firmware()
    try:
        bits = int((text or "").rpartition("=")[2], 16)
    except ValueError:
        return None
    return {
        "bits": hex(bits),
        "now": [name for bit, name in _THROTTLED.items() if bits >> bit & 1],
        "since_start": [n for bit, n in _THROTTLED.items() if bits >> (bit + _SINCE_START) & 1],
    }


def _ask_firmware() -> str | None:
    program = shutil.which("vcgencmd")
    if program is None:
        return None
    try:
        done = subprocess.run(
            [program, "get_throttled"], capture_output=True, text=True, timeout=5, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip()


def _disk() -> dict[str, Any]:
    folder = cache_folder()
    place = next(p for p in (folder, *folder.parents) if p.exists())
    usage = shutil.disk_usage(place)
    return {"folder": str(folder), "free": usage.free, "total": usage.total}
