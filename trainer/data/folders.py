"""How photos lie in folders: a folder per class, or train/, val/ and test/ of such folders."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from pathlib import Path

from edge_runtime.errors import DatasetError, UsageError
from edge_runtime.files import PHOTO_EXTENSIONS, find_photos, is_hidden
from edge_runtime.rundir import PARTS

_log = logging.getLogger("trainer")

#: Names that other tools give to ``val``.
VAL_ALIASES = ("valid", "validation")


def sub_folders(folder: str | os.PathLike[str]) -> list[str]:
    """Names of the folders in a folder, sorted by code point, hidden and system ones left out.

    Raises:
        UsageError: The folder does not exist or is a file.
    """
    root = Path(folder)
    if not root.exists():
        raise UsageError(f"{root}: no such folder.")
    if not root.is_dir():
        raise UsageError(f"{root}: is a file; a folder of class folders was expected.")
    with os.scandir(root) as entries:
        return sorted(e.name for e in entries if not is_hidden(e.name) and e.is_dir())


def is_split(folder: str | os.PathLike[str]) -> bool:
    """Whether a folder holds parts (``train/ val/ test/``) rather than classes.

    ``train`` is a class (beside ``bus`` and ``car``) if photos lie directly in it and some of
    its neighbours have no name of a part.

    Raises:
        UsageError: The folder does not exist or is a file.
    """
    names = set(sub_folders(folder))
    only_parts = names <= {*PARTS, *VAL_ALIASES}
    if "train" not in names:
        return bool(names) and only_parts
    return only_parts or not _photos_directly_in(os.path.join(folder, "train"))


def class_photos(folder: str | os.PathLike[str]) -> dict[str, list[str]]:
    """The photos of each class of a folder of class folders.

    A photo in a sub-folder of a class folder belongs to the class. Photos outside of a class
    folder are left out with a warning.

    Args:
        folder: Folder that holds a folder for each class.

    Returns:
        Class names, sorted, each with its sorted paths (begun with ``folder`` as it was given);
        a class without a photo has an empty list.

    Raises:
        UsageError: The folder does not exist or is a file.
        DatasetError: It has no class folder, or one whose name cannot be a label.
    """
    names = sub_folders(folder)
    stray = _photos_directly_in(folder)
    if not names:
        found = f"{len(stray)} photos without one" if stray else "nothing to learn from"
        raise DatasetError(
            f"{os.fspath(folder)}: expected a folder for each class, found {found}. "
            "Put the photos of each class into a folder with the name of the class."
        )
    if stray:
        _log.warning(
            "%s: %d photos lie beside the class folders, not in one, and are left out.",
            os.fspath(folder),
            len(stray),
        )
    for name in names:
        check_name(name, folder)
    return {name: find_photos(os.path.join(folder, name)) for name in names}


def training_photos(folder: str | os.PathLike[str]) -> dict[str, list[str]]:
    """:func:`class_photos`, with at least two classes and at least one photo in each.

    Raises:
        UsageError: The folder does not exist or is a file.
        DatasetError: There is too little to tell apart; the message names what is missing.
    """
    photos = class_photos(folder)
    empty = [name for name, paths in photos.items() if not paths]
    if len(empty) == len(photos):
        raise DatasetError(
            f"{os.fspath(folder)}: no photo in any class folder ({listing(empty)}). "
            f"Photos are found by extension: {', '.join(sorted(PHOTO_EXTENSIONS))}."
        )
    if empty:
        raise DatasetError(
            f"{os.fspath(folder)}: no photo of {listing(empty)}. "
            "Add photos to the class folder or remove it."
        )
    if len(photos) == 1:
        raise DatasetError(
            f"{os.fspath(folder)}: only one class, {listing(photos)}. At least two class folders "
            "are needed; add another (for example photos of anything else), or name the folder "
            "that holds the class folders."
        )
    return photos


def listing(names: Iterable[str], limit: int = 8) -> str:
    """Names for a message, quoted, at most ``limit`` of them."""
    quoted = [repr(name) for name in sorted(names)]
    more = f" and {len(quoted) - limit} more" if len(quoted) > limit else ""
    return ", ".join(quoted[:limit]) + more


def _photos_directly_in(folder: str | os.PathLike[str]) -> list[str]:
    with os.scandir(folder) as entries:
        return [
            entry.name
            for entry in entries
            if not is_hidden(entry.name)
            and os.path.splitext(entry.name)[1].lower() in PHOTO_EXTENSIONS
            and not entry.is_dir()
        ]


def check_name(name: str, folder: str | os.PathLike[str]) -> None:
    """Refuse the name of a class folder that cannot be a label.

    Class names go into JSON (UTF-8), into labels.txt (one a line) and into model files.

    Raises:
        DatasetError: It is not UTF-8 text, or has a control character.
    """
    try:
        name.encode("utf-8")
    except UnicodeEncodeError as error:
        raise DatasetError(
            f"{os.fspath(folder)}: the class folder {os.fsencode(name)!r} has a name that is not "
            "UTF-8 text, so it cannot be a label. Rename it."
        ) from error
    if any(ord(character) < 32 or ord(character) == 127 for character in name):
        raise DatasetError(
            f"{os.fspath(folder)}: the class folder {name!r} has a control character (such as a "
            "line feed) in its name, so it cannot be a label. Rename it."
        )
