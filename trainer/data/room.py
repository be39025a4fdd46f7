"""Room for decoded photos: which parts of a data set the store keeps, and what goes for them.

It is made once for all parts. The limit counts all stores; a part that does not fit beside the
parts before it is decoded as it is needed, in this training and in the next, instead of taking the
place of the others each time.
"""

from __future__ import annotations

import logging
import shutil
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edge_runtime.manifest import PreprocessSpec

from .pixel_store import Entry, PixelStore
from .stores import only_writer, other_stores, remove_store

_log = logging.getLogger("trainer")

#: Share of the free disk that the stores may take where no limit is set.
_FREE_SHARE = 0.5


@dataclass
class Room:
    """A store that is open for a data set.

    Attributes:
        store: The store; one in memory keeps nothing.
        keep: Parts whose pixels it keeps.
        entries: By part, what is known of each photo; None of a new one.
        limit: Bytes that all stores together may have.
    """

    store: PixelStore
    keep: frozenset[str] = frozenset()
    entries: dict[str, list[Entry | None]] = field(default_factory=dict)
    limit: int = 0


def make_room(
    folder: Path,
    spec: PreprocessSpec,
    parts: Mapping[str, Sequence[str]],
    limit_gb: float | None = None,
) -> Room:
    """Open the store, and remove what is in the way of a data set and used by nobody.

    Stores that were not used for longest go first, then what this one has of other data sets.

    Args:
        folder: The store.
        spec: Its rule.
        parts: Paths of the photos by part; the first have precedence.
        limit_gb: As for :func:`trainer.data.pixels.load_parts`.

    Raises:
        OSError, sqlite3.Error: The store can be neither opened nor made.
    """
    room = Room(_open_store(folder, spec))
    try:
        others = other_stores(folder)
        taken = sum(size for *_, size in others)
        own = room.store.rows() * room.store.row_bytes
        room.limit = (
            int(_FREE_SHARE * (shutil.disk_usage(folder).free + taken + own))
            if limit_gb is None
            else int(limit_gb * 1e9)
        )
        whole = {part: len(paths) * room.store.row_bytes for part, paths in parts.items()}
        wanted = _fitting(whole, room.limit)
        if room.limit:
            _warn_of_size(parts, whole, wanted, room.limit)
        _look_up(room, parts)
        with only_writer(folder):
            needed = sum(_missing(room, wanted).values())
            for _, other, size in others:
                if needed and own + needed + taken > room.limit and remove_store(other):
                    taken -= size
            if needed and own and own + needed + taken > room.limit:
                room.store.close()
                remove_store(folder)
                room.store = PixelStore(folder, spec)
                _look_up(room, parts)
                own = room.store.rows() * room.store.row_bytes
            room.keep = _fitting(_missing(room, wanted), room.limit - own - taken)
        if wanted - room.keep:
            _log.warning(
                "%s: the cache is full of photos that other trainings use now: each epoch decodes "
                "these anew. Raise cache.limit_gb, or wait for the others.",
                ", ".join(part for part in parts if part in wanted - room.keep),
            )
    except BaseException:
        room.store.close()
        raise
    return room


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
    if not remove_store(folder):
        raise OSError(f"{folder} is damaged ({reason}), and another training uses it")
    _log.warning("%s: damaged (%s); made anew.", folder, reason)
    return PixelStore(folder, spec)


def _look_up(room: Room, parts: Mapping[str, Sequence[str]]) -> None:
    room.entries = {part: list(room.store.look_up(paths)) for part, paths in parts.items()}


def _missing(room: Room, parts: frozenset[str]) -> dict[str, int]:
    """Bytes that the store lacks of each part."""
    return {
        part: room.store.row_bytes * sum(entry is None or entry.row < 0 for entry in entries)
        for part, entries in room.entries.items()
        if part in parts
    }


def _fitting(needs: Mapping[str, int], room: int) -> frozenset[str]:
    """The parts that fit, one after the other; one that needs nothing does."""
    found = []
    for part, need in needs.items():
        if not need or need <= room:
            found.append(part)
            room -= need
    return frozenset(found)


def _warn_of_size(
    parts: Mapping[str, Sequence[str]],
    whole: Mapping[str, int],
    wanted: frozenset[str],
    limit: int,
) -> None:
    left = [part for part in parts if part not in wanted]
    if left:
        _log.warning(
            "%s: %d decoded photos take %.1f GB, and the cache may have %.1f for the whole data "
            "set: each epoch decodes them again. Raise cache.limit_gb, or choose a smaller image "
            "size.",
            ", ".join(left),
            sum(len(parts[part]) for part in left),
            sum(whole[part] for part in left) / 1e9,
            limit / 1e9,
        )
