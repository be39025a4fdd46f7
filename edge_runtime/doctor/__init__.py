"""What this machine is, what runs on it, and what to install for what is missing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .advice import advise
from .board import describe_board
from .cameras import find_cameras
from .health import describe_health
from .interpreters import find_accelerators, try_interpreters


def examine(root: Path = Path("/")) -> dict[str, Any]:
    """Look at everything; each interpreter runs a small model in a child process.

    Args:
        root: Where ``proc``, ``sys``, ``dev`` and ``etc`` lie; another folder in tests.

    Returns:
        JSON object: ``works`` (whether at least one interpreter does), ``board``, ``system``,
        ``python``, ``cpu``, ``memory``, ``temperature``, ``throttling``, ``disk``,
        ``interpreters``, ``accelerators``, ``cameras``, ``camera_software`` and ``advice`` (each
        with ``problem`` and ``command``).
    """
    report = describe_board(root) | describe_health(root)
    report["interpreters"] = try_interpreters()
    report["accelerators"] = find_accelerators(root)
    report |= find_cameras(root)
    report["works"] = any(entry["works"] for entry in report["interpreters"])
    report["advice"] = advise(report)
    return report
