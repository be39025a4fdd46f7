"""Files and folders: finding photos, checksums, and outputs that are whole or absent.

Every output of the toolkit is written beside its final place and renamed into it,
so that a killed process never leaves a half-written file under the final name.

Hashing and writing import what they need themselves: classifying a photo does neither.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from .errors import OutputExists, SystemFailure, UsageError

if TYPE_CHECKING:
    from pathlib import Path

#: Extensions that a folder is searched for. A file named on the command line is
#: opened whatever its extension says.
PHOTO_EXTENSIONS = frozenset(
    {".avif", ".bmp", ".gif", ".heic", ".heif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}
)

_CHUNK = 1 << 20


def is_hidden(name: str) -> bool:
    """Whether a file or folder name is hidden or a system file (``.x``, ``__MACOSX``)."""
    return name.startswith(".") or name in {"__MACOSX", "@eaDir"}


def find_photos(
    folder: str | os.PathLike[str], unreadable: Callable[[OSError], None] | None = None
) -> list[str]:
    """Photos below a folder, recursively, by extension, hidden ones left out.

    Args:
        folder: Folder to search.
        unreadable: Is told of each folder that cannot be read; None passes over it.

    Returns:
        Paths that begin with ``folder`` as it was given, sorted.
    """
    found = []
    for parent, folders, names in os.walk(os.fspath(folder), onerror=unreadable):
        folders[:] = [name for name in folders if not is_hidden(name)]
        found += [
            os.path.join(parent, name)
            for name in names
            if not is_hidden(name) and os.path.splitext(name)[1].lower() in PHOTO_EXTENSIONS
        ]
    return sorted(found)


def cache_folder() -> Path:
    """Where what can be made again is kept between runs.

    The folder that ``EDGE_CLASSIFY_CACHE`` names, else ``edge-classify`` in the user's cache
    (XDG Base Directory Specification: ``$XDG_CACHE_HOME``, else ``~/.cache``).
    """
    from pathlib import Path

    return Path(cache_path())


def cache_path() -> str:
    """:func:`cache_folder`, for what every start asks."""
    own = os.environ.get("EDGE_CLASSIFY_CACHE")
    if own:
        return own
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(cache, "edge-classify")


def sha256_file(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file, as 64 hexadecimal digits."""
    import hashlib

    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def files_below(path: str | os.PathLike[str]) -> list[Path]:
    """All files of a folder, sorted."""
    from pathlib import Path

    return sorted(file for file in Path(path).rglob("*") if file.is_file())


def sha256_tree(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file, or of a folder's names and contents.

    A folder's digest is that of one line a file, in sorted order: the relative path with
    forward slashes, a blank, the file's digest, a line feed.
    """
    import hashlib

    if os.path.isfile(path):
        return sha256_file(path)
    digest = hashlib.sha256()
    for file in files_below(path):
        digest.update(f"{file.relative_to(path).as_posix()} {sha256_file(file)}\n".encode())
    return digest.hexdigest()


def size_of(path: str | os.PathLike[str]) -> int:
    """Size of a file, or of all files of a folder, in bytes."""
    if os.path.isfile(path):
        return os.stat(path).st_size
    return sum(file.stat().st_size for file in files_below(path))


def refuse_existing(path: str | os.PathLike[str], overwrite: bool) -> None:
    """Raise OutputExists if ``path`` is there (an empty folder is not) and must stay.

    Call it before long work; :func:`atomic_folder` and :func:`atomic_file` check again.
    """
    if overwrite or not os.path.lexists(path):
        return
    if os.path.isdir(path) and not os.listdir(path):
        return
    raise OutputExists(
        f"{os.fspath(path)} exists already and was left as it is. "
        "Choose another name, or replace it with --overwrite."
    )


def refuse_other(path: str | os.PathLike[str], own: bool, what: str) -> None:
    """Raise UsageError if a folder that is not ours would be replaced, which nobody wants to lose.

    Args:
        path: What would be replaced; an empty folder may be.
        own: Whether it is what would be written.
        what: Name of that.
    """
    if not own and os.path.isdir(path) and os.listdir(path):
        raise UsageError(
            f"{os.fspath(path)}: is no {what}, so --overwrite does not replace it. Choose another "
            "name, or remove it yourself."
        )


def refuse_overlap(
    path: str | os.PathLike[str], other: str | os.PathLike[str], message: str
) -> None:
    """Raise UsageError with ``message`` if one path is the other, or lies inside it; links count."""
    from pathlib import Path

    first, second = Path(path).resolve(), Path(other).resolve()
    if first.is_relative_to(second) or second.is_relative_to(first):
        raise UsageError(message)


@contextlib.contextmanager
def system_failures(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn the operating system's refusals while writing ``path`` into SystemFailure."""
    try:
        yield
    except (FileExistsError, NotADirectoryError) as error:
        raise UsageError(f"{path}: {error.filename or 'its parent'} is not a folder.") from error
    except (PermissionError, BlockingIOError) as error:
        raise SystemFailure(f"{path}: {error.strerror or error}. Check its permissions.") from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG, errno.EIO):
            raise SystemFailure(
                f"{path}: {error.strerror}. Free some space or write elsewhere."
            ) from error
        if error.errno in (errno.ENOENT, errno.ENAMETOOLONG) and _belongs_to(error.filename, path):
            raise SystemFailure(
                f"{path}: cannot be made there ({error.strerror}). Choose another place."
            ) from error
        raise


def _belongs_to(file: object, path: str | os.PathLike[str]) -> bool:
    """Whether a file of an error is an output, its folder, or a part of it beside its place."""
    if not isinstance(file, (str, bytes, os.PathLike)):
        return False
    from pathlib import Path

    wanted, found = Path(os.path.abspath(path)), Path(os.path.abspath(os.fsdecode(file)))
    return found in (wanted, *wanted.parents) or found.parent in (wanted, wanted.parent)


@contextlib.contextmanager
def atomic_file(path: str | os.PathLike[str], overwrite: bool = True) -> Iterator[Path]:
    """A temporary path beside ``path`` that becomes ``path`` when the block succeeds.

    Args:
        path: Final place; missing parent folders are made.
        overwrite: Whether an existing file may be replaced.

    Yields:
        The path to write, with the same suffix as ``path``.

    Raises:
        OutputExists: ``path`` exists and ``overwrite`` is false.
        UsageError: ``path`` is a folder.
        SystemFailure: Disk full or no permission.
    """
    import tempfile
    from pathlib import Path

    target = Path(path)
    if os.path.isdir(target):
        raise UsageError(f"{target} is a folder; a file name was expected.")
    refuse_existing(target, overwrite)
    with system_failures(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        stem = target.stem[:40]  # a name that just fits has no room for more
        handle, name = tempfile.mkstemp(prefix=f".{stem}.", suffix=target.suffix, dir=target.parent)
        os.close(handle)
        temporary = Path(name)
        try:
            yield temporary
            temporary.chmod(0o666 & ~_umask())
            os.replace(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_folder(path: str | os.PathLike[str], overwrite: bool = False) -> Iterator[Path]:
    """A temporary folder beside ``path`` that becomes ``path`` when the block succeeds.

    What stood at ``path`` stays untouched until then; on any error, Ctrl-C included,
    the temporary folder is removed.

    Args:
        path: Final place; missing parent folders are made.
        overwrite: Whether an existing folder may be replaced as a whole.

    Yields:
        The folder to fill.

    Raises:
        OutputExists: ``path`` exists and ``overwrite`` is false.
        SystemFailure: Disk full or no permission.
    """
    import shutil
    import tempfile
    from pathlib import Path

    target = Path(path)
    if target.exists() and not target.is_dir():
        raise UsageError(f"{target} is a file; a folder was expected.")
    refuse_existing(target, overwrite)
    with system_failures(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
        try:
            temporary.chmod(0o777 & ~_umask())
            yield temporary
            refuse_existing(target, overwrite)
            replace_folder(temporary, target)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def replace_folder(new: Path, target: Path) -> None:
    """Move the folder ``new`` to ``target``; what stood there goes only once ``new`` is in place."""
    import shutil
    import tempfile
    from pathlib import Path

    if not target.exists():
        os.rename(new, target)
        return
    if target.is_symlink():
        target = target.resolve()
    aside = Path(tempfile.mkdtemp(prefix=f".{target.name}.old.", dir=target.parent))
    os.rename(target, aside / target.name)
    try:
        os.rename(new, target)
    except OSError:
        os.rename(aside / target.name, target)
        raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
