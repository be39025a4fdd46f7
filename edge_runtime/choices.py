"""What was measured to be best on a board: ``choices.json`` beside the manifest of a bundle.

``edge-bench`` writes an entry for the board that it ran on, ``--format auto`` takes it. The manifest
stays as it is, to the byte, and readers that do not know the file pass over it. Boards share a
bundle, so entries are kept by :func:`board_name`; one that speaks of another model file, because
the bundle was exported again, is ignored.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from .engine import INTERPRETERS, Engine
from .errors import BundleError, UsageError
from .manifest import CHOICES_NAME, MANIFEST_NAME, Manifest

#: Version of the layout; entries of another one are ignored.
CHOICES_VERSION = 1

#: As :mod:`edge_runtime.backends.base` allows.
_MAX_THREADS = 256

#: Delegates and providers that a choice may name. A library's path is none of them: a bundle is data,
#: and opening one must not load code that its author names. Values of options are words such as
#: ``usb:0``, ``GPU.0`` and ``0.5``, and no names of files: behind a full stop there are only digits.
_OPTION = r"\w+=-?\w+(?:\.\d+|[:-]\w+)*"
_DELEGATE = re.compile(
    rf"(edgetpu|gpu|xnnpack|none)(,{_OPTION})*|[A-Za-z]+ExecutionProvider(:{_OPTION}(,{_OPTION})*)?"
)

#: A file of choices is small: a board has some hundred bytes.
_MAX_BYTES = 1 << 20


@dataclass(frozen=True)
class Choice:
    """What a board runs of a bundle, and how."""

    format: str  #: an artifact of the manifest
    sha256: str  #: of its file
    threads: int | None  #: None: the interpreter's own choice
    interpreter: str | None  #: None: the first that is able
    delegate: str | None  #: or execution provider; None: the default
    reason: str  #: one sentence
    date: str  #: of the measurement, RFC 3339

    def engine(self, asked: Engine) -> Engine:
        """The engine to run it with: what the caller asked for first, then what was measured.

        Args:
            asked: Of the caller. With an interpreter, delegate or provider of his own none of
                these is taken from the choice; with threads of his own these are his.
        """
        engine = asked if asked.threads else replace(asked, threads=self.threads)
        if asked.interpreter or asked.delegate or asked.providers:
            return engine
        from .tried import installed

        if self.interpreter is not None and installed([self.interpreter]):
            engine = replace(engine, interpreter=self.interpreter)
        if self.delegate is None:
            return engine
        if self.format.startswith("onnx"):
            return replace(engine, providers=(self.delegate,))
        return replace(engine, delegate=self.delegate)

    @classmethod
    def from_dict(cls, entry: Mapping[str, Any]) -> Choice:
        """Read an entry.

        Raises:
            BundleError: A value is missing or cannot be right.
        """
        values: dict[str, Any] = {name: entry.get(name) for name in cls.__dataclass_fields__}
        texts = ("format", "sha256", "reason", "date")
        threads, interpreter = values["threads"], values["interpreter"]
        right = (
            all(isinstance(values[name], str) for name in texts)
            and (interpreter is None or interpreter in INTERPRETERS)
            and (values["delegate"] is None or may_name(values["delegate"]))
            and (threads is None or (type(threads) is int and 1 <= threads <= _MAX_THREADS))
        )
        if not right:
            raise BundleError(f"a choice has a value that cannot be right: {dict(entry)}")
        return cls(**values)


def may_name(delegate: object) -> bool:
    """Whether a choice may name a delegate or provider: by its name, never by a library's path."""
    return isinstance(delegate, str) and _DELEGATE.fullmatch(delegate) is not None


def board_name(board: str | None, cpu: str | None, architecture: str, cores: int | None) -> str:
    """What a board is called in ``choices.json``.

    Args:
        board: Model of the device tree, which a PC has not.
        cpu: Name of its processor, where there is no board.
        architecture: As uname(2) says.
        cores: How many the system has, whatever a process may use of them: a virtual machine with
            two is no machine with eight.
    """
    name = board or cpu or "unknown processor"
    return f"{name}, {architecture}, {cores or '?'} core{'' if cores == 1 else 's'}"


def this_board(root: Path = Path("/")) -> str:
    """:func:`board_name` of this machine.

    Args:
        root: Where ``proc`` lies; another folder in tests.
    """
    try:
        text = (root / "proc/device-tree/model").read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    board = text.strip("\0\n ") or None
    cpu = None
    if board is None:
        from .machine import cpu_name

        cpu = cpu_name(root)
    return board_name(board, cpu, os.uname().machine, os.cpu_count())


def choice_for(folder: Path, manifest: Manifest) -> Choice | None:
    """This board's choice of a bundle.

    Args:
        folder: Of the bundle.
        manifest: Of the bundle.

    Returns:
        None where none was written, or where it speaks of a file that the bundle does not have.

    Raises:
        BundleError: The file is damaged.
    """
    file = folder / CHOICES_NAME
    if not file.is_file():
        return None
    entry = read_choices(file).get(this_board())
    return entry if entry is not None and _fits(entry, manifest) else None


def read_choices(file: Path) -> dict[str, Choice]:
    """Choices by board; of a file that a newer version wrote, none.

    An entry that cannot be right is passed over: it is of no use to its own board, and the others
    have nothing to do with it.

    Raises:
        BundleError: The file is damaged.
    """
    found = {}
    for board, entry in (_entries(file) or {}).items():
        try:
            found[board] = Choice.from_dict(entry)
        except (AttributeError, BundleError):
            continue
    return found


def check_writable(folder: Path) -> None:
    """Refuse a bundle whose choices a newer version wrote, which would be lost.

    Raises:
        UsageError: There is such a file.
        BundleError: The file that is there is damaged.
    """
    file = folder / CHOICES_NAME
    if file.is_file() and _entries(file) is None:
        raise UsageError(
            f"{file}: has another layout than {CHOICES_VERSION}, perhaps of a newer version, and "
            "stays as it is. Install that version, or remove the file."
        )


def _entries(file: Path) -> dict[str, Any] | None:
    """What the file holds by board, unread; None of another layout."""
    try:
        with open(file, "rb") as stream:
            content = stream.read(_MAX_BYTES + 1)
        if len(content) > _MAX_BYTES:
            raise BundleError(f"more than {_MAX_BYTES} bytes")
        data = json.loads(content)
        if data["schema_version"] != CHOICES_VERSION:
            return None
        return dict(data["boards"].items())
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, BundleError) as error:
        raise BundleError(
            f"{file}: damaged ({error}). Remove it; edge-bench run --save-choice writes it anew."
        ) from error


def write_choice(folder: Path, manifest: Manifest, board: str, choice: Choice) -> Path:
    """Add a board's choice to a bundle, or replace the one it had.

    Choices of other boards stay, those that this version cannot read, too; those of model files that
    the bundle does not have any more go.
    The file is replaced as a whole, so that a reader finds the old or the new one.

    Args:
        folder: Of the bundle.
        manifest: Of the bundle.
        board: :func:`board_name` of the machine that was measured.
        choice: What it runs.

    Returns:
        The file.

    Raises:
        UsageError: The bundle does not have that model file, the choice names a library, or a newer
            version wrote the file that is there.
        BundleError: The file that is there is damaged.
        SystemFailure: It cannot be written.
    """
    import fcntl

    from .files import atomic_file, system_failures

    if not _fits(choice, manifest):
        raise UsageError(
            f"{folder}: has no {choice.format} with the checksum that was measured, so nothing was "
            "chosen. Measure this bundle again."
        )
    if choice.delegate is not None and not may_name(choice.delegate):
        raise UsageError(
            f"{choice.delegate}: a bundle may name a delegate or provider, no library and no path. "
            "Nothing was chosen; give it and the threads to edge-classify yourself."
        )
    file = folder / CHOICES_NAME
    # Two that write at once take turns, by a file that is there anyway.
    with system_failures(file), open(folder / MANIFEST_NAME, "rb") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        check_writable(folder)
        before = _entries(file) if file.is_file() else None
        boards = {b: e for b, e in (before or {}).items() if _speaks_of(e, manifest)}
        boards[board] = asdict(choice)
        data = {"schema_version": CHOICES_VERSION, "boards": dict(sorted(boards.items()))}
        with atomic_file(file) as temporary:
            text = json.dumps(data, indent=2, ensure_ascii=False) + "\n"
            temporary.write_text(text, encoding="utf-8", errors="backslashreplace")
    return file


def _fits(choice: Choice, manifest: Manifest) -> bool:
    """Whether a bundle has the very file that was measured."""
    return _has_file(manifest, choice.format, choice.sha256)


def _speaks_of(entry: Any, manifest: Manifest) -> bool:
    return isinstance(entry, dict) and _has_file(manifest, entry.get("format"), entry.get("sha256"))


def _has_file(manifest: Manifest, fmt: Any, sha256: Any) -> bool:
    return any((a.format, a.sha256) == (fmt, sha256) for a in manifest.artifacts)
