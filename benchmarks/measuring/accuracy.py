"""Accuracy of each model file with each interpreter, and the row that it is compared with."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from edge_runtime.errors import DatasetError, EdgeError

from .children import Children, note_failure
from .counting import Counted
from .rows import Record
from .subjects import Subject

_log = logging.getLogger("benchmarks")

#: Seconds that a photo adds to the timeout of a process.
_SECONDS_PER_PHOTO = 3.0

#: Formats of a float model, the first that is there is the reference.
_FLOAT = ("tflite-fp32", "onnx-fp32", "keras", "saved_model")

#: Class names to the labelled photos with their indices.
Labelled = Mapping[tuple[str, ...], list[tuple[str, int]]]


@dataclass
class Answers:
    """What each model file made of the labelled photos, by ``Configuration.answers_as``."""

    subjects: Sequence[Subject]
    counted: dict[tuple[Any, ...], Counted] = field(default_factory=dict)

    def reference(self, record: Record, records: Sequence[Record]) -> Record | None:
        """The row that a row's answers are compared with: the float model that comes first.

        Of a bundle it is among the bundle's own files. A single file is compared with the first of
        the single files that have the same classes, which is the one to name first.
        """
        subject = self.subjects[record.configuration.part.subject]
        same = [r for r in records if r.configuration.answers_as in self.counted]
        if subject.kind == "bundle":
            own = [r for r in same if self.subjects[r.configuration.part.subject] is subject]
            ranked = [r for name in _FLOAT for r in own if _format(r) == name]
            return ranked[0] if ranked else None
        files = [r for r in same if self._alike(r, subject)]
        # Rows of one file that differ in threads have the same answers: nothing to compare with.
        several = len({r.configuration.answers_as for r in files}) > 1
        return files[0] if several else None

    def _alike(self, record: Record, subject: Subject) -> bool:
        other = self.subjects[record.configuration.part.subject]
        return other.kind == "file" and other.class_names == subject.class_names


def count_all(
    children: Children,
    records: Sequence[Record],
    subjects: Sequence[Subject],
    labelled: Labelled,
) -> Answers:
    """Count the accuracy of each model file with each interpreter and delegate.

    Threads are left to the interpreter, as ``edge-classify image`` does without ``--threads``. What
    fails is noted in the rows.

    Raises:
        DatasetError: None of the photos can be read.
    """
    answers = Answers(subjects)
    groups: dict[tuple[Any, ...], list[Record]] = {}
    for record in records:
        groups.setdefault(record.configuration.answers_as, []).append(record)
    warned = False
    for key, group in groups.items():
        subject = subjects[group[0].configuration.part.subject]
        photos = labelled.get(subject.class_names, [])
        if not photos or not group[0].open:
            continue
        request = children.request(
            group[0], "accuracy", photos=[(os.path.abspath(path), n) for path, n in photos]
        )
        request["engine"] = {**request["engine"], "threads": None}
        try:
            found = children.ask(request, _SECONDS_PER_PHOTO * len(photos))
        except EdgeError as error:
            note_failure(group, error)
            continue
        if not warned:  # every model reads the same photos through the same code
            warned = True
            _warn_of_unreadable(found["unreadable"], photos)
        counted = Counted(
            [label for _, label in photos],
            [None if answer is None else (answer[0], answer[1]) for answer in found["answers"]],
        )
        _log.info("accuracy of %s: %d right", group[0].label, counted.correct)
        answers.counted[key] = counted
    return answers


def _warn_of_unreadable(
    unreadable: Sequence[tuple[int, str]], photos: Sequence[tuple[str, int]]
) -> None:
    for position, reason in unreadable:
        photo = photos[position][0]
        _log.warning("left out: %s", reason.replace(os.path.abspath(photo), photo, 1))
    if len(unreadable) == len(photos):
        raise DatasetError(f"none of the {len(photos)} labelled photos can be read.")


def _format(record: Record) -> str:
    return record.configuration.part.artifact["format"]
