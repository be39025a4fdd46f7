"""Which configurations are measured: model file x interpreter x threads x delegate or provider."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from edge_runtime.backends.base import default_threads
from edge_runtime.engine import INTERPRETERS, TFLITE_INTERPRETERS, Engine
from edge_runtime.errors import UsageError
from edge_runtime.tried import installed

from .subjects import Part, Subject

#: In place of names of interpreters: each one that is installed.
ALL = "all"

#: In place of a delegate or provider: none is asked for.
DEFAULT = "default"

#: Interpreters of each kind of model file.
_ABLE = {
    "tflite": TFLITE_INTERPRETERS,
    "onnx": ("onnxruntime",),
    "keras": ("tensorflow",),
    "saved_model": ("tensorflow",),
}

#: TensorFlow decides for itself: these are measured once, not once a thread count.
_OWN_THREADS = ("keras", "saved_model")


@dataclass(frozen=True)
class Choices:
    """What the user chose among; None and () for what would be used anyway.

    Attributes:
        threads: Thread counts; None for 1 and the interpreters' default.
        interpreters: Names, or :data:`ALL`.
        delegates: Of .tflite files, as ``edge-classify --delegate`` takes them, or :data:`DEFAULT`.
        providers: Of .onnx files, as ``edge-classify --provider`` takes them, or :data:`DEFAULT`.
    """

    threads: tuple[int, ...] | None = None
    interpreters: tuple[str, ...] = ()
    delegates: tuple[str, ...] = ()
    providers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse names that nobody has."""
        for name in self.interpreters:
            if name not in (*INTERPRETERS, ALL):
                raise UsageError(
                    f"--interpreters {name}: expected {', '.join(INTERPRETERS)} or {ALL}."
                )


@dataclass(frozen=True)
class Configuration:
    """One row to be measured.

    Attributes:
        part: The model file.
        interpreter: None for the first that is installed and able.
        threads: None where the interpreter decides.
        delegate: Or provider; None for the default.
    """

    part: Part
    interpreter: str | None
    threads: int | None
    delegate: str | None

    @property
    def engine(self) -> Engine:
        """What ``edge_runtime`` is asked for."""
        own = self.part.kind in _OWN_THREADS
        return Engine(
            self.threads,
            None if own else self.interpreter,
            self.delegate if self.part.kind == "tflite" else None,
            (self.delegate,) if self.part.kind == "onnx" and self.delegate else (),
        )

    def request(self, settings: dict[str, Any] | None) -> dict[str, Any]:
        """What every request to its child process holds."""
        return {
            "model": self.part.path,
            "format": self.part.format,
            "file": self.part.file,
            "engine": asdict(self.engine),
            "settings": settings,
        }

    @property
    def answers_as(self) -> tuple[Any, ...]:
        """What configurations that give the same answers have in common."""
        return self.part, self.interpreter, self.delegate


def plan(subjects: Sequence[Subject], choices: Choices) -> list[Configuration]:
    """All configurations, in the order of the subjects.

    Raises:
        UsageError: A choice fits none of the files.
    """
    parts = [part for subject in subjects for part in subject.parts]
    found = []
    for part in parts:
        threads: Sequence[int | None] = [None]
        if part.kind not in _OWN_THREADS:
            threads = list(dict.fromkeys(choices.threads or (1, default_threads())))
        for interpreter in _interpreters(part, choices.interpreters):
            for delegate in _delegates(part, choices):
                found += [Configuration(part, interpreter, n, delegate) for n in threads]
    kinds = {part.kind for part in parts}
    if not found:
        raise UsageError(
            f"--interpreters {','.join(choices.interpreters)}: none of them runs these files "
            f"({', '.join(sorted(kinds))})."
        )
    for option, given, kind in (
        ("--delegate", choices.delegates, "tflite"),
        ("--provider", choices.providers, "onnx"),
    ):
        if given and kind not in kinds:
            raise UsageError(f"{option} {given[0]} is for .{kind} files, and there is none.")
    return found


def _interpreters(part: Part, names: Sequence[str]) -> list[str | None]:
    if not names:
        return [None]
    able = _ABLE[part.kind]
    wanted = [name for name in able if name in names]
    if ALL in names:
        wanted += [name for name in installed(able) if name not in wanted]
    return list(wanted)


def _delegates(part: Part, choices: Choices) -> list[str | None]:
    given = {"tflite": choices.delegates, "onnx": choices.providers}.get(part.kind, ())
    return [None if name == DEFAULT else name for name in dict.fromkeys(given)] or [None]
