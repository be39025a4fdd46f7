"""How hot a board is, and what slows it down: what Linux and a Raspberry Pi's firmware tell."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .procfs import read

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


def temperatures(root: Path = Path("/")) -> list[dict[str, Any]]:
    """Each thermal zone's name and degrees Celsius.

    Args:
        root: Where ``sys`` lies; another folder in tests.
    """
    zones = []
    for zone in sorted((root / "sys/class/thermal").glob("thermal_zone*")):
        try:
            degrees = int(read(zone / "temp") or "") / 1000
        except ValueError:  # a sensor that is switched off
            continue
        zones.append({"zone": read(zone / "type") or zone.name, "celsius": round(degrees, 1)})
    return zones


def throttling(root: Path = Path("/"), ask: bool = True) -> dict[str, Any] | None:
    """What slows a Raspberry Pi down ``now``, and what did ``since_start``; None elsewhere.

    Args:
        root: Where ``sys`` lies; another folder in tests.
        ask: Whether ``vcgencmd``, a process, may be asked where the kernel does not tell.
    """
    text = read(root / _FIRMWARE)
    if text is None and ask and root == Path("/"):
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
    import shutil  # both are dear, and where the kernel tells they are not needed
    import subprocess

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
