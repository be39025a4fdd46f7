"""What a bundle holds besides its files: the golden photos, the model's answers, and the page."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edge_runtime.golden import FOLDER
from edge_runtime.manifest import Manifest, ModelInfo

from . import golden
from .evidence import Examined, FullModel, Truth
from .page import Page, changes, golden_pictures, write_page
from .record import write_record
from .report import ExportReport

PAGE_NAME = "parity.html"


def write_golden(
    folder: Path,
    truth: Truth,
    model: FullModel,
    finished: Mapping[str, ModelInfo],
    work: Path,
) -> golden.Golden:
    """Write ``golden/``: photos with every file's scores, and the Keras model's answers.

    Args:
        folder: The bundle.
        truth: The validation photos.
        model: The Keras model.
        finished: By format, what the file in the bundle has to say about itself.
        work: Folder for what is not part of the bundle.

    Raises:
        ModelError: A finished file does not run any more.
    """
    photos = golden.write_photos(folder, truth, model, work)
    golden.write_scores(folder, photos, finished)
    write_record(folder, truth)
    return photos


def write_proof(
    folder: Path,
    report: ExportReport,
    truth: Truth,
    examined: Mapping[str, Examined],
    photos: golden.Golden,
    manifest: Manifest,
) -> None:
    """Write ``parity.html`` into a bundle that holds everything else.

    Args:
        folder: The bundle.
        report: Its figures.
        truth: The validation photos.
        examined: By format, in any order.
        photos: The golden photos.
        manifest: Where all came from.
    """
    shown = {row["format"]: examined[row["format"]] for row in report.artifacts}
    page = Page(
        title=f"Do the files of {manifest.source.get('run', 'this run')} answer like the model?",
        sentence=report.sentence(),
        mood=_mood(report),
        intro=(
            f"Each file was run through edge_runtime in a process of its own, photo by photo, on "
            f"the {len(truth)} validation photos from their original files, and compared with the "
            "Keras model in float32."
        ),
        fitted="both it and the “unknown” threshold were fitted on these same photos, from the "
        "file's own scores.",
        reference=report.reference,
        rows=report.artifacts,
        default=report.default,
        notes=notes(report.artifacts),
        changes=changes(truth, shown),
        golden=golden_pictures(folder / FOLDER, photos.photos),
        facts=facts(manifest),
        calibration=manifest.calibration,
    )
    write_page(page, folder / PAGE_NAME)


def facts(manifest: Manifest) -> list[tuple[str, str]]:
    """Where a bundle comes from, for people."""
    found = [("run", str(manifest.source.get("run", "unknown")))]
    for part, figures in manifest.source.get("metrics", {}).items():
        if "accuracy" in figures:
            found.append((f"accuracy, {part}", f"{figures['accuracy']:.1%} of the Keras model"))
    spec = manifest.info.preprocess
    found.append(
        ("input", f"{spec.width} x {spec.height} pixels, fit {spec.fit}, kernel {spec.kernel}")
    )
    found.append(("classes", ", ".join(manifest.info.class_names)))
    found += [(str(tool), str(version)) for tool, version in manifest.versions.items()]
    return found


def notes(rows: Any) -> list[str]:
    """What a reader has to know of all files, each sentence once."""
    found = [note for row in rows for note in ((row.get("calibration") or {}).get("notes") or ())]
    return list(dict.fromkeys(found))


def _mood(report: ExportReport) -> str:
    if all(row["passed"] for row in report.artifacts):
        return "holds"
    return "warns" if any(row["passed"] for row in report.artifacts) else "fails"
