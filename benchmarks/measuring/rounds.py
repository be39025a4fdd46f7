"""The rounds: order, cold start, latency, throughput, cooling down; then the profiles."""

from __future__ import annotations

import logging
import math
import os
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass

from edge_runtime.errors import EdgeError

from ..conditions import Watch
from ..hardware import usable_cores
from ..machine_files import Machine
from ..statistics import percentile
from .children import Children, note_failure
from .cold import image_command, time_start, write_labels, write_pattern
from .pictures import Pictures
from .rows import Record
from .worker import samples_of

_log = logging.getLogger("benchmarks")

#: Seconds after which cooling down is given up.
_LONGEST_COOLING = 600.0

#: Runs of a profile, and of one that only tells which provider ran what.
_PROFILE_RUNS, _PLACEMENT_RUNS = 20, 1

_NO_PROFILER = "interpreters of .tflite files offer no profiler to Python"


@dataclass
class _Given:
    """What the processes of a subject are given.

    Attributes:
        pictures: Its photos.
        start: The photo of a cold start: a real one, else the generated one.
        pixels: File of the decoded photo that inferences are timed on; None for a generated pattern.
    """

    pictures: Pictures
    start: str
    pixels: str | None = None


def measure_rounds(
    children: Children, watch: Watch, records: Sequence[Record], pictures: Sequence[Pictures]
) -> None:
    """Measure what is open; what is found, or why not, is noted in the records.

    Args:
        children: Asks the processes.
        watch: Looks at the machine.
        records: The rows.
        pictures: Of each subject.

    Raises:
        OSError: The few files that all rounds share cannot be written.
    """
    settings = children.settings
    write_labels(settings.model, children.folder)
    pattern = "" if all(each.whole for each in pictures) else write_pattern(children.folder)
    given = [_Given(each, next(iter(each.whole), pattern)) for each in pictures]
    for record in records:  # once, untimed: files are read, checksums and trial runs remembered
        if record.open:
            _start(children, record, given[record.configuration.part.subject])
            record.starts.clear()
        if record.open:
            _decode(children, record, given[record.configuration.part.subject])
    for number in range(settings.rounds):
        if number:
            cool_down(watch.machine, settings.cooldown, settings.cool_to)
        order = list(records)
        # A seed of one number for each round, so that a later round does not depend on failures.
        random.Random(settings.seed * 1009 + number).shuffle(order)  # noqa: S311  # no secret
        for record in order:
            if record.open:
                own = given[record.configuration.part.subject]
                _one_round(children, watch, record, own, number)
    for record in records:
        if record.open:
            _profile(children, record, pictures[record.configuration.part.subject])


def _one_round(
    children: Children, watch: Watch, record: Record, given: _Given, number: int
) -> None:
    settings, own = children.settings, given.pictures
    _start(children, record, given)
    if not record.open:
        return
    since = watch.machine.counters()
    try:
        answer = children.ask_for(
            record,
            "latency",
            pixels=given.pixels,
            photos=own.whole,
            min_seconds=settings.min_seconds / settings.rounds,
            min_runs=math.ceil(settings.min_runs / settings.rounds),
        )
    except EdgeError as error:
        note_failure([record], error)
        return
    record.spans.append(watch.span(since))
    record.answers.append(answer)
    p50 = percentile(sorted(samples_of(answer)), 50)
    _log.info("round %d of %d: %s: %.3f ms", number + 1, settings.rounds, record.label, p50)
    if settings.throughput:
        _throughput(children, record, own)


def _start(children: Children, record: Record, given: _Given) -> None:
    settings = children.settings
    words = image_command(record.configuration, settings.model, given.start, children.folder)
    try:
        record.starts.append(time_start(words, settings.timeout))
    except EdgeError as error:
        note_failure([record], error)


def _decode(children: Children, record: Record, given: _Given) -> None:
    """Decode the timed photo, once for all rows of a subject: they have the same input."""
    photo = given.pictures.photo
    if photo is None or given.pixels is not None:
        return
    file = os.fspath(children.folder / f"pixels-{record.configuration.part.subject}.npy")
    try:
        children.ask_for(record, "pixels", photo=photo, out=file)
    except EdgeError as error:
        note_failure([record], error)
        return
    given.pixels = file


def _throughput(children: Children, record: Record, pictures: Pictures) -> None:
    settings = children.settings
    modes = None
    if settings.streams is not None or settings.batches is not None:
        modes = [(s, b) for s in settings.streams or (1,) for b in settings.batches or (1,)]
    try:
        record.rates.append(
            children.ask_for(
                record,
                "throughput",
                photo=pictures.photo,
                modes=modes,
                cores=usable_cores() or 1,
                seconds=settings.min_seconds / settings.rounds / 2,
            )
        )
    except EdgeError as error:  # such as no memory for a second interpreter: the latency holds
        _log.warning("throughput of %s was not measured: %s", record.label, error)


def _profile(children: Children, record: Record, pictures: Pictures) -> None:
    """Onnxruntime's profile, where it was asked for; and who ran what, where a provider was."""
    configuration, wanted = record.configuration, children.settings.profile
    if configuration.part.kind != "onnx":
        if wanted:
            record.profile = {"profiler": None, "reason": _NO_PROFILER}
        return
    if not wanted and configuration.delegate is None:
        return
    runs = _PROFILE_RUNS if wanted else _PLACEMENT_RUNS
    try:
        found = children.ask_for(record, "profile", photo=pictures.photo, runs=runs)
    except EdgeError as error:
        _log.warning("%s was not profiled: %s", record.label, error)
        return
    record.profile = found if wanted else None
    record.nodes = found["providers"] if configuration.delegate is not None else None


def cool_down(machine: Machine, seconds: float, degrees: float | None) -> None:
    """Wait between two rounds.

    Args:
        machine: Whose temperature counts.
        seconds: That are waited in any case.
        degrees: Celsius that are waited for, at most ten minutes; None for none.
    """
    time.sleep(seconds)
    if degrees is None:
        return
    end = time.monotonic() + _LONGEST_COOLING
    while (now := machine.look().temperature_c) is not None and now > degrees:
        if time.monotonic() >= end:
            _log.warning("still %.0f degrees after ten minutes of cooling; going on.", now)
            return
        time.sleep(1)
