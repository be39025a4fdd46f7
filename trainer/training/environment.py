"""Where a run was made: versions, machine, device; ``environment.json``."""

from __future__ import annotations

import os
import platform
from typing import Any

from edge_runtime.machine import cpu_name, installed_versions

from ..devices import backend, gpus

_PACKAGES = ("tensorflow", "jax", "keras", "numpy", "pillow", "h5py", "scikit-learn", "pydantic")


def describe_environment() -> dict[str, Any]:
    """Versions, and what the training ran on."""
    return {
        "versions": installed_versions(_PACKAGES),
        "backend": backend(),
        "platform": platform.platform(),
        "cpu": cpu_name(),
        "cores": os.cpu_count(),
        "gpus": gpus(),
    }
