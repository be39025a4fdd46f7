"""What the file of a classifier tells of itself, whoever made it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..backends.base import Backend
from ..backends.ending import Ending
from ..backends.feeding import InputTensor
from ..settings import ModelSettings, Stated


@dataclass(frozen=True)
class Traits:
    """What a model file tells without being run.

    Attributes:
        input: Its input.
        classes: Number of scores.
        ending: What the end of the graph makes of them.
        settings: What its metadata says.
        labels_file: Where its labels come from.
        about: Name, author, licence, for people.
        notes: What else a person should know, by the name of the part.
        complaint: Why some of its metadata is not believed.
    """

    input: InputTensor
    classes: int
    ending: Ending
    settings: ModelSettings = field(default_factory=ModelSettings)
    labels_file: str = ""
    about: dict[str, Any] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    complaint: str = ""


def tflite_traits(path: Path) -> Traits:
    """Traits of a TFLite file, read without an interpreter.

    Raises:
        ModelError: It is damaged, or no image classifier.
    """
    from ..backends.tflite_ending import TfliteEnds
    from ..backends.tflite_metadata import read_metadata

    model, where = path.read_bytes(), str(path)
    ends = TfliteEnds(model, where)
    found = read_metadata(model, where)
    return Traits(
        ends.input, ends.classes, ends.ending, found.settings, found.labels_file, found.about,
        complaint=found.complaint,
    )  # fmt: skip


def traits_of(path: Path, backend: Backend, stated: Stated = ()) -> Traits:
    """Traits of an open model.

    Args:
        path: Its file.
        backend: It.
        stated: What is said of it: the number of labels chooses among several outputs.
    """
    if path.suffix == ".tflite":
        return tflite_traits(path)
    if path.suffix == ".onnx":
        from ..backends.onnx import OnnxBackend

        if isinstance(backend, OnnxBackend):
            given = (settings.labels for _, settings in stated if settings.labels is not None)
            labels = next(given, None)
            return backend.traits(None if labels is None else len(labels))
    return Traits(backend.input, backend.classes, Ending(None, ""))


def known_of(traits: Traits) -> dict[str, Any]:
    """What is known of a model for which something else is lacking: ``about`` and ``sources``."""
    ending = traits.ending
    note = f"{ending.operator} at the end of the graph"
    return {"about": traits.about, "sources": {"output": note} if ending.kind else {}}
