"""The pixels of a part of a data set: out of the store on disk, or decoded as they are needed."""

from __future__ import annotations

import contextlib
import logging
import shutil
import sqlite3
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from edge_runtime.errors import DatasetError, ImageError
from edge_runtime.files import cache_folder, size_of
from edge_runtime.manifest import PreprocessSpec
from edge_runtime.preprocess import preprocess

from .dataset import Sample, check_failures
from .pixel_store import Entry, PixelStore, remove_store, store_folder

_log = logging.getLogger("trainer")

#: Photos that are decoded before they are written.
_CHUNK = 256

#: Share of the free disk that the store may take where no limit is set.
_FREE_SHARE = 0.5


class Pixels(Protocol):
    """uint8 RGB pixels of n photos; read them batch by batch."""

    shape: tuple[int, int, int, int]  #: (n, height, width, 3)

    def __len__(self) -> int:
        """Number of photos."""

    def __getitem__(self, chosen: slice | np.ndarray) -> np.ndarray:
        """uint8 (b, height, width, 3) of the photos of a slice or of int indices (b,)."""

    def select(self, chosen: np.ndarray) -> Pixels:
        """Some of the photos, by int indices (n,); nothing is read."""


@dataclass(frozen=True)
class Photos:
    """A part of a data set whose photos were all read once."""

    images: Pixels
    labels: np.ndarray  #: int32 (n,)
    samples: list[Sample]  #: the n photos, with checksums

    def select(self, chosen: np.ndarray) -> Photos:
        """Some of them, by int indices (n,)."""
        samples = [self.samples[index] for index in chosen]
        return Photos(self.images.select(chosen), self.labels[chosen], samples)


class MappedPixels:
    """Rows of a store's file, mapped into memory."""

    def __init__(self, file: Path, rows: np.ndarray, spec: PreprocessSpec) -> None:
        """Map ``file``; ``rows`` are the int indices (n,) of the photos in it."""
        self._file, self._rows, self._spec = file, rows, spec
        size = (spec.height, spec.width, 3)
        self.shape = (len(rows), *size)
        if len(rows):
            count = int(rows.max()) + 1
            self._data = np.asarray(np.memmap(file, np.uint8, "r", shape=(count, *size)))
        else:  # nothing cannot be mapped
            self._data = np.zeros((0, *size), np.uint8)

    def __len__(self) -> int:
        """Number of photos."""
        return len(self._rows)

    def select(self, chosen: np.ndarray) -> MappedPixels:
        """See :class:`Pixels`."""
        return MappedPixels(self._file, self._rows[chosen], self._spec)

    def __getitem__(self, chosen: slice | np.ndarray) -> np.ndarray:
        """See :class:`Pixels`."""
        found: np.ndarray = self._data[self._rows[chosen]]
        return found


class StreamedPixels:
    """Photos that are decoded each time that they are asked for."""

    def __init__(self, paths: Sequence[str], spec: PreprocessSpec) -> None:
        """Keep the paths; nothing is opened yet."""
        self._paths, self._spec = np.array(paths, dtype=object), spec
        self.shape = (len(paths), spec.height, spec.width, 3)
        self._pool = ThreadPoolExecutor(thread_name_prefix="decode")

    def __len__(self) -> int:
        """Number of photos."""
        return len(self._paths)

    def select(self, chosen: np.ndarray) -> StreamedPixels:
        """See :class:`Pixels`."""
        return StreamedPixels(self._paths[chosen], self._spec)

    def __getitem__(self, chosen: slice | np.ndarray) -> np.ndarray:
        """See :class:`Pixels`.

        Raises:
            DatasetError: A photo that could be read before cannot now.
        """
        paths = self._paths[chosen]
        found = np.empty((len(paths), *self.shape[1:]), np.uint8)
        decoded = self._pool.map(lambda path: preprocess(path, self._spec), paths)
        try:
            for number, pixels in enumerate(decoded):
                found[number] = pixels
        except ImageError as error:
            raise DatasetError(f"{error} It could be read when the training began.") from error
        return found


def load_part(
    samples: Sequence[Sample], spec: PreprocessSpec, part: str, limit_gb: float | None = None
) -> tuple[Photos, list[tuple[str, str]]]:
    """Read the photos of a part with the one preprocessing; most trainings find them decoded.

    A photo that cannot be read is left out with a warning. Where the pixels do not fit into the
    store's share of the disk, or cannot be kept, they are decoded again each time that they are
    needed.

    Args:
        samples: Photos to read.
        spec: Size and rule.
        part: Name for messages.
        limit_gb: Size that all stores together may have, gigabytes; 0 keeps no pixels; None for
            half of the free disk.

    Returns:
        The photos that could be read, in order, and path and reason of each one that could not.

    Raises:
        DatasetError: More than 5 % of the part is unreadable, or every photo of a class of the
            part ``train``.
    """
    paths = [sample.path for sample in samples]
    try:
        with _open_store(store_folder(spec), spec) as store:
            store, keep = _make_room(store, paths, limit_gb)
            with store:
                entries = _fill(store, paths, keep, part)
                file = store.file
    except (OSError, sqlite3.Error) as error:
        _log.warning(
            "%s: decoded photos cannot be kept here (%s); each epoch decodes them again. The "
            "variable EDGE_CLASSIFY_CACHE names another folder.",
            cache_folder(),
            error,
        )
        keep, file = False, None
        with PixelStore(None, spec) as store:
            entries = _fill(store, paths, False, part)
    kept, rows, failures = [], [], []
    for sample, entry in zip(samples, entries, strict=True):
        if entry.error is None:
            kept.append(replace(sample, sha256=entry.sha256.hex()))
            rows.append(entry.row)
        else:
            failures.append((sample.path, entry.error))
    check_failures(samples, kept, failures, part)
    labels = np.array([sample.label for sample in kept], np.int32)
    images: Pixels = (
        MappedPixels(file, np.array(rows, np.int64), spec)
        if keep and file is not None
        else StreamedPixels([sample.path for sample in kept], spec)
    )
    return Photos(images, labels, kept), failures


def _open_store(folder: Path, spec: PreprocessSpec) -> PixelStore:
    """The store; a damaged one is made anew.

    Raises:
        OSError, sqlite3.Error: It can be neither opened nor made.
    """
    try:
        store = PixelStore(folder, spec)
        if store.is_whole():
            return store
        store.close()
        reason = "its pixels are cut off"
    except sqlite3.OperationalError:  # locked, read-only, disk full: not damaged
        raise
    except sqlite3.DatabaseError as error:
        reason = str(error)
    _log.warning("%s: damaged (%s); made anew.", folder, reason)
    remove_store(folder)
    return PixelStore(folder, spec)


def _make_room(
    store: PixelStore, paths: Sequence[str], limit_gb: float | None
) -> tuple[PixelStore, bool]:
    """The store (the same, or emptied), and whether the pixels of the photos fit into it."""
    folder = store.folder
    assert folder is not None
    others = other_stores(folder)
    taken = sum(size for _, _, size in others)
    own = store.rows() * store.row_bytes
    if limit_gb is None:
        limit = int(_FREE_SHARE * (shutil.disk_usage(folder).free + taken + own))
    else:
        limit = int(limit_gb * 1e9)
    whole = len(paths) * store.row_bytes
    if whole > limit:
        if limit:
            _log.warning(
                "%d decoded photos take %.1f GB, and the cache may have %.1f: each epoch decodes "
                "them again. Raise cache.limit_gb, or choose a smaller image size.",
                len(paths),
                whole / 1e9,
                limit / 1e9,
            )
        return store, False
    missing = sum(entry is None or entry.row < 0 for entry in store.look_up(paths))
    if not missing:
        return store, True
    for _, other, size in others:
        if own + missing * store.row_bytes + taken <= limit:
            return store, True
        remove_store(other)
        taken -= size
    if own + missing * store.row_bytes <= limit:
        return store, True
    store.close()
    remove_store(folder)
    return PixelStore(folder, store.spec), True


def other_stores(folder: Path) -> list[tuple[float, Path, int]]:
    """The stores beside one: time of the last use, folder and bytes, oldest first."""
    found = []
    for other in folder.parent.iterdir():
        if other != folder and other.is_dir():
            with contextlib.suppress(OSError):  # it went away
                found.append((other.stat().st_mtime, other, size_of(other)))
    return sorted(found)


def _fill(store: PixelStore, paths: Sequence[str], keep: bool, part: str) -> list[Entry]:
    """Decode what is new; an entry for each photo."""
    entries = list(store.look_up(paths))
    missing = [
        index
        for index, entry in enumerate(entries)
        if entry is None or (keep and entry.row < 0 and entry.error is None)
    ]
    if missing:
        _log.info("%s: decoding %d of %d photos.", part, len(missing), len(paths))
    with ThreadPoolExecutor(thread_name_prefix="decode") as pool:
        for start in range(0, len(missing), _CHUNK):
            chosen = missing[start : start + _CHUNK]
            decoded = list(pool.map(lambda index: store.decode(paths[index], keep), chosen))
            store.add([(paths[i], photo) for i, photo in zip(chosen, decoded, strict=True)])
            for index, photo in zip(chosen, decoded, strict=True):
                entries[index] = Entry(photo.sha256, store.row_of(photo.sha256), photo.error)
    return [entry for entry in entries if entry is not None]
