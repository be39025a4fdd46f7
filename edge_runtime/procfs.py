"""Small files of Linux: what /proc and /sys tell. Elsewhere there are none."""

from __future__ import annotations

import os
from pathlib import Path


def read(file: Path) -> str | None:
    """A small file of /proc, /sys or /etc without trailing blanks; None where it is not there."""
    try:
        return file.read_text(encoding="utf-8", errors="replace").rstrip("\n\0 ")
    except OSError:
        return None


def resident_bytes(pid: int | None = None, root: Path = Path("/")) -> int | None:
    """Resident memory of a process in bytes, proc(5); None where nobody tells, or it is gone.

    Args:
        pid: None for this process.
        root: Where ``proc`` lies; another folder in tests.
    """
    text = read(root / "proc" / ("self" if pid is None else str(pid)) / "statm")
    try:
        return int((text or "").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, IndexError, AttributeError):  # Windows has no sysconf
        return None
