"""A folder of class folders, with the indices that a bundle gives to the classes."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence

from edge_runtime.errors import DatasetError, UsageError
from edge_runtime.files import find_photos, is_hidden

_log = logging.getLogger("benchmarks")


def labelled_photos(
    folder: str | os.PathLike[str], class_names: Sequence[str]
) -> list[tuple[str, int]]:
    """Photos of a folder of class folders, searched recursively, in sorted order.

    Args:
        folder: Holds one folder a class; classes may be absent.
        class_names: Names in index order, of the model.

    Returns:
        (path as ``folder`` was given, class index) of each photo.

    Raises:
        UsageError: ``folder`` is not there.
        DatasetError: A folder is named like no class, or there is no photo.
    """
    root = os.fspath(folder)
    if not os.path.isdir(root):
        raise UsageError(f"{root}: no such folder.")
    with os.scandir(root) as entries:
        names = sorted(e.name for e in entries if e.is_dir() and not is_hidden(e.name))
    unknown = [name for name in names if name not in class_names]
    if unknown:
        part = next((n for n in unknown if n in ("test", "val")), None)
        hint = f" Did you mean {os.path.join(root, part)}?" if part else ""
        raise DatasetError(
            f"{root}: {_some(unknown)} among the class folders, but the bundle's classes are "
            f"{_some(class_names)}.{hint}"
        )
    found = []
    for name in names:
        photos = find_photos(os.path.join(root, name))
        if not photos:
            _log.warning("%s: no photo in this class folder.", os.path.join(root, name))
        found += [(photo, class_names.index(name)) for photo in photos]
    if not found:
        raise DatasetError(f"{root}: no photo in a class folder. Expected {root}/CLASS/photo.jpg.")
    return found


def _some(names: Sequence[str], limit: int = 8) -> str:
    shown = ", ".join(names[:limit])
    return f"{shown} and {len(names) - limit} more" if len(names) > limit else shown
