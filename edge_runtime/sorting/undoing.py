"""Undo a sorting by its log: moves go back, copies go away; nothing is lost or overwritten."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, field
from typing import Any

from ..errors import DataError
from ..files import sha256_file, system_failures
from .log import Action, find_log, read_log, undone_names
from .moving import give_name, move_file, same_bytes


@dataclass
class Undone:
    """What became of a sorting.

    Attributes:
        log: The log as it was named, or found in the folder that was named.
        moved_back: Photos at their old place again.
        copies_removed: Copies that are gone; their originals were there, with the same bytes.
        left: Path and reason of each file that was left as it is.
    """

    log: str
    moved_back: int = 0
    copies_removed: int = 0
    left: list[tuple[str, str]] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """The JSON object of ``edge-classify undo --json``."""
        left = [{"path": path, "reason": reason} for path, reason in self.left]
        return {
            "log": self.log,
            "moved_back": self.moved_back,
            "copies_removed": self.copies_removed,
            "left": left,
        }


def undo(path: str) -> Undone:
    """Undo a sorting, last photo first; may be repeated, also after it was killed.

    It looks at what lies where, so that a log which ends early is enough. Folders that the sorting
    made go if they are empty. A log of which nothing is left to undo is renamed to ``*.undone``.

    Args:
        path: A log, or the folder that was sorted into, for its newest one.

    Raises:
        UsageError: No such log.
        DataError: It is no log.
        SystemFailure: Disk full or no permission; run it again.
    """
    log = find_log(path)
    actions, made = read_log(log)
    result = Undone(log)
    for action in reversed(actions):
        with system_failures(action.source):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(action.part)
            if action.done is False or not os.path.lexists(action.target):
                continue
            reason = _move_back(action) if action.do == "move" else _remove_copy(action)
        if reason is not None:
            result.left.append((action.target, reason))
        elif action.do == "move":
            result.moved_back += 1
        else:
            result.copies_removed += 1
    for folder in reversed(made):
        with contextlib.suppress(OSError):  # not empty, or gone
            os.rmdir(folder)
    if not result.left:
        _retire(log)
    return result


def _move_back(action: Action) -> str | None:
    """Move a photo back; or why not."""
    source, target = action.source, action.target
    if os.path.lexists(source):
        killed = action.done is None and not os.path.islink(target)
        if os.path.islink(target) and os.path.islink(source):
            killed = os.path.realpath(source) == os.path.realpath(target)
        if killed and (os.path.samefile(source, target) or _is_rest(source, target)):
            os.unlink(target)  # killed between the new name and the end of the old one
            return None
        return f"another file lies at {source}"
    os.makedirs(os.path.dirname(source), exist_ok=True)
    if action.link is not None and os.path.islink(target):
        os.symlink(action.link, source)
        os.unlink(target)
        return None
    folder, name = os.path.split(source)
    try:
        move_file(target, source, os.path.join(folder, f".{name[:60]}.{os.urandom(4).hex()}.part"))
    except FileExistsError:
        return f"another file lies at {source}"
    except DataError as error:
        return str(error)
    return None


def _remove_copy(action: Action) -> str | None:
    """Remove a copy; or why not."""
    if not os.path.isfile(action.source):
        return f"its original, {action.source}, is gone: this is the only copy"
    if os.path.samefile(action.source, action.target):
        return f"it is its original, {action.source}, itself"
    if action.sha256 is not None and sha256_file(action.target) != action.sha256:
        return "it was changed after it was copied"
    unfinished = action.done is None and _is_rest(action.source, action.target)
    if not unfinished and not same_bytes(action.source, action.target):
        return f"its original, {action.source}, was changed since: this is the only copy"
    os.unlink(action.target)
    return None


def _is_rest(source: str, target: str) -> bool:
    """Whether a killed action left this: the same bytes, or the empty file that keeps a name."""
    return os.path.getsize(target) == 0 or same_bytes(source, target)


def _retire(log: str) -> None:
    for name in undone_names(log):
        try:
            with system_failures(log):
                give_name(log, name, keep=False)
        except FileExistsError:
            continue
        return
