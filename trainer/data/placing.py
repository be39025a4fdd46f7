"""A photo at a second place: as a copy, as a second name of the file, or as a link to it."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import Literal

from edge_runtime.errors import DatasetError, SystemFailure, UsageError

#: How a photo gets to its second place.
Link = Literal["copy", "hard", "symlink"]


def place_photo(path: str, target: Path, link: Link) -> None:
    """Copy or link a photo.

    Args:
        path: The photo.
        target: Where it goes; missing folders are made.
        link: ``copy``; ``hard`` for a second name of the file; ``symlink`` for a link to the
            photo's absolute path, which holds wherever the link is moved.

    Raises:
        DatasetError: It is no regular file.
        UsageError: Hard links are not possible here.
        SystemFailure: No permission.
    """
    if not os.path.isfile(path):
        raise DatasetError(f"{path}: not a regular file, or a link to nothing. Remove it.")
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        if link == "symlink":
            os.symlink(os.path.abspath(path), target)
        elif link == "hard":
            _link(path, target)
        else:
            shutil.copy2(path, target)
    except PermissionError as error:
        raise SystemFailure(
            f"{error.filename}: {error.strerror}. Check its permissions."
        ) from error


def _link(path: str, target: Path) -> None:
    try:
        os.link(os.path.realpath(path), target)  # a link to a link is not what is wanted
    except OSError as error:
        if error.errno == errno.EXDEV:
            why = "the source and the destination lie on different file systems"
        elif error.errno in (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK):
            why = f"the file system or its owner refuses them ({error.strerror})"
        else:
            raise
        raise UsageError(
            f"{path}: hard links are not possible here, {why}. Use --link copy or --link symlink."
        ) from error
