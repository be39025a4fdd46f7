"""The machine and the software that a measurement was made on."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

from edge_runtime.machine import cpu_name, installed_versions
from edge_runtime.procfs import read

from .machine_files import governor

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
        "governor": governor(root),
        "architecture": platform.machine(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "packages": {k: v for k, v in installed_versions(_PACKAGES).items() if k != "python"},
    }


def _ram(meminfo: str) -> int | None:
    for line in meminfo.splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) * 1024
    return None


def usable_cores() -> int | None:
    """Cores that this thread, and the processes that it starts, may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        return os.cpu_count()
