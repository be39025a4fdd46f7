"""Rows of ``parity.json``, and which files stay."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edge_runtime.files import size_of

from .thresholds import THRESHOLDS, is_float


def judge_file(
    fmt: str, file: Path, figures: Mapping[str, Any], quantization: str, accepted: bool
) -> dict[str, Any]:
    """A row of ``parity.json``; removes the file if it has to stay out.

    Args:
        fmt: Format of the file.
        file: The file or folder.
        figures: What :func:`exporter.evidence.examine` found.
        quantization: Its scheme under its true name.
        accepted: Whether the user wants it even if it fails its threshold.

    Returns:
        The row; ``file`` is None where the file was removed.
    """
    usable = "error" not in figures
    kept = usable and (figures["passed"] or accepted or not is_float(fmt))
    row = {
        "format": fmt,
        "file": file.name if kept else None,
        "bytes": size_of(file),
        "quantization": quantization,
        **figures,
        "threshold": THRESHOLDS[fmt].to_dict(),
    }
    if not kept:
        discard(file)
    return row


def discard(path: Path) -> None:
    """Remove a file or a folder."""
    shutil.rmtree(path) if path.is_dir() else path.unlink()
