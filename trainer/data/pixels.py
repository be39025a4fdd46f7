"""The pixels of a part of a data set: out of the store on disk, or decoded as they are needed."""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from edge_runtime.errors import DatasetError, ImageError
from edge_runtime.files import cache_folder
from edge_runtime.manifest import PreprocessSpec
from edge_runtime.preprocess import preprocess

from ..stopping import check_stop
from .dataset import Sample
from .pixel_store import Entry, PixelStore, store_folder
from .room import Room, make_room

_log = logging.getLogger("trainer")

#: Largest share of a part that may be unreadable.
UNREADABLE_LIMIT = 0.05

_SHOWN_FAILURES = 5

#: Photos, and bytes of their pixels, that are decoded before they are written.
_CHUNK, _CHUNK_BYTES = 256, 64_000_000


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

    def __init__(self, data: np.ndarray, rows: np.ndarray) -> None:
        """Show the photos at the int indices ``rows`` (n,) of ``data``, uint8 (m, h, w, 3)."""
        self._data, self._rows = data, rows
        self.shape = (len(rows), *data.shape[1:])

    def __len__(self) -> int:
        """Number of photos."""
        return len(self._rows)

    def select(self, chosen: np.ndarray) -> MappedPixels:
        """See :class:`Pixels`."""
        # The map is shared: what lies at the store's path may be another file by now.
        return MappedPixels(self._data, self._rows[chosen])

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
        decoded = self._pool.map(lambda path: _read_again(path, self._spec), paths)
        for number, pixels in enumerate(decoded):
            found[number] = pixels
        return found


def _read_again(path: str, spec: PreprocessSpec) -> np.ndarray:
    """Decode a photo, without another word about its extension."""
    try:
        with open(path, "rb") as stream:
            return preprocess(stream.read(), spec)
    except (OSError, ImageError) as error:
        why = f"{error.strerror or error}.".lower() if isinstance(error, OSError) else str(error)
        raise DatasetError(
            f"{path}: {why.removeprefix('<bytes>: ')} It could be read when the training began."
        ) from error


def load_part(
    samples: Sequence[Sample], spec: PreprocessSpec, part: str, limit_gb: float | None = None
) -> tuple[Photos, list[tuple[str, str]]]:
    """:func:`load_parts` of a data set of one part."""
    return load_parts({part: samples}, spec, limit_gb)[part]


def load_parts(
    parts: Mapping[str, Sequence[Sample]], spec: PreprocessSpec, limit_gb: float | None = None
) -> dict[str, tuple[Photos, list[tuple[str, str]]]]:
    """Read the photos of a data set with the one preprocessing; most trainings find them decoded.

    A photo that cannot be read is left out with a warning. Where the pixels of a part do not fit
    into the store's share of the disk, or cannot be kept, they are decoded again each time that
    they are needed.

    Args:
        parts: Photos to read by the name of their part. All that are used together: room is made
            for the whole.
        spec: Size and rule.
        limit_gb: Size that all stores together may have, gigabytes; 0 keeps no pixels; None for
            half of the free disk.

    Returns:
        By part, the photos that could be read, in order, and path and reason of each one that
        could not.

    Raises:
        DatasetError: More than 5 % of a part is unreadable, or every photo of a class of the
            part ``train``.
    """
    paths = {part: [sample.path for sample in samples] for part, samples in parts.items()}
    try:
        room = make_room(store_folder(spec), spec, paths, limit_gb)
    except (OSError, sqlite3.Error) as error:
        room = _without_store(error, spec)
    found = {}
    try:
        for part, samples in parts.items():
            try:
                entries = _fill(room, part, paths[part])
            except (OSError, sqlite3.Error) as error:
                room.store.close()
                room = _without_store(error, spec)
                entries = _fill(room, part, paths[part])
            found[part] = _photos(room, samples, entries, part)
    finally:
        room.store.close()
    return found


def _without_store(error: Exception, spec: PreprocessSpec) -> Room:
    _log.warning(
        "%s: decoded photos cannot be kept here (%s); each epoch decodes them again. The "
        "variable EDGE_CLASSIFY_CACHE names another folder.",
        cache_folder(),
        error,
    )
    return Room(PixelStore(None, spec))


def _fill(room: Room, part: str, paths: Sequence[str]) -> list[Entry]:
    """Decode what is new of a part; an entry for each photo."""
    store, keep = room.store, part in room.keep
    entries = room.entries.get(part, [None] * len(paths))
    missing = [
        index for index, entry in enumerate(entries) if entry is None or (keep and entry.row < 0)
    ]
    if missing:
        _log.info("%s: decoding %d of %d photos.", part, len(missing), len(paths))
    # Large photos by the few, but not so few that a thread has none.
    chunk = max(min(_CHUNK, _CHUNK_BYTES // store.row_bytes), min(_CHUNK, 2 * _threads()))
    misnamed: list[tuple[str, str]] = []
    with ThreadPoolExecutor(_threads(), thread_name_prefix="decode") as pool:
        for start in range(0, len(missing), chunk):
            check_stop()
            chosen = missing[start : start + chunk]
            decoded = list(pool.map(lambda index: store.decode(paths[index], keep), chosen))
            store.add(
                [(paths[i], photo) for i, photo in zip(chosen, decoded, strict=True)], room.limit
            )
            for index, photo in zip(chosen, decoded, strict=True):
                entries[index] = Entry(photo.sha256, store.row_of(photo.sha256), photo.error)
                if photo.misnamed:
                    misnamed.append((paths[index], photo.misnamed))
    _warn_of_names(misnamed, part)
    return [entry for entry in entries if entry is not None]


def _threads() -> int:
    return min(32, (os.cpu_count() or 1) + 4)


def _photos(
    room: Room, samples: Sequence[Sample], entries: Sequence[Entry], part: str
) -> tuple[Photos, list[tuple[str, str]]]:
    """What :func:`load_parts` gives of a part."""
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
        MappedPixels(room.store.mapped(max(rows, default=-1) + 1), np.array(rows, np.int64))
        if part in room.keep
        else StreamedPixels([sample.path for sample in kept], room.store.spec)
    )
    return Photos(images, labels, kept), failures


def _warn_of_names(misnamed: Sequence[tuple[str, str]], part: str) -> None:
    """One line, however many there are."""
    if misnamed:
        path, held = misnamed[0]
        more = f", and so are {len(misnamed) - 1} more of {part}" if len(misnamed) > 1 else ""
        _log.warning(
            "%s: holds a %s in spite of its name%s; read as such. edge-train check lists them.",
            path,
            held,
            more,
        )


def check_failures(
    samples: Sequence[Sample],
    kept: Sequence[Sample],
    failures: Sequence[tuple[str, str]],
    part: str,
) -> None:
    """Warn of photos that cannot be read.

    Args:
        samples: All photos of a part.
        kept: Those that can be read.
        failures: Path and reason of the others.
        part: Name for messages.

    Raises:
        DatasetError: More than 5 % of the part, or every photo of a class of ``train``.
    """
    if len(failures) > UNREADABLE_LIMIT * len(samples):
        shown = [f"  {path}: {reason}" for path, reason in failures[:_SHOWN_FAILURES]]
        if len(failures) > len(shown):
            shown.append(f"  and {len(failures) - len(shown)} more")
        raise DatasetError(
            f"{part}: {len(failures)} of {len(samples)} photos cannot be read, "
            f"{len(failures) / len(samples):.1%}; at most {UNREADABLE_LIMIT:.0%} may be left out. "
            "Replace or remove them:\n" + "\n".join(shown)
        )
    for path, reason in failures:
        _log.warning("%s: %s Left out of %s.", path, reason, part)
    readable = {sample.label for sample in kept}
    for sample in samples:
        if part == "train" and sample.label not in readable:
            raise DatasetError(
                f"{part}: no photo of the class of {sample.path} can be read. "
                "Replace them or remove the class."
            )
