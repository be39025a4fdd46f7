"""Photos that belong together, so that a split keeps them on one side."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Sequence

from edge_runtime.errors import UsageError
from edge_runtime.files import sha256_file

#: Bytes from which on a file is compared by its end before it is read, and length of that end.
_LARGE, _END = 1 << 16, 1 << 12


def compile_pattern(text: str) -> re.Pattern[str]:
    """A regular expression (Python's syntax).

    Raises:
        UsageError: It is none.
    """
    try:
        return re.compile(text)
    except re.error as error:
        raise UsageError(
            f"group-by {text!r}: no regular expression ({error}). An example: '^([^_]+)_' takes "
            "what stands in front of the first underscore."
        ) from error


def match_group(path: str, pattern: re.Pattern[str]) -> str | None:
    """The group of a photo: what the first parentheses of the pattern match, or all of it.

    The pattern is searched in the file name. If it has a slash, it is searched in the whole path
    (with forward slashes), so that a folder may be the group: ``/(session[0-9]+)/``.

    Args:
        path: Of the photo.
        pattern: Regular expression.

    Returns:
        The text, or None if the pattern does not match.
    """
    text = path.replace(os.sep, "/") if "/" in pattern.pattern else os.path.basename(path)
    found = pattern.search(text)
    if found is None:
        return None
    first = found.group(1) if pattern.groups else None
    return found.group() if first is None else first


def group_keys(paths: Iterable[str], regex: str) -> list[str]:
    """The group of each photo, see :func:`match_group`; one that does not match is its own.

    Groups do not end with a class: photos of one object in two classes have one key.

    Args:
        paths: Of the photos.
        regex: Regular expression.

    Raises:
        UsageError: No regular expression, or one that matches no photo.
    """
    pattern, paths = compile_pattern(regex), list(paths)
    keys = [match_group(path, pattern) for path in paths]
    if paths and not any(key is not None for key in keys):
        raise UsageError(
            f"group-by {regex!r}: matches none of {len(paths)} photos, for example not "
            f"{paths[0]!r}. It is searched in the file name, or in the path if it has a slash."
        )
    return [path if key is None else key for path, key in zip(paths, keys, strict=True)]


def equal_files(paths: Sequence[str]) -> list[list[int]]:
    """Indices of files with the same bytes, two or more each.

    Only files of one size are opened, and large ones read only if they end alike: among 100,000
    photos a fifth may share their size with another, and photos that are not compressed all do.
    One that cannot be read is equal to none.
    """
    from ..doctor.duplicates import equal_groups
    from ..doctor.examine import map_ahead

    digests: list[str] = [""] * len(paths)
    sizes = [_size(path) for path in paths]
    doubtful = [index for group in equal_groups(sizes) for index in group]
    large = [index for index in doubtful if sizes[index] >= _LARGE]
    ends = dict(zip(large, map_ahead(_end, (paths[i] for i in large)), strict=True))
    alike = equal_groups([(sizes[index], ends.get(index)) for index in doubtful])
    doubtful = [doubtful[number] for group in alike for number in group]
    for index, digest in zip(
        doubtful, map_ahead(_digest, (paths[i] for i in doubtful)), strict=True
    ):
        digests[index] = digest
    return equal_groups(digests)


def similar_photos(paths: Sequence[str]) -> list[list[int]]:
    """Indices of photos that look the same, see :mod:`trainer.doctor.near`.

    Raises:
        MissingComponent: ImageHash is not installed.
    """
    import numpy as np

    from ..doctor.examine import map_ahead
    from ..doctor.near import near_groups
    from ..doctor.photo import read_hash

    looks = list(map_ahead(read_hash, paths))
    hashed = [index for index, look in enumerate(looks) if look is not None]
    if not hashed:
        return []
    array = np.frombuffer(b"".join(look for look in looks if look is not None), np.uint8)
    groups = near_groups(array.reshape(len(hashed), -1))
    return [[hashed[member] for member in group] for group in groups]


def join_groups(count: int, groups: Iterable[Sequence[int]]) -> list[int]:
    """The group of each of ``count`` items, where groups that share an item are one.

    Returns:
        The smallest index of the item's group.
    """
    parents = list(range(count))

    def root(item: int) -> int:
        while parents[item] != item:
            parents[item] = parents[parents[item]]
            item = parents[item]
        return item

    for group in groups:
        first = root(group[0])
        for item in group[1:]:
            other = root(item)
            first, other = min(first, other), max(first, other)
            parents[other] = first
    return [root(item) for item in range(count)]


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


def _end(path: str) -> bytes:
    """Checksum of the last bytes of a file."""
    try:
        if not os.path.isfile(path):
            return b""
        with open(path, "rb") as stream:
            stream.seek(-_END, os.SEEK_END)
            return hashlib.sha256(stream.read()).digest()
    except OSError:
        return b""


def _digest(path: str) -> str:
    try:
        return sha256_file(path) if os.path.isfile(path) else ""
    except OSError:
        return ""
