"""Decoded photos on disk: each is decoded once for all trainings of a preprocessing rule.

A store is a folder with two files. ``pixels.bin`` holds the uint8 pixels of one photo after the
other; ``index.sqlite`` says which photo is where: ``files`` by path, size and time of change,
``rows`` by the photo's checksum. So a moved or copied photo is not decoded again, and a changed
one is. Several processes may read and fill a store at once: SQLite keeps the index whole, a lock
the order of the pixels, and pixels count only once the index knows them.

Whoever has a store open, or pixels of it mapped, holds it (:mod:`trainer.data.stores`), and only a
store that nobody holds is removed.
"""

from __future__ import annotations

import contextlib
import hashlib
import inspect
import json
import math
import mmap
import os
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import PIL

from edge_runtime.errors import ImageError
from edge_runtime.files import cache_folder
from edge_runtime.manifest import PreprocessSpec
from edge_runtime.photos import color, decoding, file, formats, icc
from edge_runtime.preprocess import contradicting_format, preprocess

from .stores import hold_store, only_writer, other_stores

#: Layout of the folder, and what the pixels mean; another number makes another store. 3: profiles
#: are converted to sRGB, and a colour that a PNG names as transparent is laid over white.
_LAYOUT = 3

#: The code that pixels depend on.
_CODE = (preprocess, decoding, file, formats, color, icc)

#: A photo that changed less than this before it was read may change again at the same time, ns.
_RACY = 2_000_000_000

_TABLES = """
create table if not exists files (
    path blob primary key, size integer, mtime integer, sha blob) without rowid;
create table if not exists rows (sha blob primary key, row integer) without rowid;
"""


@dataclass(frozen=True)
class Decoded:
    """A photo that was read.

    Attributes:
        sha256: Of the file, 32 bytes; empty if it could not be opened.
        pixels: uint8 (h, w, 3); None if the store has them already, or there is an error.
        error: Why it cannot be decoded. It is not kept: what failed (a disk, the memory) may have
            been something else than the photo.
        misnamed: What it holds where its name says something else.
    """

    sha256: bytes = b""
    pixels: np.ndarray | None = None
    error: str | None = None
    misnamed: str | None = None
    size: int = -1
    mtime: int = -1


@dataclass(frozen=True)
class Entry:
    """What is known of a photo: its checksum and its row."""

    sha256: bytes
    row: int  #: -1: the pixels are not kept
    error: str | None = None  #: why it cannot be decoded


def store_folder(spec: PreprocessSpec) -> Path:
    """Where the store of a preprocessing rule is.

    Whatever may change a pixel is part of the name: the rule, the code that applies it, and
    Pillow's version.
    """
    code = b"".join(Path(inspect.getfile(module)).read_bytes() for module in _CODE)
    parts = [json.dumps(asdict(spec), sort_keys=True), PIL.__version__, str(_LAYOUT)]
    digest = hashlib.sha256("\n".join(parts).encode() + code).hexdigest()
    name = f"{spec.width}x{spec.height}-{spec.fit}-{spec.kernel}-{digest[:12]}"
    return cache_folder() / "pixels" / name


class PixelStore:
    """The store of one preprocessing rule, opened for reading and filling."""

    def __init__(self, folder: Path | None, spec: PreprocessSpec) -> None:
        """Open or make it; without a folder, in memory, where it keeps no pixels.

        Raises:
            OSError: The folder cannot be written.
            sqlite3.Error: The index is damaged.
        """
        self.folder, self.spec = folder, spec
        self.row_bytes = spec.width * spec.height * 3
        self._lock = threading.RLock()
        self._data = -1 if folder is None else hold_store(folder)
        try:
            self._index = sqlite3.connect(
                ":memory:" if folder is None else folder / "index.sqlite",
                timeout=60,
                check_same_thread=False,
                isolation_level=None,
            )
        except BaseException:
            self._let_go()
            raise
        try:
            self._index.executescript(_TABLES)
            if folder is not None:
                os.utime(folder)  # the one that was not used for longest goes first
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> PixelStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the files; arrays that are mapped stay valid, and hold the store."""
        self._index.close()
        self._let_go()

    def _let_go(self) -> None:
        if self._data >= 0:
            os.close(self._data)
            self._data = -1

    def mapped(self, count: int) -> np.ndarray:
        """The first rows, uint8 (count, h, w, 3), read-only; valid after the store is closed.

        As long as the array lives the store counts as used: the map has a copy of the descriptor,
        and a copy shares the lock.
        """
        shape = (count, self.spec.height, self.spec.width, 3)
        if not count:  # nothing cannot be mapped
            return np.zeros(shape, np.uint8)
        found = mmap.mmap(self._data, count * self.row_bytes, access=mmap.ACCESS_READ)
        return np.frombuffer(found, np.uint8).reshape(shape)

    def rows(self) -> int:
        """Number of photos whose pixels are kept."""
        found = self._ask("select coalesce(max(row) + 1, 0) from rows")
        return int(found[0][0])

    def is_whole(self) -> bool:
        """Whether ``pixels.bin`` holds every row of the index."""
        rows = self.rows()  # first: another process may be adding some
        return self._data < 0 or os.fstat(self._data).st_size >= rows * self.row_bytes

    def look_up(self, paths: Sequence[str]) -> Iterator[Entry | None]:
        """What is known of photos; None for one that is new or has changed."""
        query = (
            "select size, mtime, files.sha, row from files "
            "left join rows on rows.sha = files.sha where path = ?"
        )
        for path in paths:
            found = self._ask(query, (_key(path),))
            if not found:
                yield None
                continue
            size, mtime, sha, row = found[0]
            try:
                status = os.stat(path)
                same = (status.st_size, status.st_mtime_ns) == (size, mtime)
            except OSError:
                same = False
            yield Entry(sha, -1 if row is None else row) if same else None

    def row_of(self, sha256: bytes) -> int:
        """Row of a photo; -1 if its pixels are not kept."""
        found = self._ask("select row from rows where sha = ?", (sha256,))
        return int(found[0][0]) if found else -1

    def decode(self, path: str, wanted: bool = True) -> Decoded:
        """Read a photo once: its checksum, and its pixels unless they are kept or not wanted.

        Safe in threads. Whether it can be decoded is found out in any case.
        """
        now = time.time_ns()
        try:
            content, status = file.read_photo(path)
        except ImageError as error:
            return Decoded(error=str(error))
        sha = hashlib.sha256(content).digest()
        mtime = status.st_mtime_ns if status.st_mtime_ns < now - _RACY else -1
        if self.row_of(sha) >= 0:
            return Decoded(sha, size=status.st_size, mtime=mtime)
        try:
            pixels = preprocess(content, self.spec)
        except ImageError as error:
            return Decoded(sha, error=str(error).removeprefix("<bytes>: "))
        misnamed = contradicting_format(path, content)
        return Decoded(sha, pixels if wanted else None, None, misnamed, status.st_size, mtime)

    def add(self, photos: Iterable[tuple[str, Decoded]], limit: float = math.inf) -> None:
        """Keep what :meth:`decode` gave, all of it or nothing.

        Args:
            photos: Path and what was read; those with an error are passed over.
            limit: Bytes that all stores together may have. It is looked at here, too, because
                another process may have taken the room that there was at the beginning.

        Raises:
            OSError: The disk is full, or the limit is reached.
        """
        photos = [(path, found) for path, found in photos if found.error is None]
        with self._lock, self._exclusive():
            first = self.rows()
            rows: dict[bytes, int] = {}
            chosen = []
            for _, found in photos:
                # Another process may have been faster, and a set may hold a photo twice.
                if found.pixels is None or found.sha256 in rows or self.row_of(found.sha256) >= 0:
                    continue
                rows[found.sha256] = first + len(rows)
                chosen.append(found.pixels)
            self._check_limit(first + len(rows), limit if rows else math.inf)
            for row, pixels in enumerate(chosen, first):
                _write_all(self._data, pixels, row * self.row_bytes)
            with self._transaction():
                self._index.executemany("insert into rows values (?, ?)", list(rows.items()))
                self._index.executemany(
                    "insert or replace into files values (?, ?, ?, ?)",
                    [(_key(path), f.size, f.mtime, f.sha256) for path, f in photos],
                )

    def _check_limit(self, rows: int, limit: float) -> None:
        if self.folder is None or limit == math.inf:
            return
        if rows * self.row_bytes + sum(size for *_, size in other_stores(self.folder)) > limit:
            raise OSError("another training has taken the room that cache.limit_gb leaves")

    def _ask(self, query: str, values: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
        with self._lock:
            return list(self._index.execute(query, values))

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._index.execute("begin immediate")
        try:
            yield
            self._index.execute("commit")
        except BaseException:
            self._index.execute("rollback")
            raise

    @contextlib.contextmanager
    def _exclusive(self) -> Iterator[None]:
        """Alone among processes, too; what a killed one wrote without an entry is overwritten."""
        if self.folder is None:
            yield
            return
        with only_writer(self.folder):
            yield


def _key(path: str) -> bytes:
    return os.fsencode(os.path.abspath(path))


def _write_all(handle: int, pixels: np.ndarray, offset: int) -> None:
    data = memoryview(pixels.tobytes())
    while data:
        count = os.pwrite(handle, data, offset)
        data, offset = data[count:], offset + count
