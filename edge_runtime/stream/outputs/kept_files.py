"""Files that a run without an end writes: the oldest make room for new ones."""

from __future__ import annotations

import contextlib
import os
import re
from collections import deque
from collections.abc import Callable, Iterable


class KeptFiles:
    """Groups of files, oldest first, of which no more are kept than fit."""

    def __init__(self, most: int | None, most_bytes: int | None) -> None:
        """Set the limits.

        Args:
            most: Groups at most; None for any number.
            most_bytes: Bytes of all groups together at most; None for any number.
        """
        self._most, self._most_bytes = most, most_bytes
        self._groups: deque[tuple[tuple[str, ...], int]] = deque()
        self._bytes = 0

    def add(self, files: Iterable[str]) -> None:
        """Know one group more, the newest, and remove what is too old now; never the newest."""
        if self._most is None and self._most_bytes is None:
            return  # all are kept: to know their names would take ever more memory
        group = tuple(files)
        size = sum(map(_size, group))
        self._groups.append((group, size))
        self._bytes += size
        while len(self._groups) > 1 and self._too_many():
            old, size = self._groups.popleft()
            self._bytes -= size
            for file in old:
                with contextlib.suppress(FileNotFoundError):  # somebody tidied up
                    os.unlink(file)

    def _too_many(self) -> bool:
        return (self._most is not None and len(self._groups) > self._most) or (
            self._most_bytes is not None and self._bytes > self._most_bytes
        )


def found_groups(
    folder: str, pattern: re.Pattern[str], order: Callable[[str], object] = str
) -> list[list[str]]:
    """Files of earlier runs, grouped by what the pattern's first group matches, in order.

    Args:
        folder: Is searched, not below; one that is not there holds nothing.
        pattern: Of whole names; others are not ours and are left alone.
        order: From the first group's text to what sorts.
    """
    groups: dict[str, list[str]] = {}
    with contextlib.suppress(FileNotFoundError):
        for name in os.listdir(folder):
            match = pattern.fullmatch(name)
            if match is not None:
                groups.setdefault(match.group(1), []).append(os.path.join(folder, name))
    keys = sorted(groups, key=order)  # type: ignore[arg-type]  # text or number, one of them
    return [groups[key] for key in keys]


def _size(file: str) -> int:
    try:
        return os.path.getsize(file)
    except OSError:
        return 0
