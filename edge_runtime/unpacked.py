"""Where zipped bundles lie unpacked: once for each content, in the user's cache.

Beside each folder are two lock files (flock(2)). ``.unpacking`` is held by the one process that
adds something to it, ``.used`` is shared by all that read it, so that it is removed under nobody;
the time of the latter is that of the latest use.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from pathlib import Path
from typing import IO

from .archive import Archive
from .errors import BundleError, SystemFailure, UsageError
from .files import atomic_folder, cache_folder, sha256_tree, system_failures
from .locks import locked
from .manifest import MANIFEST_NAME, Artifact
from .seen import content_digest, remember, stamp

#: Unpacked bundles that are kept; of more, the least recently used go.
KEPT = 8

#: Locks of the folders in use, held until this process ends.
_used: dict[Path, IO[bytes]] = {}

#: Folders for when the cache cannot be written, removed when this process ends.
_temporary: dict[str, tempfile.TemporaryDirectory[str]] = {}


def unpack(path: Path) -> Path:
    """The folder in which a zipped bundle lies unpacked, at first without its artifacts.

    Args:
        path: The zip file.

    Raises:
        BundleError: It is damaged, or holds something forbidden.
        SystemFailure: It cannot be read, or nothing can be written anywhere.
    """
    with system_failures(path):
        digest = content_digest(path)
    folder = cache_folder() / "bundles" / digest
    if folder in _used and folder.is_dir():
        return folder
    if digest in _temporary:
        return Path(_temporary[digest].name)
    try:
        with locked(_beside(folder, "unpacking")):
            if not folder.is_dir():
                with Archive(path) as archive, atomic_folder(folder) as fresh:
                    archive.unpack_base(fresh)
            _used[folder] = locked(_beside(folder, "used"), fcntl.LOCK_SH)
        os.utime(_beside(folder, "used"))
    except (OSError, SystemFailure, UsageError):  # a cache that cannot be written is no obstacle
        return _unpack_temporarily(path, digest)
    _forget_old(folder.parent)
    return folder


def unpack_artifact(path: Path, folder: Path, artifact: Artifact, again: bool = False) -> None:
    """Add one artifact to the folder of :func:`unpack`, unless it is there.

    Args:
        path: The zip file.
        folder: Where it lies unpacked.
        artifact: An entry of its manifest.
        again: Whether to replace what is there.

    Raises:
        BundleError: The zip file is damaged, or was replaced since.
        SystemFailure: The disk is full.
    """
    target = folder / artifact.file
    if target.exists() and not again:
        return
    with system_failures(folder), contextlib.ExitStack() as stack:
        if folder in _used:
            stack.enter_context(locked(_beside(folder, "unpacking")))
        if target.exists() and not again:  # another process was faster
            return
        archive = stack.enter_context(Archive(path))
        name = stack.enter_context(tempfile.TemporaryDirectory(prefix=".new-", dir=folder))
        fresh = Path(name) / "artifact"
        archive.unpack_artifact(artifact, fresh)
        if sha256_tree(fresh) != artifact.sha256:
            raise BundleError(
                f"{path}: {artifact.file}: its SHA-256 is not that of {MANIFEST_NAME}. The file "
                "was altered or damaged; copy the bundle again."
            )
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists():
            os.rename(target, Path(name) / "old")
        os.rename(fresh, target)
        remember(str(target.resolve()), [*stamp(target), artifact.sha256])


def _unpack_temporarily(path: Path, digest: str) -> Path:
    with system_failures(tempfile.gettempdir()), Archive(path) as archive:
        place = tempfile.TemporaryDirectory(prefix="edge-classify-")
        archive.unpack_base(Path(place.name))
    _temporary[digest] = place
    return Path(place.name)


def _forget_old(home: Path) -> None:
    """Remove what was not used for longest and is in use nowhere, beyond :data:`KEPT`."""
    with contextlib.suppress(OSError):
        marks = sorted(home.glob("*.used"), key=lambda mark: mark.stat().st_mtime_ns)
        for mark in marks[:-KEPT]:
            folder = mark.with_suffix("")
            if folder not in _used:
                _forget(folder)


def _forget(folder: Path) -> None:
    now = fcntl.LOCK_EX | fcntl.LOCK_NB
    with (
        contextlib.suppress(BlockingIOError),
        locked(_beside(folder, "unpacking"), now),
        locked(_beside(folder, "used"), now),
    ):
        shutil.rmtree(folder, ignore_errors=True)
        for mark in ("used", "unpacking"):
            _beside(folder, mark).unlink()


def _beside(folder: Path, mark: str) -> Path:
    return folder.with_name(f"{folder.name}.{mark}")
