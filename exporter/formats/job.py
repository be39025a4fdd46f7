"""What a format's module is given."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge_runtime.errors import ModelError

from ..options import ExportOptions
from .source import Source


@dataclass(frozen=True)
class Judging:
    """Photos that quantised files are judged on; calibration does not see them.

    Attributes:
        pixels: ``.npy`` of uint8 (n, height, width, 3).
        labels: True class indices, n of them.
        validation: How many of them, the first ones, are validation photos; the others are training
            photos.
    """

    pixels: Path
    labels: tuple[int, ...]
    validation: int


@dataclass(frozen=True)
class Job:
    """One format to write, in the converting process."""

    format: str  #: its name, for messages
    source: Source  #: the model
    target: Path  #: file or folder to write
    options: ExportOptions
    calibration: Path | None = None  #: ``.npy`` of uint8 (n, height, width, 3)
    judging: Judging | None = None  #: for formats that choose between several ways

    def photos(self) -> Any:
        """The photos to calibrate with, uint8 (n, height, width, 3), mapped from disk.

        Raises:
            ModelError: There are none.
        """
        if self.calibration is None:
            raise ModelError(f"{self.format}: photos to calibrate with are needed, got none.")
        return np.load(self.calibration, mmap_mode="r")
