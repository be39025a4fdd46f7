"""The photos of a run, from their original files, only if they are still the same."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge_runtime.errors import DataError, ImageError
from edge_runtime.manifest import PreprocessSpec
from edge_runtime.preprocess import preprocess
from edge_runtime.rundir import SPLIT, SplitRow

_log = logging.getLogger("exporter")


@dataclass(frozen=True)
class Photos:
    """Photos as the network sees them.

    Attributes:
        rows: Where each comes from.
        pixels: uint8 (n, height, width, 3) RGB, in the order of ``rows``.
    """

    rows: list[SplitRow]
    pixels: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)


def printable(path: str) -> str:
    """A path that a UTF-8 file can hold: bytes that are not UTF-8 as hexadecimal escapes."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def relative_names(paths: Sequence[str]) -> list[str]:
    """Names that tell photos apart without the folder above all of them, for a UTF-8 file."""
    parent = os.path.commonpath([os.path.dirname(path) for path in paths])
    return [printable(os.path.relpath(path, parent)) for path in paths]


def read_verified(row: SplitRow) -> bytes:
    """Contents of a photo's original file.

    Raises:
        DataError: It is gone, unreadable, or not the file that the run was made from.
    """
    try:
        data = Path(row.path).read_bytes()
    except OSError as error:
        raise DataError(
            f"{row.path}: {error.strerror or error}. The run's {SPLIT} lists this photo and the "
            "export needs it. Put the photos back where they were, or train again."
        ) from error
    if hashlib.sha256(data).hexdigest() != row.sha256:
        raise DataError(
            f"{row.path}: not the file that the run was made from (its SHA-256 differs from "
            f"the one in {SPLIT}). Put the original back, or train again."
        )
    return data


def load_photos(
    rows: Sequence[SplitRow], spec: PreprocessSpec, store: Path | None = None
) -> Photos:
    """Decode photos with the one preprocessing.

    A photo that is unchanged and cannot be decoded was left out of training too; it is left
    out here with a warning.

    Args:
        rows: The photos.
        spec: Target size and rule.
        store: ``.npy`` file to keep the pixels in, so that they need no memory and another
            process can read them; None for an array in memory.

    Raises:
        DataError: A file is gone or changed, or none of the photos can be decoded.
    """
    shape = (len(rows), spec.height, spec.width, 3)
    if store is None:
        pixels = np.empty(shape, np.uint8)
    else:
        pixels = np.lib.format.open_memmap(store, mode="w+", dtype=np.uint8, shape=shape)
    kept: list[SplitRow] = []
    for row in rows:
        data = read_verified(row)
        try:
            pixels[len(kept)] = preprocess(data, spec)
        except ImageError as error:
            _log.warning("%s: left out: %s", row.path, error)
            continue
        kept.append(row)
    if not kept:
        raise DataError(f"None of {len(rows)} photos of the run can be decoded. Train again.")
    return Photos(kept, pixels[: len(kept)])
