"""Checksums that this device has computed already, by path, size and time of the file."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path

from .files import atomic_file, cache_folder, sha256_file


def content_digest(path: Path) -> str:
    """SHA-256 of a file, computed the first time that this device sees it."""
    key, now = str(path.resolve()), stamp(path)
    known = recall().get(key)
    if isinstance(known, list) and known[:2] == now and len(known) == 3:
        return str(known[2])
    digest = sha256_file(path)
    remember(key, [*now, digest])
    return digest


def stamp(path: Path) -> list[int]:
    """Total size in bytes and newest modification time in nanoseconds."""
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    stats = [file.stat() for file in files]
    return [sum(s.st_size for s in stats), max((s.st_mtime_ns for s in stats), default=0)]


def _memory() -> Path:
    return cache_folder() / "verified.json"


def recall() -> dict[str, list[object]]:
    """What was noted: path to size, time and SHA-256; empty where nothing was."""
    try:
        data = json.loads(_memory().read_bytes())
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}


def remember(key: str, value: list[object]) -> None:
    """Note a verified file; a read-only home only means that it is hashed again next time."""
    with contextlib.suppress(Exception):
        data = {k: v for k, v in recall().items() if os.path.exists(k)}
        data[key] = value
        with atomic_file(_memory()) as temporary:
            temporary.write_text(json.dumps(data))
