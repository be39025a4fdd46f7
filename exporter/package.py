"""Put a bundle together: convert, describe, compare; whole or not at all."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from edge_runtime.manifest import (
    DEFAULT_FORMAT,
    LABELS_NAME,
    MANIFEST_NAME,
    PARITY_NAME,
    artifact_name,
)
from edge_runtime.rundir import RunDir, write_json

from .contents import Origin, manifest
from .conversion import Converter
from .drawing import choose_rows, load_calibration, load_judges
from .evidence import Truth, gather
from .features import training_photos, write_features
from .formats.registry import choose_formats, require, split_names
from .making import Maker
from .metadata.labels import labels_text
from .options import ExportOptions
from .proof import write_golden, write_proof
from .report import ExportReport
from .serving import layout
from .target import Target

_log = logging.getLogger("exporter")

_CALIBRATION = "calibration.npy"
_JUDGING = "judging.npy"


def export_bundle(
    run_path: str | os.PathLike[str],
    out: str | os.PathLike[str],
    formats: Sequence[str] = (),
    accept: Sequence[str] = (),
    *,
    options: ExportOptions | None = None,
    data: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    zipped: bool = False,
    serving: str | os.PathLike[str] | None = None,
) -> ExportReport:
    """Export a run to a bundle.

    Args:
        run_path: Run directory of ``edge-train fit``.
        out: Folder to write; with the suffix ``.zip`` the bundle is that one file.
        formats: Which formats, as :func:`exporter.formats.registry.choose_formats` reads them.
        accept: Float formats that stay in the bundle even if they fail their threshold.
        options: What holds for all formats; None for the defaults.
        data: Folder that the run's photos were moved to; None if they are where they were.
        overwrite: Whether an existing bundle may be replaced, as a whole.
        zipped: Whether a folder is written as one file beside it, too.
        serving: Folder to write for NVIDIA Triton and TensorFlow Serving; None for none.

    Returns:
        The report; its :meth:`~exporter.report.ExportReport.check` raises if a format was
        left out of the bundle.

    Raises:
        UsageError: An unknown format, no such run, ``out`` exists, or another export writes it.
        DataError: The run is damaged, its photos are gone or changed, or a converter failed.
        NothingPassed: No format could be used; nothing was written.
        MissingComponent: A converter is not installed.
        SystemFailure: Disk full, no permission, or no memory.
    """
    wanted, accepted = choose_formats(formats, accept), split_names(accept)
    options = options or ExportOptions()
    run = RunDir.open(run_path)
    labels = labels_text(run.class_names)
    target = Target.of(out, zipped, serving)
    target.check(run, overwrite)
    served = layout.served_formats(wanted) if serving is not None else []
    require([*wanted, *served])
    with (
        target.open(overwrite) as (folder, servers),
        tempfile.TemporaryDirectory(prefix=".work-", dir=folder) as name,
    ):
        work = Path(name)
        chosen = choose_rows(run, wanted, options, data)
        _log.info("opening the model")
        with Converter(run, options, work) as converter:
            truth = gather(run, converter, chosen.validation, work)
            drawn = load_calibration(run, chosen, work / _CALIBRATION)
            judging = load_judges(run, chosen, work / _JUDGING)
            origin = Origin.of(run, options)
            photos = None if drawn is None else work / _CALIBRATION
            maker = Maker(converter, origin, truth, photos, judging)
            made = {
                fmt: maker.make(fmt, folder / artifact_name(fmt), fmt in accepted)
                for fmt in sorted(wanted, key=_memory_first)
            }
            rows = {fmt: one.row for fmt, one in made.items()}
            infos = {fmt: one.info for fmt, one in made.items()}
            examined = {fmt: one.examined for fmt, one in made.items()}
            report = _report([rows[fmt] for fmt in wanted], truth, out)
            for line in report.warnings():
                _log.warning("%s", line)
            if report.bundle is None:
                report.check()  # raises; nothing is written
            (folder / LABELS_NAME).write_text(labels, encoding="utf-8")
            finished = {row["format"]: infos[row["format"]] for row in report.kept()}
            golden = write_golden(folder, truth, converter, finished, work)
            write_json(folder / PARITY_NAME, report.parity())
            training = training_photos(run, drawn, options, data, work, work / _CALIBRATION)
            features = write_features(folder, list(finished), truth, training, work)
            contents = manifest(origin, folder, report, infos, drawn, features)
            (folder / MANIFEST_NAME).write_text(contents.to_json(), encoding="utf-8")
            write_proof(folder, report, truth, examined, golden, contents)
        if servers is not None:
            kept = [fmt for fmt in served if fmt not in rows or rows[fmt]["file"] is not None]
            models = layout.fill(servers, kept, origin, truth, photos, accepted, work / "serving")
            report = replace(report, serving={"folder": str(target.serving), "models": models})
    return replace(report, zip=None if target.zip is None else os.fspath(target.zip))


def _memory_first(fmt: str) -> bool:
    """ONNX first: tf2onnx needs most memory, and the TFLite converter keeps what it took."""
    return not fmt.startswith("onnx")


def _report(
    rows: Sequence[Mapping[str, Any]], truth: Truth, out: str | os.PathLike[str]
) -> ExportReport:
    kept = [row for row in rows if row["file"] is not None]
    return ExportReport(
        bundle=os.fspath(out) if kept else None,
        default=min(kept, key=_last_choice)["format"] if kept else None,
        reference=truth.figures(),
        artifacts=rows,
    )


def _last_choice(row: Mapping[str, Any]) -> tuple[bool, bool, bool]:
    """Sorts the best default first: what passed, and what a device can run, before the rest."""
    fmt = row["format"]
    return fmt != DEFAULT_FORMAT, not row["passed"], fmt == "saved_model"
