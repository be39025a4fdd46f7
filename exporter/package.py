"""Put a bundle together: convert, describe, compare; whole or not at all."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from edge_runtime.errors import DataError, ModelError
from edge_runtime.files import atomic_folder, size_of
from edge_runtime.manifest import (
    DEFAULT_FORMAT,
    LABELS_NAME,
    MANIFEST_NAME,
    PARITY_NAME,
    ModelInfo,
    artifact_name,
)
from edge_runtime.rundir import METRICS, SPLIT, RunDir, SplitRow, write_json

from .calibration import choose_photos, warn_if_few
from .contents import Origin, manifest
from .conversion import Converter
from .evidence import Truth, examine, gather
from .formats.registry import FORMATS, choose_formats, require
from .heatmaps import heatmap_spec
from .metadata.describe import describe
from .metadata.labels import labels_text
from .options import ExportOptions
from .photos import Photos, find_moved, load_photos
from .proof import write_golden, write_proof
from .report import ExportReport
from .target import check_target, only_writer
from .thresholds import THRESHOLDS, is_float

_log = logging.getLogger("exporter")

_CALIBRATION = "calibration.npy"


def export_bundle(
    run_path: str | os.PathLike[str],
    out: str | os.PathLike[str],
    formats: Sequence[str] = (),
    accept: Sequence[str] = (),
    *,
    options: ExportOptions | None = None,
    data: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
) -> ExportReport:
    """Export a run to a bundle.

    Args:
        run_path: Run directory of ``edge-train fit``.
        out: Folder to write.
        formats: Which formats, as :func:`exporter.formats.registry.choose_formats` reads them.
        accept: Float formats that stay in the bundle even if they fail their threshold.
        options: What holds for all formats; None for the defaults.
        data: Folder that the run's photos were moved to; None if they are where they were.
        overwrite: Whether an existing bundle may be replaced, as a whole.

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
    wanted = choose_formats(formats, accept)
    options = options or ExportOptions()
    run = RunDir.open(run_path)
    labels = labels_text(run.class_names)
    check_target(run, Path(out), overwrite)
    require(wanted)
    with (
        only_writer(Path(out)),
        atomic_folder(out, overwrite) as folder,
        tempfile.TemporaryDirectory(prefix=".work-", dir=folder) as name,
    ):
        work = Path(name)
        validation, training = _rows(run, wanted, options, data)
        _log.info("opening the model")
        with Converter(run, options, work) as converter:
            truth = gather(run, converter, validation, work)
            drawn = _calibration(run, training, work)
            origin = Origin.of(run, options)
            rows, infos, examined = {}, {}, {}
            for fmt in sorted(wanted, key=_memory_first):
                photos = work / _CALIBRATION if FORMATS[fmt].calibrates else None
                plain, info = _convert(fmt, converter, photos, origin, truth)
                found = examine(truth, fmt, plain, info, described=False)
                file = folder / artifact_name(fmt)
                infos[fmt] = info if found.output is None else replace(info, output=found.output)
                describe(plain, file, infos[fmt], origin.name)
                _discard(plain)
                rows[fmt] = _row(fmt, file, found.figures, infos[fmt], accepted=fmt in accept)
                examined[fmt] = found
            report = _report([rows[fmt] for fmt in wanted], truth, out)
            for line in report.warnings():
                _log.warning("%s", line)
            if report.bundle is None:
                report.check()  # raises; nothing is written
            (folder / LABELS_NAME).write_text(labels, encoding="utf-8")
            finished = {row["format"]: infos[row["format"]] for row in report.kept()}
            golden = write_golden(folder, truth, converter, finished, work)
            write_json(folder / PARITY_NAME, report.parity())
            contents = manifest(origin, folder, report, infos, drawn)
            (folder / MANIFEST_NAME).write_text(contents.to_json(), encoding="utf-8")
            write_proof(folder, report, truth, examined, golden, contents)
    return report


def _memory_first(fmt: str) -> bool:
    """ONNX first: tf2onnx needs most memory, and the TFLite converter keeps what it took."""
    return not fmt.startswith("onnx")


def _rows(
    run: RunDir,
    wanted: Sequence[str],
    options: ExportOptions,
    data: str | os.PathLike[str] | None,
) -> tuple[list[SplitRow], list[SplitRow]]:
    """The validation photos, and the training photos to calibrate with (none if no format does)."""
    validation = run.split("val")
    if not validation:
        raise DataError(f"{run.path}: lists no validation photo to compare with. Train again.")
    known = (run.metrics().get("val") or {}).get("n", 0)
    if len(validation) < known:  # photos that could not be decoded are listed, too
        raise ModelError(
            f"{run.path / SPLIT}: lists {len(validation)} validation photos, {METRICS} counts "
            f"{known}: cut off. Copy the run again."
        )
    unknown = {row.label for row in validation} - set(run.class_names)
    if unknown:
        raise ModelError(
            f"{run.path / SPLIT}: names classes that the run does not know: "
            f"{', '.join(sorted(unknown))}. The run was altered by hand; train again."
        )
    training = []
    if any(FORMATS[fmt].calibrates for fmt in wanted):
        training = choose_photos(run.split("train"), options.calibration_photos, options.seed)
    if data is not None:
        moved = find_moved([*validation, *training], Path(data))
        validation, training = moved[: len(validation)], moved[len(validation) :]
    return validation, training


def _calibration(run: RunDir, rows: Sequence[SplitRow], work: Path) -> Photos | None:
    if not rows:
        return None
    drawn = load_photos(rows, run.info.preprocess, work / _CALIBRATION)
    warn_if_few(len(drawn), len(run.split("train")))
    return drawn


def _convert(
    fmt: str, converter: Converter, calibration: Path | None, origin: Origin, truth: Truth
) -> tuple[Path, ModelInfo]:
    """Convert one format; gives the plain file, and what it has to say about itself."""
    start = time.monotonic()
    plain = converter.convert(fmt, calibration)
    _log.info(
        "%-14s  converted in %.0f s, %.1f MB; comparing on %d photos",
        fmt,
        time.monotonic() - start,
        size_of(plain) / 1e6,
        len(truth),
    )
    return plain, origin.info(fmt, heatmap_spec(fmt, plain, converter.heatmap))


def _discard(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def _row(
    fmt: str, file: Path, figures: Mapping[str, Any], info: ModelInfo, accepted: bool
) -> dict[str, Any]:
    """A row of ``parity.json``; removes the file if it has to stay out of the bundle."""
    usable = "error" not in figures
    kept = usable and (figures["passed"] or accepted or not is_float(fmt))
    row = {
        "format": fmt,
        "file": file.name if kept else None,
        "bytes": size_of(file),
        "quantization": info.about["quantization"],
        **figures,
        "threshold": THRESHOLDS[fmt].to_dict(),
    }
    if not kept:
        _discard(file)
    return row


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
