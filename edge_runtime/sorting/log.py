"""The log of a sorting: what was done with each photo, written before and after it is done.

JSON Lines in the folder that is sorted into, one file a run, ``undo-DATE-TIME.jsonl``. After a
header, ``{"n", "do", "from", "to", "part"}`` stands before an action (``do`` is move or copy, ``from``
absolute, ``to`` and the unfinished ``part`` relative to the folder), ``{"n", "done", "sha256"}``
behind it, ``{"made"}`` before a folder is made. Every line is with the system before its action
begins, so the log is true whenever the process dies; that of a move is on the disk, too, so it is
when the power fails. (A copy that the log has forgotten harms nobody.)
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import DataError, UsageError
from ..files import system_failures
from .moving import numbered, sync_folder

_VERSION = 1
_KEY = "edge_classify_sorting"


class SortLog:
    """A log that is made with its first line, so that a run which sorts nothing leaves none."""

    def __init__(self, folder: str) -> None:
        """Remember the folder."""
        self._folder, self._count = folder, 0
        self._file: int | None = None
        self.path: str | None = None

    def begin(self, action: str, source: str, target: str, part: str, **more: Any) -> int:
        """Note what is about to be done; gives its number back."""
        self._count += 1
        line = {"n": self._count, "do": action, "from": os.path.abspath(source)}
        line |= {"to": self._relative(target), "part": self._relative(part), **more}
        self._write(line, sync=action == "move")
        return self._count

    def end(self, number: int, done: bool, sha256: str | None = None) -> None:
        """Note whether it was done."""
        self._write({"n": number, "done": done} | ({} if sha256 is None else {"sha256": sha256}))

    def making(self, folder: str) -> None:
        """Note that a folder is about to be made."""
        self._write({"made": self._relative(folder)})

    def close(self) -> None:
        """Close the file; safe to call twice."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _relative(self, path: str) -> str:
        return os.path.relpath(path, self._folder)

    def _write(self, line: dict[str, Any], sync: bool = False) -> None:
        with system_failures(self.path or self._folder):
            if self._file is None:
                self._file = self._open()
                header = {_KEY: _VERSION, "time": time.strftime("%Y-%m-%dT%H:%M:%S%z")}
                self._append(self._file, header)
                sync_folder(self._folder)
            self._append(self._file, line)
            if sync:
                os.fsync(self._file)

    def _open(self) -> int:
        name = os.path.join(self._folder, f"undo-{time.strftime('%Y%m%d-%H%M%S')}.jsonl")
        names = numbered(name)
        while True:
            path = next(names)
            with contextlib.suppress(FileExistsError):
                file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o666)
                self.path = path
                return file

    @staticmethod
    def _append(file: int, line: dict[str, Any]) -> None:
        data = json.dumps(line).encode() + b"\n"
        place = os.fstat(file).st_size
        try:
            while data:
                data = data[os.write(file, data) :]
        except OSError:
            os.truncate(file, place)  # half a line would spoil the next one
            raise


@dataclass
class Action:
    """What a log says of one photo."""

    do: str  #: ``move`` or ``copy``
    source: str  #: absolute
    target: str  #: joined with the log's folder
    part: str  #: likewise
    link: str | None  #: what the source pointed to, if it was a symbolic link
    done: bool | None = None  #: None where the log ends before it says
    sha256: str | None = None  #: of a finished copy


def read_log(path: str) -> tuple[list[Action], list[str]]:
    """Actions of a log and the folders that were made, in order.

    Args:
        path: The file; a last line without its end was followed by no action, and does not count.

    Raises:
        UsageError: There is no such file.
        DataError: It is no log of a sorting, or leads out of its folder.
    """
    if not os.path.isfile(path):
        raise UsageError(f"{path}: no such log.")
    folder = os.path.dirname(path)
    actions: dict[int, Action] = {}
    made: list[str] = []
    try:
        header, *lines = [json.loads(line) for line in Path(path).read_bytes().split(b"\n")[:-1]]
        if header[_KEY] != _VERSION:
            raise DataError(f"{path}: written by another version of edge-classify. Use that one.")
        for line in lines:
            if "made" in line:
                made.append(os.path.join(folder, _inside(line["made"])))
            elif "do" in line:
                actions[line["n"]] = _action(line, folder)
            else:
                actions[line["n"]].done = bool(line["done"])
                actions[line["n"]].sha256 = line.get("sha256")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{path}: expected the log of a sorting (undo-*.jsonl), found something else ({error}). "
            "Move the files back by hand."
        ) from error
    return list(actions.values()), made


def find_log(path: str) -> str:
    """The log itself, or the newest one of a folder.

    Raises:
        UsageError: There is none.
    """
    if not os.path.isdir(path):
        return path
    found = [
        entry.path
        for entry in os.scandir(path)
        if entry.name.startswith("undo-") and entry.name.endswith(".jsonl")
    ]
    if not found:
        raise UsageError(f"{path}: no log of a sorting (undo-*.jsonl) in this folder.")
    return max(found, key=lambda file: (os.stat(file).st_mtime_ns, file))


def undone_names(path: str) -> Iterator[str]:
    """Names for a log that has been undone."""
    return numbered(f"{path.removesuffix('.jsonl')}.undone")


def _action(line: dict[str, Any], folder: str) -> Action:
    if line["do"] not in ("move", "copy") or not os.path.isabs(line["from"]):
        raise ValueError(f"{line['do']} {line['from']}")
    target, part = (os.path.join(folder, _inside(line[key])) for key in ("to", "part"))
    return Action(line["do"], line["from"], target, part, line.get("link"))


def _inside(path: str) -> str:
    if os.path.isabs(path) or ".." in path.split("/"):
        raise ValueError(f"{path} leads out of the folder")
    return path
