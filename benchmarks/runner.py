"""Measure every configuration of a bundle, each in child processes of its own.

A configuration is a format and a thread count. They run one after the other, in
:data:`ROUNDS` interleaved rounds (A B C A B C), so that a machine that grows warm or busy
hurts all alike.
"""

from __future__ import annotations

import datetime
import logging
import math
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_runtime.backends.base import default_threads
from edge_runtime.bundle import Bundle
from edge_runtime.child.asking import ask, module_command
from edge_runtime.errors import DatasetError, EdgeError, ImageError, MissingComponent
from edge_runtime.files import find_photos
from edge_runtime.manifest import Artifact, PreprocessSpec

from .hardware import describe_machine
from .labelled import labelled_photos
from .report import best_first
from .rows import OWN_THREADS, Accuracy, Configuration, make_row
from .timing import percentile, to_ms

_log = logging.getLogger("benchmarks")

#: Version of the JSON layout of :func:`run`.
SCHEMA_VERSION = 1

ROUNDS = 2

#: The child that measures.
COMMAND = module_command("benchmarks.worker")

#: Folder of a bundle with a few photos.
GOLDEN = "golden"

_TIMEOUT_REMEDY = "Allow more with --timeout, or ask for fewer --min-runs."

#: Seconds that a photo adds to the timeout of counting accuracy.
_SECONDS_PER_PHOTO = 3.0


@dataclass(frozen=True)
class Settings:
    """What to measure and for how long.

    Attributes:
        threads: Thread counts; None for 1 and the interpreters' default.
        formats: Formats of the bundle; None for all.
        min_seconds: Least duration of the timed loop of a configuration, over all rounds.
        min_runs: Least number of timed inferences of a configuration, over all rounds.
        timeout: Seconds after which a child process is given up.
    """

    threads: tuple[int, ...] | None = None
    formats: tuple[str, ...] | None = None
    min_seconds: float = 2.0
    min_runs: int = 50
    timeout: float = 600.0


def run(
    bundle: str | os.PathLike[str],
    data: str | os.PathLike[str] | None = None,
    settings: Settings | None = None,
) -> dict[str, Any]:
    """Measure a bundle.

    Args:
        bundle: Folder that ``edge-export bundle`` wrote.
        data: Folder of class folders to count accuracy on; its names are among the bundle's.
        settings: What to measure; None for the defaults.

    Returns:
        ``schema_version``, ``date`` (UTC), ``machine`` (see
        :func:`~benchmarks.hardware.describe_machine`), ``bundle``, ``settings``, ``input`` (the
        pictures that were timed) and ``rows``: one a configuration
        (:func:`~benchmarks.rows.make_row`), in the order of
        :func:`~benchmarks.report.best_first`. A row that could not be measured has ``error`` or
        ``skipped``, and null figures.

    Raises:
        UsageError: No such bundle, format or folder.
        BundleError: The bundle contradicts its manifest.
        DatasetError: ``data`` does not fit the bundle, or no photo of it can be read.
    """
    settings = settings or Settings()
    opened = Bundle.open(bundle)
    manifest = opened.manifest
    photos = [] if data is None else labelled_photos(data, manifest.info.class_names)
    if settings.formats is None:
        artifacts = list(manifest.artifacts)
    else:
        artifacts = [manifest.artifact(fmt) for fmt in settings.formats]
    pictures = _find_pictures(opened.path, photos, manifest.info.preprocess)
    configurations = _configurations(artifacts, settings.threads)
    accuracies = _count_all(opened, configurations, photos, settings.timeout) if photos else {}
    _time_all(opened, configurations, pictures, settings)
    return {
        "schema_version": SCHEMA_VERSION,
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "machine": describe_machine(),
        "bundle": {
            "path": os.fspath(bundle),
            "default": manifest.default,
            "classes": len(manifest.info.class_names),
            "width": manifest.info.preprocess.width,
            "height": manifest.info.preprocess.height,
        },
        "settings": {
            "min_seconds": settings.min_seconds,
            "min_runs": settings.min_runs,
            "rounds": ROUNDS,
            "data": None if data is None else os.fspath(data),
        },
        "input": pictures,
        "rows": best_first(
            [make_row(c, accuracies.get(c.artifact.format)) for c in configurations]
        ),
    }


def _configurations(
    artifacts: list[Artifact], threads: tuple[int, ...] | None
) -> list[Configuration]:
    counts = dict.fromkeys(threads or (1, default_threads()))
    return [
        Configuration(artifact, count)
        for artifact in artifacts
        for count in ([None] if artifact.format in OWN_THREADS else counts)
    ]


def _find_pictures(
    bundle: Path, photos: list[tuple[str, int]], spec: PreprocessSpec
) -> dict[str, Any]:
    """What to time with.

    Returns:
        ``source`` and ``photo``: the first readable golden photo of the bundle, else labelled
        photo, else a generated pattern (null); ``end_to_end_photo``: the first readable labelled
        photo. Golden photos have the input's size already, so they show no real decoding.
    """
    labelled = _first_readable((photo for photo, _ in photos), spec)
    golden = _first_readable(find_photos(bundle / GOLDEN), spec)
    source = "golden" if golden else "data" if labelled else "pattern"
    return {"source": source, "photo": golden or labelled, "end_to_end_photo": labelled}


def _first_readable(photos: Iterable[str], spec: PreprocessSpec) -> str | None:
    from edge_runtime.preprocess import preprocess

    for photo in photos:
        try:
            preprocess(photo, spec)
        except ImageError:
            continue
        return photo
    return None


def _count_all(
    bundle: Bundle,
    configurations: list[Configuration],
    photos: list[tuple[str, int]],
    timeout: float,
) -> dict[str, Accuracy]:
    """Accuracy of each format; what fails is noted in the configurations of that format."""
    accuracies: dict[str, Accuracy] = {}
    warned = False
    for fmt in dict.fromkeys(c.artifact.format for c in configurations):
        same = [c for c in configurations if c.artifact.format == fmt]
        request = {
            "task": "accuracy",
            "bundle": os.path.abspath(bundle.source),
            "format": fmt,
            "photos": [(os.path.abspath(photo), index) for photo, index in photos],
        }
        answer = _try_ask(same, request, timeout + _SECONDS_PER_PHOTO * len(photos))
        if answer is None:
            continue
        unreadable = answer["unreadable"]
        if not warned:  # every format reads the same photos through the same code
            warned = True
            for position, reason in unreadable:
                photo = photos[position][0]
                _log.warning("left out: %s", reason.replace(os.path.abspath(photo), photo, 1))
            if len(unreadable) == len(photos):
                raise DatasetError(f"none of the {len(photos)} labelled photos can be read.")
        found = Accuracy(len(photos) - len(unreadable), answer["correct"], len(unreadable))
        _log.info("accuracy of %s: %d of %d", fmt, found.correct, found.photos)
        accuracies[fmt] = found
    return accuracies


def _time_all(
    bundle: Bundle,
    configurations: list[Configuration],
    pictures: dict[str, Any],
    settings: Settings,
) -> None:
    for number in range(1, ROUNDS + 1):
        for configuration in configurations:
            if configuration.error or configuration.skipped:
                continue
            request = {
                "task": "measure",
                "bundle": os.path.abspath(bundle.source),
                "format": configuration.artifact.format,
                "threads": configuration.threads,
                **{
                    key: None if pictures[key] is None else os.path.abspath(pictures[key])
                    for key in ("photo", "end_to_end_photo")
                },
                "min_seconds": settings.min_seconds / ROUNDS,
                "min_runs": math.ceil(settings.min_runs / ROUNDS),
            }
            answer = _try_ask([configuration], request, settings.timeout)
            if answer is not None:
                configuration.answers.append(answer)
                p50 = to_ms(percentile(sorted(answer["samples_ns"]), 50))
                _log.info("round %d of %d: %s: %.3f ms", number, ROUNDS, configuration.name, p50)


def _try_ask(
    configurations: list[Configuration], request: dict[str, Any], timeout: float
) -> dict[str, Any] | None:
    """:func:`~edge_runtime.child.asking.ask`, with a failure noted in the configurations."""
    try:
        return ask(COMMAND, request, timeout, remedy=_TIMEOUT_REMEDY)
    except MissingComponent as error:
        _log.warning("skipped %s: %s", request["format"], error)
        for configuration in configurations:
            configuration.skipped = str(error)
    except EdgeError as error:
        for configuration in configurations:
            _log.warning("%s: %s", configuration.name, error)
            configuration.error = str(error)
    return None
