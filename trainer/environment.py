"""Where a run was made: versions, machine, device; ``environment.json``."""

from __future__ import annotations

import contextlib
import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

from edge_runtime import __version__
from edge_runtime.backends.full_model import import_tensorflow

_PACKAGES = ("tensorflow", "keras", "numpy", "pillow", "h5py", "scikit-learn", "pydantic")


def versions() -> dict[str, str]:
    """Versions of Python, this toolkit and the packages that a training depends on."""
    found = {"edge-classify": __version__, "python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:  # tensorflow under another name (-cpu, -intel)
            continue
    return found


def gpus() -> list[str]:
    """Names of the GPUs that TensorFlow uses; takes memory from them only as it is needed."""
    tf = import_tensorflow()
    names = []
    for device in tf.config.list_physical_devices("GPU"):
        with contextlib.suppress(RuntimeError):  # it is in use already, as in a notebook
            tf.config.experimental.set_memory_growth(device, True)
        details = tf.config.experimental.get_device_details(device)
        names.append(str(details.get("device_name", device.name)))
    return names


def describe_environment() -> dict[str, Any]:
    """Versions, and what the training ran on."""
    return {
        "versions": versions(),
        "platform": platform.platform(),
        "cpu": cpu_name(),
        "cores": os.cpu_count(),
        "gpus": gpus(),
    }


def cpu_name() -> str:
    """Name of the processor, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    for key in ("model name", "Model"):
        for line in lines:
            name, _, value = line.partition(":")
            if name.strip() == key:
                return value.strip()
    return platform.processor() or platform.machine()
