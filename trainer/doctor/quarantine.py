"""Photos moved aside, never deleted, and moved back.

A quarantine is a folder with the files at their place relative to the data set, and a log,
``quarantine.jsonl``: a header line, then a line for each move, on the disk before the file moves.
Whatever moment a run is killed at, each file is whole at its old place or at its new one (or, where
the two lie on different file systems, for a moment at both), and the log knows both. Undoing looks
at what lies where, so that it may itself be killed and repeated.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_runtime.errors import DataError, InputsFailed, OutputExists, UsageError
from edge_runtime.files import refuse_overlap, sha256_file, system_failures

from .findings import Finding

#: Name of the log in a quarantine.
LOG = "quarantine.jsonl"

_VERSION = 1


@dataclass(frozen=True)
class Move:
    """A file that was moved: paths as they are typed, and why."""

    source: str
    target: str
    kind: str

    def as_dict(self) -> dict[str, str]:
        """For JSON."""
        return {"path": self.source, "moved_to": self.target, "kind": self.kind}


def movable(findings: Iterable[Finding], kinds: Sequence[str] = ()) -> dict[str, str]:
    """What a quarantine would take: path to kind.

    Args:
        findings: What was found; of errors every movable path is taken.
        kinds: Names of further kinds whose paths are taken.
    """
    taken: dict[str, str] = {}
    for found in findings:
        if found.severity == "error" or found.kind in kinds:
            for path in found.movable:
                taken.setdefault(path, found.kind)
    return taken


def check_place(folder: str | os.PathLike[str], data: str | os.PathLike[str]) -> None:
    """Refuse a quarantine that cannot be written; call it before long work.

    Raises:
        UsageError: It overlaps the data set, or belongs to another one.
        OutputExists: It is a folder with other things in it.
    """
    refuse_overlap(
        folder,
        data,
        f"{os.fspath(folder)}: a quarantine may neither be the data set {os.fspath(data)} nor lie "
        "inside or around it. Choose a folder beside it.",
    )
    place, root = Path(folder).resolve(), Path(data).resolve()
    if not place.exists():
        return
    if not place.is_dir():
        raise UsageError(f"{os.fspath(folder)}: is a file; a folder was expected.")
    if not (place / LOG).exists():
        if any(place.iterdir()):
            raise OutputExists(
                f"{os.fspath(folder)}: exists, and is no quarantine ({LOG} is not in it). "
                "Choose another folder; nothing was moved."
            )
        return
    header, _ = _read_log(place)
    if header["data"] != os.fspath(root):
        raise UsageError(
            f"{os.fspath(folder)}: is the quarantine of {header['data']}. "
            "Choose another folder; nothing was moved."
        )


def quarantine(
    data: str | os.PathLike[str], folder: str | os.PathLike[str], paths: dict[str, str]
) -> list[Move]:
    """Move files of a data set into a quarantine, a new one or one that it has already.

    Args:
        data: The data set.
        folder: The quarantine.
        paths: Path (begun with ``data``) to kind of finding, see :func:`movable`.

    Returns:
        The moves, in order. A file that is gone already is left out.

    Raises:
        UsageError: The quarantine overlaps the data set, or belongs to another one.
        OutputExists: It is a folder with other things in it.
        SystemFailure: Disk full or no permission; what was moved until then is in the log.
    """
    check_place(folder, data)
    moves = []
    with system_failures(folder), _open_log(Path(folder), Path(data).resolve()) as log:
        for path, kind in paths.items():
            if not os.path.lexists(path):
                continue
            place = os.path.relpath(path, data)
            target = _free(os.path.join(folder, place))
            line = {"from": place, "to": os.path.relpath(target, folder), "kind": kind}
            _write_line(log, line)
            with system_failures(path):
                _move(path, target)
            moves.append(Move(path, target, kind))
    return moves


def undo(
    folder: str | os.PathLike[str], data: str | os.PathLike[str] | None = None
) -> tuple[list[Move], list[tuple[str, str]]]:
    """Move the files of a quarantine back; may be repeated.

    Args:
        folder: The quarantine; its log stays.
        data: Where the data set lies now; None for where it lay.

    Returns:
        The moves back (``target`` is where the file lies again), and path and reason of each file
        that stays in the quarantine, because another one lies at its place.

    Raises:
        UsageError: No quarantine.
        DataError: The log is damaged.
        SystemFailure: Disk full or no permission.
    """
    place = Path(folder)
    if not (place / LOG).is_file():
        raise UsageError(
            f"{os.fspath(folder)}: no quarantine ({LOG} is not in it). "
            "Name the folder that --quarantine was given."
        )
    header, lines = _read_log(place)
    root = header["data"] if data is None else os.fspath(data)
    if not os.path.isdir(root):
        raise UsageError(f"{root}: no such folder. Name where the data set lies now.")
    back, stay = [], []
    with system_failures(root):
        # Last first: of two files from one place the later one was there last.
        for line in reversed(lines):
            source, target = os.path.join(root, line["from"]), os.path.join(folder, line["to"])
            with contextlib.suppress(FileNotFoundError):
                os.unlink(_unfinished(target))
            if not os.path.lexists(target):
                continue
            if not os.path.lexists(source):
                _move(target, source)
                back.append(Move(target, source, line["kind"]))
            elif _same_file(source, target):  # killed between a copy and the end of its original
                os.unlink(target)
            else:
                stay.append((target, f"another file lies at {source}"))
    _remove_empty(place)
    return back[::-1], stay[::-1]


def require_all(stay: Sequence[tuple[str, str]]) -> None:
    """Raise InputsFailed if files stayed in a quarantine."""
    if stay:
        shown = "\n".join(f"  {path}: {reason}" for path, reason in stay[:5])
        raise InputsFailed(
            f"{len(stay)} files stay in the quarantine, nothing is overwritten. "
            f"Move the other files away and undo again:\n{shown}"
        )


@contextlib.contextmanager
def _open_log(folder: Path, data: Path) -> Iterator[int]:
    """The log, open for appending, with its header; an unfinished last line is cut off."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / LOG
    whole = path.read_bytes().rfind(b"\n") + 1 if path.exists() else 0
    log = os.open(path, os.O_WRONLY | os.O_CREAT, 0o666)
    try:
        os.truncate(path, whole)
        os.lseek(log, whole, os.SEEK_SET)
        if not whole:
            _write_line(log, {"quarantine": _VERSION, "data": os.fspath(data)})
            _sync_folder(folder)
        yield log
    finally:
        os.close(log)


def _write_line(log: int, line: dict[str, Any]) -> None:
    os.write(log, json.dumps(line).encode() + b"\n")
    os.fsync(log)


def _read_log(folder: Path) -> tuple[dict[str, Any], list[dict[str, str]]]:
    """Header and moves; a last line without its end was never followed by a move."""
    path = folder / LOG
    try:
        header, *lines = [json.loads(line) for line in path.read_bytes().split(b"\n")[:-1]]
        if header["quarantine"] != _VERSION:
            raise DataError(f"{path}: written by another version. Use that one.")
        for line in lines:
            for place in (line["from"], line["to"]):
                if os.path.isabs(place) or ".." in Path(place).parts:
                    raise ValueError(f"{place} leads out of the folder")
        return header, lines
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path}: expected a line of JSON for each move, found something else ({error}). "
            "Move the files back by hand."
        ) from error


def _free(target: str) -> str:
    """The path, or with a number where something lies there already."""
    stem, extension = os.path.splitext(target)
    number, free = 1, target
    while os.path.lexists(free) or os.path.basename(free) == LOG:
        free, number = f"{stem}~{number}{extension}", number + 1
    return free


def _move(source: str, target: str) -> None:
    """Rename, or copy and remove where the two lie on different file systems."""
    os.makedirs(os.path.dirname(target), exist_ok=True)
    try:
        os.rename(source, target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        _move_across(source, target)


def _move_across(source: str, target: str) -> None:
    temporary = _unfinished(target)
    with contextlib.suppress(FileNotFoundError):  # of a run that was killed
        os.unlink(temporary)
    shutil.copy2(source, temporary, follow_symlinks=False)
    if not os.path.islink(temporary):
        _sync(temporary)
    os.rename(temporary, target)
    _sync_folder(Path(target).parent)
    os.unlink(source)


def _unfinished(target: str) -> str:
    folder, name = os.path.split(target)
    return os.path.join(folder, f".{name}.edge-train-moving")


def _sync(path: str | Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _sync_folder(folder: Path) -> None:
    with contextlib.suppress(OSError):  # Windows opens no folder
        _sync(folder)


def _same_file(first: str, second: str) -> bool:
    if os.path.islink(first) or os.path.islink(second):
        return (
            os.path.islink(first)
            and os.path.islink(second)
            and os.readlink(first) == os.readlink(second)
        )
    if not (os.path.isfile(first) and os.path.isfile(second)):
        return False
    return sha256_file(first) == sha256_file(second)


def _remove_empty(folder: Path) -> None:
    for parent, _, _ in os.walk(folder, topdown=False):
        if Path(parent) != folder:
            with contextlib.suppress(OSError):  # not empty
                os.rmdir(parent)
