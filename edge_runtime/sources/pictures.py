"""Pictures in files: one, a folder, a pattern or a numbered sequence, read as photos are."""

from __future__ import annotations

import functools
import os
import re
import time

from ..errors import ImageError, SystemFailure, UsageError, first_line
from .base import BadFrame, Grabbed, Source, SourceLost, SourceSettings
from .grammar import SEQUENCE

_DIGITS = re.compile(r"(\d+)")


class Pictures:
    """The pictures that a source names, each once; see :class:`~edge_runtime.sources.base.Reader`."""

    def __init__(self, paths: list[str], fps: float | None = None) -> None:
        """Begin with the first.

        Args:
            paths: In order.
            fps: How many follow each other in a second; None where that is nobody's business.
        """
        self.fps = fps
        self._paths, self._count, self._closed = paths, 0, False

    def read(self, timeout: float) -> Grabbed | None:
        """The next picture; None behind the last one."""
        del timeout
        if self._closed:
            raise SourceLost("closed.")
        if self._count == len(self._paths):
            return None
        index, self._count = self._count, self._count + 1
        path = self._paths[index]
        seconds = index / self.fps if self.fps else None
        read = functools.partial(_read, path)
        return Grabbed(time.monotonic(), read, index, seconds, path)

    def close(self) -> None:
        """Nothing is held open."""
        self._closed = True


def _read(path: str) -> bytes:
    from ..photos.file import read_photo
    from ..photos.formats import open_photo

    try:
        content = read_photo(path)[0]
        open_photo(content)  # whether it is a picture at all; decoding finds the rest
    except ImageError as error:
        raise BadFrame(f"{path}: {error}") from error
    except Exception as error:  # Pillow's own, of a header that is cut off
        raise BadFrame(f"{path}: {first_line(error)}.") from error
    return content


def find_pictures(address: str) -> list[str]:
    """The files that a source names, in their order.

    Of a folder, all photos below it; of a folder or pattern in the order of the names, numbers in
    them by their value; of a sequence in the order of its numbers, gaps passed over.

    Raises:
        UsageError: There is none.
        SystemFailure: The folder may not be read.
    """
    if os.path.isdir(address):
        return sorted(_below(address), key=natural_order)
    if os.path.exists(address):
        return [address]
    if SEQUENCE.search(os.path.basename(address)):
        return _sequence(address)
    from ..photos.finding import PhotosIn

    return sorted((found.path for found in PhotosIn([address]).known()), key=natural_order)


def _below(folder: str) -> list[str]:
    from ..files import find_photos

    unread: list[OSError] = []
    found = find_photos(folder, unread.append)
    if not found and unread:
        raise SystemFailure(f"{folder}: {unread[0].strerror}. Check its permissions.")
    if not found:
        raise UsageError(f"{folder}: no picture in this folder.")
    return found


def _sequence(address: str) -> list[str]:
    """Files whose names are those of a pattern such as ``frame_%04d.jpg``."""
    folder, name = os.path.split(address)
    before, width, after = SEQUENCE.split(name, maxsplit=1)
    least = int(width or 0)
    filled = r"\d" if width.startswith("0") else r"(?!0\d)\d"
    pattern = re.compile(f"{re.escape(before)}({filled}+){re.escape(after)}")
    try:
        names = os.listdir(folder or ".")
    except OSError as error:
        raise UsageError(f"{folder}: {error.strerror}.") from error
    matches = [match for match in map(pattern.fullmatch, names) if match]
    found = [m for m in matches if len(m[1]) == max(least, len(str(int(m[1]))))]
    if not found:
        raise UsageError(f"{address}: no picture of such a name in {folder or 'this folder'}.")
    return [os.path.join(folder, m[0]) for m in sorted(found, key=lambda m: int(m[1]))]


def natural_order(path: str) -> list[tuple[int, int, str]]:
    """Sort key by which ``frame9`` stands in front of ``frame10``, folder by folder."""
    return [
        (0, int(part), part) if part.isdecimal() else (1, 0, part)
        for name in path.split("/")
        for part in [*_DIGITS.split(name), ""]
    ]


def open_reader(source: Source, settings: SourceSettings) -> Pictures:
    """Find the pictures.

    Raises:
        UsageError: There is none.
        SystemFailure: The folder may not be read.
    """
    return Pictures(find_pictures(source.address), settings.fps)
