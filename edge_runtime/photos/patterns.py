"""Glob patterns as a shell writes them, for command lines in quotes.

The standard library's ``glob`` follows links to folders below ``**``, so that a loop of links gives
each file forty times; here ``**`` goes into real folders only, as the search of a folder does.
"""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Iterator

from ..files import is_hidden

_MAGIC = frozenset("*?[")


def has_magic(path: str) -> bool:
    """Whether a path holds a character that a pattern is made of."""
    return not _MAGIC.isdisjoint(path)


def literal_root(pattern: str) -> str:
    """The folders in front of the first part with a wildcard; empty for the working folder."""
    parts = pattern.split("/")
    count = next((n for n, part in enumerate(parts) if has_magic(part)), len(parts) - 1)
    root = "/".join(parts[:count])
    return "/" if not root and pattern.startswith("/") else root


def matches(pattern: str) -> list[str]:
    """Files and folders that a pattern finds, each once, sorted.

    ``*``, ``?`` and ``[abc]`` match within a name, ``**`` any number of folders and, at the end,
    all files below. Hidden names match only a part that begins with a dot.

    Args:
        pattern: With ``/`` between its parts.

    Returns:
        Paths that begin as the pattern does; empty where nothing matches.
    """
    root = literal_root(pattern)
    parts = [part for part in pattern[len(root) :].split("/") if part]
    kept = [p for n, p in enumerate(parts) if p != "**" or n == 0 or parts[n - 1] != "**"]
    return sorted(set(_expand(root, kept)))


def _expand(base: str, parts: list[str]) -> Iterator[str]:
    if not parts:
        if os.path.lexists(base):
            yield base
        return
    first, *rest = parts
    if first == "**":
        for folder, names in _walk(base):
            if rest:
                yield from _expand(folder, rest)
            else:
                yield from (os.path.join(folder, name) for name in names)
    elif has_magic(first):
        for name in fnmatch.filter(_names(base), first):
            if first.startswith(".") or not is_hidden(name):
                path = os.path.join(base, name)
                if not rest or os.path.isdir(path):
                    yield from _expand(path, rest)
    else:
        yield from _expand(os.path.join(base, first), rest)


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder or ".")
    except OSError:  # no folder, or one that may not be read: nothing matches there
        return []


def _walk(base: str) -> Iterator[tuple[str, list[str]]]:
    """Each folder below ``base``, itself first, with the names of its files; hidden ones not."""
    for parent, folders, names in os.walk(base or "."):
        folders[:] = [name for name in folders if not is_hidden(name)]
        here = parent if base else os.path.relpath(parent)
        yield ("" if here == "." and not base else here), [n for n in names if not is_hidden(n)]
