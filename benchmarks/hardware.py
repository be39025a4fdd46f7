"""The machine and the software that a measurement was made on."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from pathlib import Path
from typing import Any

#: Distributions whose versions change the figures.
_PACKAGES = (
    "edge-classify",
    "ai-edge-litert",
    "tflite-runtime",
    "onnxruntime",
    "tensorflow",
    "numpy",
    "pillow",
)

#: "CPU part" of /proc/cpuinfo for Arm's own cores (implementer 0x41): arm64 kernels give no name.
#: The numbers are the MIDR part numbers of Arm's technical reference manuals.
_ARM_PARTS = {
    "0xb76": "ARM1176",
    "0xc07": "Cortex-A7",
    "0xd03": "Cortex-A53",
    "0xd04": "Cortex-A35",
    "0xd05": "Cortex-A55",
    "0xd07": "Cortex-A57",
    "0xd08": "Cortex-A72",
    "0xd0a": "Cortex-A75",
    "0xd0b": "Cortex-A76",
    "0xd0c": "Neoverse-N1",
    "0xd40": "Neoverse-V1",
    "0xd41": "Cortex-A78",
}


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
        "cpu": _cpu(_read(root / "proc/cpuinfo")),
        "board": _read(root / "proc/device-tree/model").strip("\0\n ") or None,
        "cores": os.cpu_count(),
        "usable_cores": _usable_cores(),
        "ram_bytes": _ram(_read(root / "proc/meminfo")),
        "governor": _governor(root / "sys/devices/system/cpu"),
        "architecture": platform.machine(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "packages": installed_packages(),
    }


def installed_packages() -> dict[str, str]:
    """Versions of the packages that change the figures; those not installed are left out."""
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


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


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _cpu(cpuinfo: str) -> str | None:
    fields: dict[str, str] = {}
    for line in cpuinfo.splitlines():
        key, _, value = line.partition(":")
        fields.setdefault(key.strip(), value.strip())
    name = fields.get("model name")
    if not name and fields.get("CPU implementer") == "0x41":
        part = fields.get("CPU part", "")
        name = _ARM_PARTS.get(part, f"Arm core, part {part}")
    return name or platform.processor() or None


def _ram(meminfo: str) -> int | None:
    for line in meminfo.splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) * 1024
    return None


def _governor(cpus: Path) -> str | None:
    files = sorted(cpus.glob("cpu[0-9]*/cpufreq/scaling_governor"))
    return ",".join(sorted({_read(file).strip() for file in files} - {""})) or None


def _usable_cores() -> int | None:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        return os.cpu_count()
