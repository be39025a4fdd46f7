"""Memory, temperature, throttling and disk space."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from ..files import cache_folder
from ..procfs import read
from ..thermal import temperatures, throttling


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


def _disk() -> dict[str, Any]:
    folder = cache_folder()
    place = next(p for p in (folder, *folder.parents) if p.exists())
    usage = shutil.disk_usage(place)
    return {"folder": str(folder), "free": usage.free, "total": usage.total}
