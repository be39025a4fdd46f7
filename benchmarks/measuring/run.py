"""Measure every configuration, each in child processes of its own, in interleaved rounds.

In each round every configuration is started once as ``edge-classify image``, then loaded and timed
in a process of its own, then run for throughput in another. The order is shuffled in each
round by a seed, so that a machine that grows warm or busy hurts all alike, and no one is always
the neighbour of the same other.
"""

from __future__ import annotations

import datetime
import logging
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from edge_runtime.console import Terminated
from edge_runtime.settings import ModelSettings

from ..conditions import Watch, condition_now, condition_over
from ..hardware import describe_machine
from ..labelled import labelled_photos
from ..machine_files import Machine
from ..result import SCHEMA_VERSION, Result, Row, Status
from ..validity import Limits, disturbances
from .accuracy import Answers, count_all
from .children import Children
from .pictures import Pictures, choose_pictures
from .pinning import pinned
from .plan import Choices, plan
from .rounds import measure_rounds
from .rows import Record, best_first, make_row, name_rows
from .subjects import Subject, describe_all, read_subjects

_log = logging.getLogger("benchmarks")


@dataclass(frozen=True)
class Settings:
    """What to measure and for how long.

    Attributes:
        formats: Formats of the bundles; None for all.
        choices: Interpreters, threads, delegates, providers.
        model: What the user says of a model of others.
        rounds: How often each configuration gets processes of its own.
        min_seconds: Least duration of the timed loop of a configuration, over all rounds.
        min_runs: Least number of timed inferences of a configuration, over all rounds.
        timeout: Seconds after which a child process is given up.
        throughput: Whether batches and several streams are measured.
        streams: Numbers of streams; None for what the cores allow.
        batches: Photos a run; None for what the model takes.
        profile: Whether ONNX files are run under onnxruntime's profiler.
        cooldown: Seconds between rounds.
        cool_to: Degrees Celsius that the machine cools down to between rounds; None for any.
        pin: CPUs that the measured processes may use; None for all.
        seed: Of the order.
        max_interval: Width of the median's interval that is valid, percent of the median.
        max_load: Load of other processes that is valid, percent of all cores.
    """

    formats: tuple[str, ...] | None = None
    choices: Choices = field(default_factory=Choices)
    model: ModelSettings | None = None
    rounds: int = 5
    min_seconds: float = 5.0
    min_runs: int = 100
    timeout: float = 600.0
    throughput: bool = True
    streams: tuple[int, ...] | None = None
    batches: tuple[int, ...] | None = None
    profile: bool = False
    cooldown: float = 0.0
    cool_to: float | None = None
    pin: tuple[int, ...] | None = None
    seed: int = 0
    max_interval: float = 5.0
    max_load: float = 5.0

    def to_dict(self, data: str | None) -> dict[str, Any]:
        """What the result says of them."""
        told = asdict(self)
        told |= told.pop("choices")
        return told | {"data": data}


@dataclass(frozen=True)
class Outcome:
    """What a run ended with.

    Attributes:
        result: What was found.
        interrupted: What ended it early: KeyboardInterrupt, Terminated, or a fault of the toolkit;
            to be raised when the result has been shown.
    """

    result: Result
    interrupted: BaseException | None = None


def run(
    paths: Sequence[str],
    data: str | None = None,
    settings: Settings | None = None,
    root: Path = Path("/"),
) -> Outcome:
    """Measure bundles and model files.

    Args:
        paths: Bundles, ``.tflite``, ``.onnx`` or ``.keras`` files, SavedModels, run directories.
        data: Folder of class folders to count accuracy on; its names are among the models' classes.
        settings: What to measure; None for the defaults.
        root: Where ``proc`` and ``sys`` lie; another folder in tests.

    Returns:
        The result, with rows in the order of :func:`~benchmarks.measuring.rows.best_first`. A run
        that was interrupted after its first figures has what was measured until then.

    Raises:
        UsageError: No such model, format or folder, or a choice that fits no file.
        DataError: A model that cannot be read, or ``data`` does not fit.
        KeyboardInterrupt: Interrupted (or ``Terminated``) before there was anything to tell.
    """
    settings = settings or Settings()
    machine = Machine(root)
    with Children(settings) as children, Watch(machine) as watch, pinned(settings.pin):
        subjects = read_subjects(paths, settings.formats, children.shared, children.ask)
        labelled = {
            subject.class_names: labelled_photos(data, subject.class_names)
            for subject in subjects
            if data is not None and subject.class_names
        }
        records = [Record(each) for each in plan(subjects, settings.choices)]
        for record in records:
            subject = subjects[record.configuration.part.subject]
            record.error, record.skipped = subject.error, subject.absent
        pictures = [
            choose_pictures(each, [path for path, _ in labelled.get(each.class_names, [])])
            for each in subjects
        ]
        before = condition_now(machine)
        since = machine.counters()
        answers = count_all(children, records, subjects, labelled)
        interrupted: BaseException | None = None
        try:
            measure_rounds(children, watch, records, pictures)
        except BaseException as stop:  # whatever it is, minutes of figures are not lost to it
            if not any(record.answers for record in records):
                raise
            interrupted = stop
        during = condition_over(watch.span(since), machine)
        after = condition_now(machine)
    limits = Limits(settings.max_interval, settings.max_load, machine.cores())
    reasons = _run_reasons(records, limits, interrupted, settings.rounds)
    rows = _rows(records, subjects, answers, limits)
    result: Result = {
        "schema_version": SCHEMA_VERSION,
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "machine": describe_machine(root),
        "subject": describe_all(subjects),
        "settings": settings.to_dict(data),
        "input": _input(pictures),
        "status": _status(rows, reasons),
        "reasons": reasons,
        "conditions": {"before": before, "during": during, "after": after},
        "rows": best_first(rows),
        "verdict": None,
    }
    return Outcome(result, interrupted)


def _run_reasons(
    records: Sequence[Record], limits: Limits, stop: BaseException | None, rounds: int
) -> list[str]:
    """Why the run as a whole is not to be trusted; and what an interruption left undone."""
    reasons = []
    if stop is not None:
        least = min((len(r.answers) for r in records if r.open), default=0)
        asked = isinstance(stop, (KeyboardInterrupt, Terminated))
        why = "" if asked else f" by {type(stop).__name__}: {stop}"
        reasons.append(f"interrupted after {least} of {rounds} rounds{why}")
        for record in records:
            if record.open and not record.answers:
                record.error = "the run was interrupted before it was measured."
    total = None
    for record in records:
        span = record.span
        if span is not None:
            total = span if total is None else total + span
    return reasons + ([] if total is None else disturbances(total, limits))


def _rows(
    records: Sequence[Record], subjects: Sequence[Subject], answers: Answers, limits: Limits
) -> list[Row]:
    names = name_rows(records, _prefixes(subjects))
    rows = []
    for record, name in zip(records, names, strict=True):
        counted = answers.counted.get(record.configuration.answers_as)
        reference = answers.reference(record, records)
        told = None
        if reference is not None:
            other = answers.counted.get(reference.configuration.answers_as)
            told = None if other is None else (other, names[list(records).index(reference)])
        rows.append(make_row(record, name, limits, counted, told))
    return rows


def _prefixes(subjects: Sequence[Subject]) -> list[str]:
    """What rows of each subject begin with, where there are several."""
    if len(subjects) == 1:
        return [""]
    short = [os.path.basename(os.path.normpath(subject.path)) for subject in subjects]
    names = short if len(set(short)) == len(short) else [subject.path for subject in subjects]
    return [
        # A single file's rows begin with its name already; a run directory's with that of its model.
        "" if subject.kind == "file" and subject.parts[0].file == name else f"{name}: "
        for name, subject in zip(names, subjects, strict=True)
    ]


def _status(rows: Sequence[Row], reasons: Sequence[str]) -> Status:
    if reasons or any(row["status"] == "invalid" for row in rows):
        return "invalid"
    if any(row["status"] == "ok" for row in rows):
        return "ok"
    return "failed" if any(row["status"] == "failed" for row in rows) else "skipped"


def _input(pictures: Sequence[Pictures]) -> dict[str, Any]:
    members = [each.to_dict() for each in pictures]
    return members[0] | {"members": members}
