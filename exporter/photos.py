"""The photos of a run, from their original files, only if they are still the same."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from edge_runtime.errors import DataError, ImageError, UsageError
from edge_runtime.files import find_photos, sha256_file
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
            "export needs it. Put the photos back where they were, or name the folder that they "
            "were moved to with --data."
        ) from error
    if hashlib.sha256(data).hexdigest() != row.sha256:
        raise DataError(
            f"{row.path}: not the file that the run was made from (its SHA-256 differs from "
            f"the one in {SPLIT}). Put the original back, or train again."
        )
    return data


def find_moved(rows: Sequence[SplitRow], folder: Path) -> list[SplitRow]:
    """Find the photos of a run in a folder that they were moved to, by their contents.

    Args:
        rows: The photos, as the run lists them.
        folder: Where they are now, at any depth and under any names.

    Returns:
        The rows, with the paths that they have now.

    Raises:
        UsageError: There is no such folder.
        DataError: Some are not there.
    """
    if not folder.is_dir():
        raise UsageError(f"--data {folder}: no such folder.")
    names = {os.path.basename(row.path) for row in rows}
    missing = {row.sha256 for row in rows}
    found: dict[str, str] = {}
    # Those that kept their names first: hashing a large data set takes minutes.
    for path in sorted(find_photos(folder), key=lambda path: os.path.basename(path) not in names):
        if not missing:
            break
        with contextlib.suppress(OSError):  # unreadable: not found, which is told below
            digest = sha256_file(path)
            if digest in missing:
                missing.remove(digest)
                found[digest] = os.path.abspath(path)
    if missing:
        first = next(row.path for row in rows if row.sha256 in missing)
        raise DataError(
            f"--data {folder}: {len(missing)} of the {len(rows)} photos that the export needs are "
            f"not there, or were changed: {os.path.basename(first)}, for one."
        )
    return [replace(row, path=found[row.sha256]) for row in rows]


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

    def decode(place: int) -> np.ndarray | None:
        data = read_verified(rows[place])
        try:
            return preprocess(data, spec)
        except ImageError as error:
            _log.warning("%s: left out: %s", rows[place].path, error)
            return None

    pixels, kept = decode_all(len(rows), decode, spec, store)
    if not kept:
        raise DataError(f"None of {len(rows)} photos of the run can be decoded. Train again.")
    return Photos([rows[place] for place in kept], pixels)


def decode_all(
    count: int,
    decode: Callable[[int], np.ndarray | None],
    spec: PreprocessSpec,
    store: Path | None = None,
) -> tuple[np.ndarray, list[int]]:
    """Decode photos, one after the other, into one array.

    Args:
        count: How many.
        decode: From a photo's number to its pixels; None leaves it out.
        spec: Their size.
        store: ``.npy`` file to keep the pixels in; None for an array in memory.

    Returns:
        uint8 (n, height, width, 3), and the numbers of those n photos.
    """
    shape = (count, spec.height, spec.width, 3)
    if store is None:
        pixels = np.empty(shape, np.uint8)
    else:
        pixels = np.lib.format.open_memmap(store, mode="w+", dtype=np.uint8, shape=shape)
        _reserve(store)
    kept: list[int] = []
    for place in range(count):
        found = decode(place)
        if found is not None:
            pixels[len(kept)] = found
            kept.append(place)
    if store is not None and len(kept) < count:
        rest = np.array(pixels[: len(kept)])
        np.save(store, rest)
    return pixels[: len(kept)], kept


def batches(pixels: np.ndarray, size: int) -> Iterator[tuple[np.ndarray, int]]:
    """Photos in groups of a network's batch; the last group is filled up with its last photo.

    Args:
        pixels: uint8 (n, height, width, 3).
        size: Photos that the network takes at once.

    Yields:
        uint8 (size, height, width, 3), and how many of them are photos.
    """
    for start in range(0, len(pixels), size):
        part = np.asarray(pixels[start : start + size])
        yield np.concatenate([part, *[part[-1:]] * (size - len(part))]), len(part)


def _reserve(file: Path) -> None:
    """Take a file's place on the disk now: a map of a full disk would end the process (SIGBUS)."""
    if not hasattr(os, "posix_fallocate"):  # macOS
        return
    with open(file, "r+b") as stream:
        os.posix_fallocate(stream.fileno(), 0, os.fstat(stream.fileno()).st_size)
