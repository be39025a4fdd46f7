"""Copy and move a file to a name that is free, so that a kill leaves it whole and nothing is lost.

A new name appears only with its whole content, and never in place of another file: link(2) makes a
name or fails. Where the file system has no hard links (FAT on a memory card), an empty file takes
the name first, and only that one is replaced.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
from collections.abc import Iterator

from ..errors import DataError

_CHUNK = 1 << 20

#: What link(2) answers where there are no hard links, or not to this file.
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}


def move_file(source: str, target: str, part: str) -> None:
    """Move a file; across file systems it is copied, verified, and removed last.

    A symbolic link is made anew: what it pointed to it still points to.

    Args:
        source: A file, or a link to one.
        target: Its new name.
        part: A name beside ``target`` for what is not whole yet.

    Raises:
        FileExistsError: ``target`` is taken.
        DataError: It changed while it was copied.
        OSError: The system refused; the file is where it was.
    """
    if os.path.islink(source):
        os.symlink(_absolute_link(source), target)
    else:
        try:
            give_name(source, target, keep=True)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            copy_file(source, target, part, verify=True)
            sync_folder(os.path.dirname(target))
    _remove_or_undo(source, target)


def copy_file(source: str, target: str, part: str, verify: bool = False) -> str:
    """Copy a file with its times and mode.

    Args:
        source: A file, or a link to one, whose content is copied.
        target: Its name.
        part: A name beside ``target`` for what is not whole yet; none is left of it.
        verify: Read the copy once more and compare.

    Returns:
        SHA-256 of the content.

    Raises:
        FileExistsError: ``target`` is taken.
        DataError: It changed meanwhile, or the copy is not what was written.
        OSError: The system refused; nothing is left.
    """
    try:
        digest = _copied(source, part)
        if verify and _digest(part) != digest:
            raise DataError(f"{source}: the copy differs from it. Check the disk of {target}.")
        give_name(part, target, keep=False)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(part)
    return digest


def give_name(file: str, target: str, keep: bool) -> None:
    """Give a file another name, unless that is taken.

    Args:
        file: A regular file.
        target: The new name, on the same file system.
        keep: Whether the old one stays as well where hard links allow it.

    Raises:
        FileExistsError: ``target`` is taken.
    """
    try:
        os.link(file, target)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if os.stat(file).st_dev != os.stat(os.path.dirname(target) or ".").st_dev:
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV)) from error
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        try:
            os.replace(file, target)
        except OSError:
            os.unlink(target)
            raise
    else:
        if not keep:
            os.unlink(file)


def same_bytes(first: str, second: str) -> bool:
    """Whether two files hold the same; False where one cannot be read."""
    try:
        if os.path.getsize(first) != os.path.getsize(second):
            return False
        with open(first, "rb") as one, open(second, "rb") as other:
            while chunk := one.read(_CHUNK):
                if chunk != other.read(_CHUNK):
                    return False
    except OSError:
        return False
    return True


def sync_folder(folder: str) -> None:
    """Have a folder's names on the disk, as far as its file system can."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


#: Bytes of a name that leave room for an ending and a number: file systems allow 255.
_LONGEST = 230


def shortened(name: str) -> str:
    """A name that an ending and a number can be put behind, cut where it is too long for that."""
    while len(os.fsencode(name)) > _LONGEST:
        name = name[:-1]
    return name


def numbered(path: str) -> Iterator[str]:
    """The path, then with numbers in front of its extension: ``a.jpg``, ``a-2.jpg``, ..."""
    yield path
    stem, extension = os.path.splitext(path)
    number = 2
    while True:
        yield f"{stem}-{number}{extension}"
        number += 1


def _absolute_link(link: str) -> str:
    return os.path.join(os.path.realpath(os.path.dirname(link) or "."), os.readlink(link))


def _remove_or_undo(source: str, target: str) -> None:
    """End a move; where the old name cannot go, the new one does."""
    try:
        os.unlink(source)
    except FileNotFoundError:
        if not os.path.lexists(target):
            raise
    except OSError:
        os.unlink(target)
        raise


def _copied(source: str, part: str) -> str:
    digest = hashlib.sha256()
    with open(source, "rb") as original, open(part, "xb") as copy:
        before = os.fstat(original.fileno())
        while chunk := original.read(_CHUNK):
            digest.update(chunk)
            copy.write(chunk)
        copy.flush()
        os.fsync(copy.fileno())
        after = os.fstat(original.fileno())
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise DataError(f"{source}: was changed while it was copied.")
    with contextlib.suppress(OSError):  # a file system without them, such as FAT
        shutil.copymode(source, part)
    os.utime(part, ns=(before.st_atime_ns, before.st_mtime_ns))
    return digest.hexdigest()


def _digest(path: str) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
