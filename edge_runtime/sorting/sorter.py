"""Sort photos into a folder per label."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import unicodedata
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import DataError, SystemFailure, UsageError
from ..files import system_failures
from .log import SortLog
from .moving import copy_file, move_file, numbered, same_bytes

if TYPE_CHECKING:
    from ..prediction import Prediction

UNKNOWN = "unknown"

#: Bytes of a folder's name; file systems take 255.
_LONGEST = 120

#: Not allowed on Windows and FAT, or special to a shell's user.
_FORBIDDEN = frozenset('/\\:*?"<>|')

#: Numbers up to which a file of the same content is looked for.
_COMPARED = 100


class Sorter:
    """Copies or moves photos into the folders of their labels; never overwrites.

    Attributes:
        placed: Photos that were copied or moved.
        same: Photos that were there already, with the same bytes, and were left where they are.
        log: What :func:`edge_runtime.sorting.undoing.undo` reads.
    """

    def __init__(self, folder: str, labels: Sequence[str], move: bool) -> None:
        """Name the folders.

        Args:
            folder: Where they will be; made with the first photo.
            labels: All class names, in index order.
            move: Whether photos are moved, not copied.

        Raises:
            UsageError: Something that is no folder has one of the names.
        """
        self._folder, self._move = folder, move
        *names, unknown = folder_names([*labels, UNKNOWN])
        self._labels = [os.path.join(folder, name) for name in names]
        self._unknown = os.path.join(folder, unknown)
        for path in (folder, *self._labels, self._unknown):
            if os.path.lexists(path) and not os.path.isdir(path):
                raise UsageError(f"{path}: is no folder, and photos would be sorted into it.")
        self.log = SortLog(folder)
        self.placed = self.same = 0

    def place(self, prediction: Prediction) -> str | None:
        """Copy or move a classified photo.

        Args:
            prediction: Of a file; one with an ``error`` stays where it is.

        Returns:
            Where it is now; None if it stayed, because it could not be read.

        Raises:
            DataError: It vanished or changed meanwhile; the others can go on.
            SystemFailure: Disk full or no permission; the photo is where it was.
        """
        if prediction.error is not None or prediction.index is None:
            return None
        folder = self._unknown if prediction.unknown else self._labels[prediction.index]
        source = prediction.path
        with _uninterrupted(), system_failures(self._folder):
            try:
                self._make(folder)
                return self._place(source, os.path.join(folder, os.path.basename(source)))
            except FileNotFoundError as error:
                if os.path.lexists(source) and os.path.exists(source):
                    raise
                raise DataError(f"{source}: vanished before it was sorted.") from error
            except PermissionError as error:
                place = error.filename2 or error.filename or self._folder
                raise SystemFailure(
                    f"{place}: {error.strerror}. {source} stays where it is; check the permissions."
                ) from error

    def close(self) -> None:
        """Close the log."""
        self.log.close()

    def _make(self, folder: str) -> None:
        if os.path.isdir(folder):
            return
        os.makedirs(self._folder, exist_ok=True)
        self.log.making(folder)
        os.mkdir(folder)

    def _place(self, source: str, target: str) -> str:
        os.stat(source)
        candidates = _candidates(target)
        while True:
            candidate = next(candidates)
            if os.path.lexists(candidate):
                if _is_same(source, candidate):
                    self.same += 1
                    return candidate
            elif self._act(source, candidate):
                self.placed += 1
                return candidate

    def _act(self, source: str, target: str) -> bool:
        """Do it; False if the name was taken meanwhile."""
        folder, name = os.path.split(target)
        part = os.path.join(folder, f".{name[:60]}.{os.urandom(4).hex()}.part")
        more: dict[str, Any] = {}
        if self._move and os.path.islink(source):
            more["link"] = os.readlink(source)
        number = self.log.begin("move" if self._move else "copy", source, target, part, **more)
        digest = None
        try:
            if self._move:
                move_file(source, target, part)
            else:
                digest = copy_file(source, target, part)
        except BaseException as error:
            with contextlib.suppress(Exception):  # the disk may be full: undo copes without
                self.log.end(number, done=False)
            if isinstance(error, FileExistsError):
                return False
            raise
        self.log.end(number, done=True, sha256=digest)
        return True


def folder_names(labels: Sequence[str]) -> list[str]:
    """A folder name for each label: safe on every file system, and no two equal.

    Separators, controls and what Windows refuses become ``_``; neither a dot at the beginning nor
    a dot or blank at the end stays. Labels whose names would be equal, also where the case does not
    count, get their index behind them, but for the last one.

    Args:
        labels: In index order; the last one keeps its name.
    """
    names = [_safe(label) for label in labels]
    last = _key(names[-1])
    seen: dict[str, int] = {}
    for name in names:
        seen[_key(name)] = seen.get(_key(name), 0) + 1
    result = []
    for index, name in enumerate(names[:-1]):
        doubled = seen[_key(name)] > 1 or _key(name) == last
        result.append(f"{name} ({index})" if doubled else name)
    return [*result, names[-1]]


def _safe(label: str) -> str:
    text = unicodedata.normalize("NFC", label)
    text = "".join(c if c.isprintable() and c not in _FORBIDDEN else "_" for c in text)
    text = text.encode("utf-8", "replace")[:_LONGEST].decode("utf-8", "ignore")
    text = text.strip().rstrip(". ")
    text = f"_{text[1:]}" if text.startswith(".") else text
    return text or "_"


def _key(name: str) -> str:
    return name.casefold()


def _candidates(target: str) -> Iterator[str]:
    """Names for a photo: the first hundred one after the other, then steps that grow.

    A camera that writes the same name for months must not make each photo a search through all.
    """
    names = numbered(target)
    yield from itertools.islice(names, _COMPARED)
    stem, extension = os.path.splitext(target)
    low, high = _COMPARED, 2 * _COMPARED
    while os.path.lexists(f"{stem}-{high}{extension}"):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        taken = os.path.lexists(f"{stem}-{middle}{extension}")
        low, high = (middle, high) if taken else (low, middle)
    while True:
        yield f"{stem}-{high}{extension}"
        high += 1


def _is_same(source: str, target: str) -> bool:
    try:
        return os.path.samefile(source, target) or same_bytes(source, target)
    except OSError:  # a link to nowhere has the name
        return False


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Ctrl-C and SIGTERM wait until the photo is at its place."""
    waiting: list[int] = []
    kept: dict[int, Any] = {}
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            kept[number] = signal.signal(number, lambda got, _: waiting.append(got))
    except ValueError:  # not the main thread, which no signal interrupts
        yield
        return
    try:
        yield
    finally:
        for caught, handler in kept.items():
            signal.signal(caught, handler)
        for caught in waiting:
            signal.raise_signal(caught)
