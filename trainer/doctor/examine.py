"""The whole examination of a data set; ``edge-train check DATA``."""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from ..packages import import_module
from .classes import balance_findings, name_findings
from .duplicates import duplicate_findings, near_findings
from .findings import Finding, count_severities, in_order
from .layout import Layout, read_layout
from .near import DISTANCE, HASH_BYTES
from .photo import inspect

_log = logging.getLogger("trainer")

#: Photos between two messages of progress.
_PROGRESS = 10_000

_In = TypeVar("_In")
_Out = TypeVar("_Out")


@dataclass(frozen=True)
class Examination:
    """What the doctor found.

    Attributes:
        folder: The data set, as it was given.
        counts: Part to class to number of files with a photo's extension.
        readable: Number of photos that can be read.
        findings: By severity, kind and path.
    """

    folder: str
    counts: dict[str, dict[str, int]]
    readable: int
    findings: list[Finding]

    @property
    def photos(self) -> int:
        """Number of files with a photo's extension."""
        return sum(sum(classes.values()) for classes in self.counts.values())

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "path": self.folder,
            "photos": self.photos,
            "readable": self.readable,
            "counts": {part or "all": classes for part, classes in self.counts.items()},
            "near_duplicates": {"hash": "phash", "bits": HASH_BYTES * 8, "distance": DISTANCE},
            "severities": count_severities(self.findings),
            "findings": [found.as_dict() for found in self.findings],
        }


def examine(folder: str | os.PathLike[str], workers: int | None = None) -> Examination:
    """Examine a data set: names and places, every photo's bytes and pixels, and copies.

    Each photo is read once. Of a photo only its checksum and its perceptual hash are kept, so
    that memory does not grow with the pixels.

    Args:
        folder: ``train/ val/ test/`` with a folder for each class, or one folder of those.
        workers: Threads that read; None for a few more than there are cores.

    Raises:
        UsageError: The folder does not exist or is a file.
        MissingComponent: ImageHash is not installed.
    """
    import_module("imagehash", "imagehash", "find photos that look the same")
    root = os.fspath(folder)
    layout = read_layout(root)
    entries = layout.entries
    findings = list(layout.findings)
    digests = [b""] * len(entries)
    looks = np.zeros((len(entries), HASH_BYTES), np.uint8)
    hashed: list[int] = []
    broken: dict[str, list[str]] = {}
    paths = (entry.path for entry in entries)
    for index, facts in enumerate(map_ahead(inspect, paths, workers)):
        entry = entries[index]
        if facts.problem:
            broken.setdefault(entry.part, []).append(entry.path)
            findings.append(
                Finding("unreadable", facts.problem, (entry.path,), movable=(entry.path,))
            )
        else:
            digests[index] = facts.digest
        if facts.looks is not None:
            looks[len(hashed)] = np.frombuffer(facts.looks, np.uint8)
            hashed.append(index)
        for kind, message in facts.remarks:
            findings.append(Finding(kind, message, (entry.path,), (entry.path,)))
        if (index + 1) % _PROGRESS == 0:
            _log.info("%s: %d of %d photos read.", root, index + 1, len(entries))
    findings += _too_many(layout, broken)
    findings += duplicate_findings(entries, digests)
    findings += near_findings(entries, digests, looks[: len(hashed)], hashed, DISTANCE)
    findings += name_findings(name for classes in layout.classes.values() for name in classes)
    findings += balance_findings(layout.classes)
    readable = len(entries) - sum(map(len, broken.values()))
    return Examination(root, layout.classes, readable, in_order(findings))


def _too_many(layout: Layout, broken: dict[str, list[str]]) -> list[Finding]:
    from ..data.pixels import UNREADABLE_LIMIT

    findings = []
    for part, paths in broken.items():
        total = sum(layout.classes[part].values())
        if len(paths) > UNREADABLE_LIMIT * total:
            message = (
                f"{len(paths)} of {total} photos cannot be read, {len(paths) / total:.1%}; fit "
                f"stops above {UNREADABLE_LIMIT:.0%}."
            )
            where = layout.folders[part]
            findings.append(Finding("too-many-unreadable", message, (where,), tuple(paths)))
    return findings


def map_ahead(
    function: Callable[[_In], _Out], items: Iterable[_In], workers: int | None = None
) -> Iterator[_Out]:
    """Results in order, computed by threads a few items ahead.

    ``Executor.map`` would submit 100,000 photos at once.
    """
    threads = workers or min(32, (os.cpu_count() or 1) + 4)
    pool = ThreadPoolExecutor(threads)
    waiting: deque[Future[_Out]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) >= 4 * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
