"""A bundle as one file, in the form that :mod:`edge_runtime.archive` accepts.

The same bundle gives the same bytes on any machine: files lie at the top in sorted order, dated
1980, and are stored. Deflated bytes would depend on the machine's zlib, and save only 7 % of float32
weights, 18 % of int8.
"""

from __future__ import annotations

import os
import shutil
import stat
import zipfile
from pathlib import Path

from edge_runtime.archive import Archive
from edge_runtime.manifest import MANIFEST_NAME

#: The earliest that a zip file can say.
_DATE = (1980, 1, 1, 0, 0, 0)

_UNIX = 3  #: in the field that says who made a member, so that its mode means something
_MODE = stat.S_IFREG | 0o644

_CHUNK = 1 << 20


def write_zip(folder: Path, file: Path) -> None:
    """Write a bundle's folder to a zip file, and check that the runtime takes it.

    Args:
        folder: The bundle.
        file: File to write.

    Raises:
        BundleError: The bundle is larger than a zipped one may be.
    """
    members = sorted(path for path in folder.rglob("*") if path.is_file())
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for path in members:
            entry = zipfile.ZipInfo(path.relative_to(folder).as_posix(), _DATE)
            entry.create_system, entry.external_attr = _UNIX, _MODE << 16
            entry.file_size = os.path.getsize(path)  # chooses between zip and zip64
            with open(path, "rb") as source, archive.open(entry, "w") as target:
                shutil.copyfileobj(source, target, _CHUNK)
    with Archive(file):
        pass


def is_zipped_bundle(file: Path) -> bool:
    """Whether a file is the zip of a bundle, whatever its version; only then may it be replaced."""
    try:
        with zipfile.ZipFile(file) as archive:
            return any(name.rpartition("/")[2] == MANIFEST_NAME for name in archive.namelist())
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError):
        return False
