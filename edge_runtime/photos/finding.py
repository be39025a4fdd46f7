"""The photos that a command line names: files, folders, patterns, a list on standard input."""

from __future__ import annotations

import io
import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import cast

from ..errors import SystemFailure, UsageError
from ..files import PHOTO_EXTENSIONS, find_photos

_log = logging.getLogger("edge_runtime")

#: Bytes of a list that are taken at once: some hundred paths. What a slow writer has written so
#: far is classified without waiting for more.
_CHUNK = 1 << 16

#: Stands for the list on standard input; a file of this name is ``./-``.
STDIN = "-"


class Found:
    """A photo to classify.

    Attributes:
        path: As it was typed, joined with the file below it.
        below: Its place below the folder that was named, for outputs that mirror it.
    """

    __slots__ = ("below", "path")  # generated classes cost a millisecond of every start

    def __init__(self, path: str, below: str) -> None:
        """See the class."""
        self.path, self.below = path, below


class PhotosIn:
    """What the arguments name, in their order.

    Attributes:
        total: How many photos there are; None while a list is read from standard input.
        unread: Folders that could not be read.
    """

    def __init__(
        self,
        paths: Sequence[str],
        nul: bool = False,
        sorted_into: str | None = None,
        heatmaps: str | None = None,
    ) -> None:
        """Search folders and patterns.

        Args:
            paths: Files as they are; folders, recursively and sorted; patterns; ``-``.
            nul: Whether the list on standard input ends its paths with NUL, not line feeds.
            sorted_into: Folder that photos are sorted into. A search that began above it leaves it
                out; one that begins in it sorts it anew.
            heatmaps: Folder of heat maps, which are no photos: none is classified.

        Raises:
            UsageError: A path does not exist, a folder or pattern finds nothing, two lists, or
                photos are looked for among the heat maps.
            SystemFailure: A folder that was named may not be read.
        """
        if paths.count(STDIN) > 1:
            raise UsageError("- stands for one list on standard input; it was given twice.")
        self._nul = nul
        self._outputs = Outputs(sorted_into, heatmaps)
        self.unread: list[str] = []
        self._groups = [None if path == STDIN else self._named(path) for path in paths]
        counts = [None if group is None else len(group) for group in self._groups]
        self.total = None if None in counts else sum(count or 0 for count in counts)

    def groups(self) -> Iterator[list[Found]]:
        """Photos in order; those of a list as they arrive, the others all at once."""
        known: list[Found] = []
        for group in self._groups:
            if group is not None:
                known += group
                continue
            if known:
                yield known
            known = []
            yield from self._listed()
        if known:
            yield known

    def known(self) -> list[Found]:
        """All photos but those of a list on standard input."""
        return [found for group in self._groups for found in group or ()]

    def _named(self, path: str) -> list[Found]:
        if os.path.isdir(path):
            found = self._below(path)
            if not found:
                if path in self.unread:
                    raise SystemFailure(f"{path}: permission denied. Check its permissions.")
                raise UsageError(
                    f"{path}: no photo in this folder "
                    f"(looked for {', '.join(sorted(PHOTO_EXTENSIONS))})."
                )
            return found
        # A name with wildcards may be a file's own; it is one where it exists.
        if os.path.lexists(path):
            return [Found(path, os.path.basename(path))]
        from .patterns import has_magic

        if has_magic(path):
            return self._matching(path)
        raise UsageError(f"{path}: no such file or folder.")

    def _below(self, folder: str) -> list[Found]:
        def note(error: OSError) -> None:
            self.unread.append(str(error.filename))
            _log.warning("%s: left out, it cannot be read (%s).", error.filename, error.strerror)

        found = self._outputs.left_out(find_photos(folder, note), folder)
        return [Found(path, os.path.relpath(path, folder)) for path in found]

    def _matching(self, pattern: str) -> list[Found]:
        """A pattern without an extension of its own finds photos, as a folder does."""
        from .patterns import has_magic, literal_root, matches

        extension = os.path.splitext(pattern)[1]
        photos_only = not extension or has_magic(extension)
        root = literal_root(pattern)
        found: dict[str, Found] = {}
        for path in self._outputs.left_out(matches(pattern), root or "."):
            if os.path.isdir(path):
                inside = [(f.path, os.path.relpath(f.path, root or ".")) for f in self._below(path)]
            elif photos_only and os.path.splitext(path)[1].lower() not in PHOTO_EXTENSIONS:
                continue
            else:
                inside = [(path, os.path.relpath(path, root or "."))]
            found.update({path: Found(path, below) for path, below in inside})
        if not found:
            raise UsageError(f"{pattern}: no photo matches this pattern.")
        return [found[path] for path in sorted(found)]

    def _listed(self) -> Iterator[list[Found]]:
        """Photos of a list; what does not exist stays in it, and becomes an error of its own."""
        empty = True
        for paths in read_list(_standard_input(), b"\0" if self._nul else b"\n"):
            empty = False
            group: list[Found] = []
            for path in paths:
                if os.path.isdir(path):
                    group += self._below(path) or [Found(path, os.path.basename(path))]
                elif not self._outputs.is_heatmap(path):
                    group.append(Found(path, os.path.basename(path)))
            if group:
                yield group
        if empty:
            _log.warning("the list on standard input is empty: nothing to do.")


class Outputs:
    """The folders that a run writes to, which it must not take for its input."""

    def __init__(self, sorted_into: str | None, heatmaps: str | None) -> None:
        """Remember the folders; None for those that are not written."""
        self._heatmaps = None if heatmaps is None else os.path.realpath(heatmaps)
        sorting = None if sorted_into is None else os.path.realpath(sorted_into)
        self._all = [folder for folder in (sorting, self._heatmaps) if folder is not None]

    def left_out(self, paths: list[str], searched: str) -> list[str]:
        """The paths without those in an output folder that lies in the folder that was searched.

        Raises:
            UsageError: The folder that was searched lies in that of the heat maps.
        """
        if not self._all:
            return paths
        root = os.path.realpath(searched)
        if self._heatmaps is not None and is_inside(root, self._heatmaps):
            raise UsageError(
                f"--heatmap {self._heatmaps}: photos are looked for in {searched}, and heat maps "
                "would be taken for some. Choose a folder beside or below it."
            )
        inside = [folder for folder in self._all if folder != root and is_inside(folder, root)]
        if not inside:
            return paths
        return [path for path in paths if not _lies_in(path, inside)]

    def is_heatmap(self, path: str) -> bool:
        """Whether a path lies in the folder of the heat maps."""
        return self._heatmaps is not None and _lies_in(path, [self._heatmaps])


def _lies_in(path: str, folders: list[str]) -> bool:
    place = os.path.realpath(os.path.dirname(path) or ".")
    return any(is_inside(place, folder) for folder in folders)


def is_inside(path: str, folder: str) -> bool:
    """Whether a path is a folder or lies below it; both as ``realpath`` gives them."""
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def read_list(read: Callable[[int], bytes], end: bytes) -> Iterator[list[str]]:
    """Paths of a list, as many at a time as have been written.

    Args:
        read: Gives at most so many bytes, at least one; none at the end.
        end: The byte behind each path; the last one may lack it. Empty paths are skipped.
    """
    rest = b""
    while chunk := read(_CHUNK):
        *whole, rest = (rest + chunk).split(end)
        paths = [os.fsdecode(path) for path in whole if path]
        if paths:
            yield paths
    if rest:
        yield [os.fsdecode(rest)]


def _standard_input() -> Callable[[int], bytes]:
    if sys.stdin is None:
        raise UsageError("- reads a list from standard input, which is closed.")
    # read1, unlike read, gives what is there; typeshed does not know that the buffer has it.
    return cast(io.BufferedReader, sys.stdin.buffer).read1
