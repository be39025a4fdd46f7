"""What this device has found out already, by path, size and time of the file.

Checksums of files, and which interpreter has passed a trial run with them (:mod:`.tried`).
"""

from __future__ import annotations

import contextlib
import json
import os
from typing import Any

from .files import atomic_file, cache_path, files_below, sha256_file

#: Stands before the path of a file in the key of what its trial run showed.
PROBE = "probe:"


def content_digest(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file, computed the first time that this device sees it."""
    key, now = os.path.realpath(path), stamp(path)
    known = recall().get(key)
    if isinstance(known, list) and known[:2] == now and len(known) == 3:
        return str(known[2])
    digest = sha256_file(path)
    remember(key, [*now, digest])
    return digest


def stamp(path: str | os.PathLike[str]) -> list[int]:
    """Total size in bytes and newest modification time in nanoseconds."""
    files = [path] if os.path.isfile(path) else files_below(path)
    stats = [os.stat(file) for file in files]
    return [sum(s.st_size for s in stats), max((s.st_mtime_ns for s in stats), default=0)]


def _memory() -> str:
    return os.path.join(cache_path(), "verified.json")


#: What was read last, so that a start reads the file once: its path and time, its contents.
_read: tuple[tuple[str, int] | None, dict[str, Any]] = (None, {})


def recall() -> dict[str, Any]:
    """What was noted: path (of a trial run ``probe:`` before it) to what is known of the file.

    Returns:
        Lists that begin with the file's :func:`stamp`; empty where nothing was noted.
    """
    global _read
    file = _memory()
    try:
        state = (file, os.stat(file).st_mtime_ns)
        if _read[0] != state:
            with open(file, "rb") as stream:
                data = json.loads(stream.read())
            _read = (state, data if isinstance(data, dict) else {})
    except (OSError, ValueError):
        return {}
    return dict(_read[1])


def remember(key: str, value: list[Any]) -> bool:
    """Note what is known of a file; what is known of files that are gone is forgotten.

    Returns:
        Whether it was written: a read-only home only means that the work is done again next time.
    """
    with contextlib.suppress(Exception):
        known = {k: v for k, v in recall().items() if os.path.exists(k.removeprefix(PROBE))}
        with atomic_file(_memory()) as temporary:
            temporary.write_text(json.dumps({**known, key: value}))
        return True
    return False
