"""One file of an export: converted, compared, described, and kept or thrown away."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edge_runtime.files import size_of
from edge_runtime.manifest import ModelInfo

from .contents import Origin
from .conversion import Converter
from .drawing import LADDER
from .evidence import Examined, Truth, examine
from .formats.job import Judging
from .formats.registry import FORMATS
from .heatmaps import heatmap_spec
from .metadata.describe import describe
from .thresholds import THRESHOLDS, is_float

_log = logging.getLogger("exporter")


@dataclass(frozen=True)
class Made:
    """What became of one format.

    Attributes:
        row: As in ``parity.json``; its ``file`` is None where the file was thrown away.
        info: What the file says about itself.
        examined: What was found out about it.
    """

    row: dict[str, Any]
    info: ModelInfo
    examined: Examined


@dataclass(frozen=True)
class Maker:
    """What all files of an export are made from and compared with."""

    converter: Converter
    origin: Origin
    truth: Truth
    calibration: Path | None = None  #: ``.npy`` of uint8 (n, height, width, 3)
    judging: Judging | None = None  #: for the format that chooses between several ways
    purpose: str = ""  #: words for the progress line

    def make(self, fmt: str, file: Path, accepted: bool) -> Made:
        """Make one file.

        A temperature is fitted on the scores of the plain file, so the description, which holds
        it, is added last.

        Args:
            fmt: Its format.
            file: The file or folder to write.
            accepted: Whether the user wants it even if it fails its threshold.

        Raises:
            ModelError: The converter failed.
            SystemFailure: Disk full, or no memory.
        """
        start = time.monotonic()
        calibration = self.calibration if FORMATS[fmt].calibrates else None
        judging = self.judging if fmt == LADDER else None
        converted = self.converter.convert(fmt, calibration, judging)
        plain, notes = converted.file, converted.notes
        _log.info(
            "%-14s  %sconverted in %.0f s, %.1f MB; comparing on %d photos",
            fmt,
            self.purpose,
            time.monotonic() - start,
            size_of(plain) / 1e6,
            len(self.truth),
        )
        heatmap = heatmap_spec(fmt, plain, self.converter.heatmap)
        info = self.origin.info(fmt, heatmap, notes.get("quantization"))
        found = examine(self.truth, fmt, plain, info, described=False)
        if found.output is not None:
            info = replace(info, output=found.output)
        describe(plain, file, info, self.origin.name)
        _discard(plain)
        row = _judged(fmt, file, found.figures, info.about["quantization"], accepted)
        trail = {key: notes[key] for key in ("recipe", "trail") if key in notes}
        return Made({**row, **trail}, info, found)


def _judged(
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
        _discard(file)
    return row


def _discard(path: Path) -> None:
    """Remove a file or a folder."""
    shutil.rmtree(path) if path.is_dir() else path.unlink()
