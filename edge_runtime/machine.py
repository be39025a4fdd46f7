"""What this machine is: its processor, and the versions of what is installed."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Iterable
from pathlib import Path

from . import __version__

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


def installed_versions(packages: Iterable[str]) -> dict[str, str]:
    """Versions of this toolkit, of Python, and of those of the packages that are installed."""
    found = {"edge-classify": __version__, "python": platform.python_version()}
    for package in packages:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def cpu_name(root: Path = Path("/")) -> str | None:
    """Name of the processor, as far as the system tells.

    Args:
        root: Where ``proc`` lies; another folder in tests.
    """
    try:
        text = (root / "proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    fields: dict[str, str] = {}
    for line in text.splitlines():
        key, _, value = line.partition(":")
        fields.setdefault(key.strip(), value.strip())
    name = fields.get("model name")
    if not name and fields.get("CPU implementer") == "0x41":
        part = fields.get("CPU part", "")
        name = _ARM_PARTS.get(part, f"Arm core, part {part}")
    return name or platform.processor() or None
