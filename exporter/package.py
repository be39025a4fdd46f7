"""Put a bundle together: convert, compare, describe; whole or not at all."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from edge_runtime.backends.full_model import load_keras_model
from edge_runtime.errors import UsageError
from edge_runtime.files import atomic_folder, refuse_existing, sha256_tree, size_of
from edge_runtime.machine import installed_versions
from edge_runtime.manifest import (
    DEFAULT_FORMAT,
    FORMAT_SUFFIXES,
    LABELS_NAME,
    MANIFEST_NAME,
    PARITY_NAME,
    Artifact,
    Manifest,
    OutputSpec,
    check_format,
)
from edge_runtime.rundir import RunDir, write_json

from .calibration import DEFAULT_PHOTOS, choose_photos, describe, warn_if_few
from .evidence import Truth, examine, gather
from .formats import CALIBRATED, SCHEMES, FormatWriter, require
from .metadata import labels_text
from .onnx import DEFAULT_OPSET
from .photos import Photos, load_photos, printable
from .proof import FIGURES, write_golden, write_proof
from .reference import Reference
from .report import ExportReport
from .saved_model import check_model
from .thresholds import THRESHOLDS, is_float

_log = logging.getLogger("exporter")

_TOOLS = ("tensorflow", "keras", "tf2onnx", "onnx", "onnxruntime", "ai-edge-litert", "numpy")


def export_bundle(
    run_path: str | os.PathLike[str],
    out: str | os.PathLike[str],
    formats: Sequence[str] = tuple(FORMAT_SUFFIXES),
    accept: Sequence[str] = (),
    *,
    calibration_photos: int = DEFAULT_PHOTOS,
    seed: int = 0,
    opset: int = DEFAULT_OPSET,
    overwrite: bool = False,
) -> ExportReport:
    """Export a run to a bundle.

    Args:
        run_path: Run directory of ``edge-train fit``; its photos must still be where they were.
        out: Folder to write.
        formats: Which formats, see :data:`edge_runtime.manifest.FORMAT_SUFFIXES`.
        accept: Float formats that stay in the bundle even if they fail their threshold.
        calibration_photos: How many training photos the full-integer format is calibrated on.
        seed: Of the drawing of those.
        opset: ONNX operator set.
        overwrite: Whether an existing bundle may be replaced, as a whole.

    Returns:
        The report; its :meth:`~exporter.report.ExportReport.check` raises if a format was
        left out of the bundle.

    Raises:
        UsageError: An unknown format, no such run, or ``out`` exists.
        DataError: The run is damaged, its photos are gone or changed, or a converter failed.
        NothingPassed: No format could be used; nothing was written.
        MissingComponent: A converter is not installed.
    """
    wanted = choose_formats(formats, accept)
    run = RunDir.open(run_path)
    labels = labels_text(run.class_names)
    check_target(run, Path(out), overwrite)
    require(wanted)
    model = load_keras_model(run.model_path)
    check_model(model, run.info, str(run.model_path))
    with (
        atomic_folder(out, overwrite) as folder,
        tempfile.TemporaryDirectory(prefix=".work-", dir=folder) as name,
    ):
        work = Path(name)
        reference = Reference(model)
        truth = gather(run, reference, work)
        drawn = None
        if not CALIBRATED.isdisjoint(wanted):
            chosen = choose_photos(run.split("train"), calibration_photos, seed)
            drawn = load_photos(chosen, run.info.preprocess)
            warn_if_few(len(drawn))
        _log.info("saved_model: tracing the network")
        writer = FormatWriter(model, run.info, printable(run.path.resolve().name), work)
        rows, examined, finished = {}, {}, {}
        for fmt in sorted(wanted, key=_memory_first):
            _log.info("%s: converting, comparing on %d photos", fmt, len(truth))
            file = writer.write(fmt, folder, None if drawn is None else drawn.pixels, opset)
            found = examine(truth, fmt, file, run.info, described=False)
            rows[fmt] = _row(fmt, file, found.figures, accepted=fmt in accept)
            examined[fmt] = found
            if rows[fmt]["file"] is not None and found.output is not None:
                info = replace(run.info, output=found.output)
                writer.describe(file, info)
                rows[fmt]["bytes"] = size_of(file)
                finished[fmt] = (file, info)
        report = _report([rows[fmt] for fmt in wanted], truth, out)
        for line in report.warnings():
            _log.warning("%s", line)
        if report.bundle is None:
            report.check()  # raises; nothing is written
        (folder / LABELS_NAME).write_text(labels, encoding="utf-8")
        golden = write_golden(folder, truth, reference, finished, work)
        write_json(folder / PARITY_NAME, report.parity())
        outputs = {fmt: info.output for fmt, (_, info) in finished.items()}
        manifest = _manifest(run, folder, report, outputs, drawn, seed)
        (folder / MANIFEST_NAME).write_text(manifest.to_json(), encoding="utf-8")
        write_proof(folder, report, truth, examined, golden, manifest)
    return report


def choose_formats(formats: Sequence[str], accept: Sequence[str]) -> list[str]:
    """The formats to write, each once, in the order of the manifest's list.

    Raises:
        UsageError: A name is unknown, none is left, or ``accept`` names one that is not asked for.
    """
    for name in (*formats, *accept):
        check_format(name)
    if not formats:
        raise UsageError(f"No format to export. Known: {', '.join(FORMAT_SUFFIXES)}.")
    for name in accept:
        if name not in formats:
            raise UsageError(
                f"--accept {name}: not among the formats to export, {', '.join(formats)}."
            )
    return [name for name in FORMAT_SUFFIXES if name in formats]


def check_target(run: RunDir, out: Path, overwrite: bool) -> None:
    """Check, before any work, that writing ``out`` loses nothing that is no bundle.

    Raises:
        UsageError: It is a file, the run itself, or a folder of something else.
        OutputExists: It exists and ``overwrite`` is false.
    """
    if run.path.resolve().is_relative_to(out.resolve()):
        raise UsageError(f"{out}: holds the run itself. Choose another folder for the bundle.")
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out}: is a file; a folder was expected.")
    refuse_existing(out, overwrite)
    if out.is_dir() and any(out.iterdir()) and not (out / MANIFEST_NAME).is_file():
        raise UsageError(
            f"{out}: not a bundle (it has no {MANIFEST_NAME}), so --overwrite does not replace "
            "it. Choose another folder."
        )


def _memory_first(fmt: str) -> bool:
    """ONNX first: tf2onnx needs most memory, and the TFLite converter keeps what it took."""
    return not fmt.startswith("onnx")


def _row(fmt: str, file: Path, figures: Mapping[str, Any], accepted: bool) -> dict[str, Any]:
    """A row of ``parity.json``; removes the file if it has to stay out of the bundle."""
    usable = "error" not in figures
    kept = usable and (figures["passed"] or accepted or not is_float(fmt))
    row = {
        "format": fmt,
        "file": file.name if kept else None,
        "bytes": size_of(file),
        "quantization": SCHEMES[fmt],
        **figures,
        "threshold": THRESHOLDS[fmt].to_dict(),
    }
    if not kept:
        shutil.rmtree(file) if file.is_dir() else file.unlink()
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


def _manifest(
    run: RunDir,
    folder: Path,
    report: ExportReport,
    outputs: Mapping[str, OutputSpec],
    drawn: Photos | None,
    seed: int,
) -> Manifest:
    artifacts = [
        Artifact(
            format=row["format"],
            file=row["file"],
            bytes=row["bytes"],
            sha256=sha256_tree(folder / row["file"]),
            quantization=row["quantization"],
            passed=row["passed"],
            parity={key: row[key] for key in FIGURES},
            output=outputs[row["format"]],
        )
        for row in report.artifacts
        if row["file"] is not None
    ]
    return Manifest(
        info=run.info,
        artifacts=tuple(artifacts),
        default=str(report.default),
        versions=installed_versions(_TOOLS),
        source={"run": printable(run.path.resolve().name), "metrics": _scalars(run.metrics())},
        calibration={} if drawn is None else describe(drawn, seed),
    )


def _scalars(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """The single figures of each part; the tables per class stay with the run."""
    return {
        part: {key: value for key, value in figures.items() if isinstance(value, (int, float))}
        for part, figures in metrics.items()
        if isinstance(figures, Mapping)
    }
