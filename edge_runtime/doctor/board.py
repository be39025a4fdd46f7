"""Board, operating system, Python and processor."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path
from typing import Any

from ..backends.base import default_threads
from ..machine import cpu_name, installed_versions
from ..procfs import read

#: Kernels of 64 bits, by uname(2); a program of 32 bits may run on one of them.
_KERNELS_64 = {"aarch64", "x86_64", "amd64", "arm64", "riscv64"}

#: What a feature of /proc/cpuinfo (Arm, then x86) is good for.
FEATURES = {
    "neon": "vectors",
    "asimd": "vectors",
    "asimdhp": "float16 arithmetic",
    "asimddp": "int8 dot product",
    "i8mm": "int8 matrix product",
    "bf16": "bfloat16",
    "sve": "scalable vectors",
    "sse4_2": "vectors of 128 bits",
    "avx": "vectors of 256 bits",
    "avx2": "integer vectors of 256 bits",
    "fma": "fused multiply-add",
    "f16c": "float16 conversion",
    "avx512f": "vectors of 512 bits",
    "avx512_vnni": "int8 dot product",
    "avx_vnni": "int8 dot product",
    "amx_int8": "int8 matrix product",
}

_PACKAGES = ("numpy", "pillow", "click")


def describe_board(
    root: Path, machine: str | None = None, process_bits: int | None = None
) -> dict[str, Any]:
    """What the machine is.

    Args:
        root: Where ``proc``, ``sys`` and ``etc`` lie.
        machine: What uname(2) says; None to ask it.
        process_bits: Of this Python; None to ask it.
    """
    machine = machine or platform.machine()
    process_bits = process_bits or (64 if sys.maxsize > 2**32 else 32)
    model = read(root / "proc/device-tree/model") or read(
        root / "sys/firmware/devicetree/base/model"
    )
    vendor, product = (read(root / f"sys/class/dmi/id/{n}") for n in ("sys_vendor", "product_name"))
    return {
        "board": model or " ".join(filter(None, (vendor, product))) or None,
        "system": {
            "name": _system_name(root),
            "kernel": platform.release(),
            "machine": machine,
            "kernel_bits": 64 if machine in _KERNELS_64 else 32,
            "userland_bits": process_bits,
        },
        "python": {
            "version": platform.python_version(),
            "bits": process_bits,
            "executable": sys.executable,
            "virtual_environment": sys.prefix != sys.base_prefix,
            "packages": installed_versions(_PACKAGES),
        },
        "cpu": _cpu(root),
    }


def _system_name(root: Path) -> str:
    """``PRETTY_NAME`` of os-release(5), and the version of Debian that it may hide."""
    for line in (read(root / "etc/os-release") or "").splitlines():
        key, _, value = line.partition("=")
        if key == "PRETTY_NAME":
            return value.strip().strip("\"'")
    return platform.system()


def _cpu(root: Path) -> dict[str, Any]:
    present: set[str] = set()
    for line in (read(root / "proc/cpuinfo") or "").splitlines():
        key, _, value = line.partition(":")
        if key.strip() in ("Features", "flags"):
            present = set(value.split())
            break
    frequency = root / "sys/devices/system/cpu/cpu0/cpufreq"
    highest = read(frequency / "cpuinfo_max_freq") or ""
    return {
        "name": cpu_name(root),
        "cores": os.cpu_count(),
        "threads": default_threads(),
        "features": [name for name in FEATURES if name in present],
        "governor": read(frequency / "scaling_governor"),
        "max_mhz": int(highest) // 1000 if highest.isdigit() else None,
    }
