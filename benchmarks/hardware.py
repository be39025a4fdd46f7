"""The machine and the software that a measurement was made on."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

from edge_runtime.machine import cpu_name, installed_versions
from edge_runtime.procfs import read

#: Distributions whose versions change the figures.
_PACKAGES = (
    "ai-edge-litert",
    "tflite-runtime",
    "onnxruntime",
    "tensorflow",
    "numpy",
    "pillow",
)


def describe_machine(root: Path = Path("/")) -> dict[str, Any]:
    """Describe this machine; what cannot be read is None.

    Args:
        root: Where ``proc`` and ``sys`` lie; another folder in tests.

    Returns:
        ``cpu`` (model name), ``board`` (device tree, e.g. "Raspberry Pi 4 Model B Rev 1.4"),
        ``cores``, ``usable_cores``, ``ram_bytes``, ``governor`` (several joined by commas),
        ``architecture``, ``system``, ``python``, ``packages`` (installed ones, with versions).
    """
    return {
        "cpu": cpu_name(root),
        "board": read(root / "proc/device-tree/model") or None,
        "cores": os.cpu_count(),
        "usable_cores": usable_cores(),
        "ram_bytes": _ram(read(root / "proc/meminfo") or ""),
        "governor": _governor(root / "sys/devices/system/cpu"),
        "architecture": platform.machine(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "packages": {k: v for k, v in installed_versions(_PACKAGES).items() if k != "python"},
    }


def one_line(machine: dict[str, Any]) -> str:
    """:func:`describe_machine` for a reader."""
    ram = machine["ram_bytes"]
    parts = [
        machine["board"],
        machine["cpu"] or "unknown CPU",
        f"{machine['usable_cores']} of {machine['cores']} cores",
        f"{ram / 1e9:.1f} GB RAM" if ram else None,
        f"governor {machine['governor'] or 'not readable'}",
        f"{machine['system']} {machine['architecture']}",
        f"Python {machine['python']}",
        *(f"{name} {version}" for name, version in machine["packages"].items()),
    ]
    return ", ".join(part for part in parts if part)


def _ram(meminfo: str) -> int | None:
    for line in meminfo.splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) * 1024
    return None


def _governor(cpus: Path) -> str | None:
    files = sorted(cpus.glob("cpu[0-9]*/cpufreq/scaling_governor"))
    return ",".join(sorted({read(file) or "" for file in files} - {""})) or None


def usable_cores() -> int | None:
    """Cores that this thread, and the processes that it starts, may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        return os.cpu_count()
