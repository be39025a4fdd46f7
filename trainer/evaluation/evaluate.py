"""Evaluate a finished run on labelled photos; ``edge-train evaluate RUN DATA``."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from edge_runtime import rundir
from edge_runtime.errors import DatasetError
from edge_runtime.files import refuse_existing
from edge_runtime.rundir import PARTS, RunDir

from ..config.schema import EvaluationConfig
from ..data.dataset import Sample
from ..data.folders import VAL_ALIASES, class_photos, is_split, listing, sub_folders
from ..report.html import Report, write_report
from ..report.photos import photo_cards, suspect_picture
from .answers import answer, count_learned
from .calibration import apply_thresholds, known_answers, reliability, scaled
from .class_maps import class_maps
from .label_errors import Suspect, describe_suspects, find_suspects
from .metrics import classification_metrics
from .notable import confident_mistakes, describe_photos, doubtful_hits
from .predictions import Predictions, read_out_of_fold

#: Name of the photos of ``edge-train evaluate`` among the parts.
DATA = "given"


def part_metrics(predictions: Predictions, temperature: float | None) -> dict[str, Any]:
    """Figures of one part for ``metrics.json``.

    Args:
        predictions: Its answers.
        temperature: Of the calibrated scores; None without.

    Returns:
        What :func:`trainer.evaluation.metrics.classification_metrics` gives, and ``calibration``: ``raw`` and
        ``calibrated`` (None without a temperature), each as of
        :func:`trainer.evaluation.calibration.reliability`.
    """
    labels, probabilities = predictions.labels, predictions.probabilities
    metrics = classification_metrics(labels, probabilities, predictions.class_names)
    calibrated = None
    if temperature is not None:
        calibrated = reliability(labels, scaled(probabilities, temperature))
    metrics["calibration"] = {"raw": reliability(labels, probabilities), "calibrated": calibrated}
    return metrics


def evaluate_run(
    run: RunDir,
    data_folder: str | os.PathLike[str],
    report: str | os.PathLike[str] | None = None,
    out_of_fold: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Accuracy and per-class figures of a run on a folder of class folders.

    A class's index comes from the run, so the folder may lack classes.

    Args:
        run: The run.
        data_folder: Folder with a folder for each class, or for some of them.
        report: Page to write.
        out_of_fold: Predictions by networks that had not seen the photos, as
            ``edge-train crossval`` writes; suspected label errors are then taken from them.
        overwrite: Whether an existing page may be replaced.

    Returns:
        What :func:`part_metrics` gives, and

        - ``skipped``: a list of ``path`` and ``error`` of each photo that could not be read;
        - ``learned``: number of the photos that the run was trained on or that chose its weights;
        - ``temperature``: as the run fitted it, None where it has none;
        - ``unknown``: what the run's "unknown" threshold does, None where it has none;
        - ``class_thresholds``: ``precision`` and ``parts``: rows by class of the run's own ``val``
          part and of these photos, None where the run has no thresholds of classes;
        - ``confident_mistakes``, ``doubtful_hits``: of
          :func:`trainer.evaluation.notable.describe_photos`;
        - ``label_errors``: of :func:`trainer.evaluation.label_errors.describe_suspects`.

    Raises:
        UsageError: The folder does not exist.
        DatasetError: It has a class that the run does not know, no photo, or too many
            unreadable ones.
        ModelError: The model is damaged or contradicts the run.
        MissingComponent: Keras, scikit-learn or, for the page, Jinja is not installed.
    """
    if report is not None:
        refuse_existing(report, overwrite)
    elsewhere = None if out_of_fold is None else read_out_of_fold(out_of_fold, run.class_names)
    samples = _labelled_photos(run, data_folder)
    found = answer(run, samples, os.fspath(data_folder))
    paths = [sample.path for sample in found.samples]
    predictions = Predictions(
        run.class_names, paths, [DATA] * len(paths), found.labels, found.probabilities
    )
    output = run.info.output
    metrics = part_metrics(predictions, output.temperature)
    metrics["skipped"] = [{"path": path, "error": reason} for path, reason in found.failures]
    digests = [sample.sha256 for sample in found.samples]
    metrics["learned"] = count_learned(run, digests, "the figures flatter it")
    metrics |= _as_fitted(run, predictions)
    shown = EvaluationConfig().shown_photos
    mistakes, hits = confident_mistakes(predictions, shown), doubtful_hits(predictions, shown)
    metrics["confident_mistakes"] = describe_photos(predictions, mistakes)
    metrics["doubtful_hits"] = describe_photos(predictions, hits)
    suspects = find_suspects(predictions if elsewhere is None else elsewhere)
    metrics["label_errors"] = describe_suspects(suspects)
    if report is not None:
        maps = class_maps(found.model)
        page = replace(
            _page(run, data_folder, metrics),
            mistakes=photo_cards(predictions, mistakes, run.info, maps),
            hits=photo_cards(predictions, hits, run.info, maps),
            **shown_suspects(suspects, shown),
        )
        write_report(page, report, overwrite)
    return metrics


def shown_suspects(suspects: Sequence[Suspect], shown: int) -> dict[str, Any]:
    """What a :class:`~trainer.report.html.Report` shows of them: the surest, with their photos."""
    return {
        "suspects": [(suspect, suspect_picture(suspect)) for suspect in suspects[: 2 * shown]],
        "suspects_count": len(suspects),
    }


def _as_fitted(run: RunDir, predictions: Predictions) -> dict[str, Any]:
    """What the run fitted on its validation photos, and what that does to these."""
    output, stored, labels = run.info.output, run.metrics(), predictions.labels
    surer = scaled(predictions.probabilities, output.temperature)
    unknown, thresholds = None, stored.get("class_thresholds")
    if output.unknown_threshold is not None:
        known = known_answers(labels, surer, output.unknown_threshold)
        unknown = {"threshold": output.unknown_threshold, **known}
    if thresholds is not None:
        val = thresholds["parts"]["val"]
        given = apply_thresholds(labels, surer, run.class_names, val)
        thresholds = {"precision": thresholds["precision"], "parts": {"val": val, DATA: given}}
    return {
        "temperature": stored.get("temperature"),
        "unknown": unknown,
        "class_thresholds": thresholds,
    }


def _page(run: RunDir, data_folder: str | os.PathLike[str], metrics: dict[str, Any]) -> Report:
    """The page without its photos."""
    notes = []
    if metrics["learned"]:
        notes.append(
            f"{metrics['learned']} of these {metrics['n']} photos were used to train or validate "
            "the run: the figures flatter it."
        )
    unknown = metrics["unknown"]
    rule = "The threshold was fitted when the run was made."
    return Report(
        title=run.path.resolve().name,
        subtitle=f"on the photos in {os.fspath(data_folder)}",
        class_names=run.class_names,
        parts={DATA: metrics},
        temperature=metrics["temperature"],
        unknown=unknown and {**unknown, "rule": rule, "parts": {DATA: unknown}},
        class_thresholds=metrics["class_thresholds"],
        counts={n: {DATA: row["support"]} for n, row in metrics["per_class"].items()},
        left_out=[{"part": DATA, **row} for row in metrics["skipped"]],
        notes=notes,
        texts={
            "Configuration": _text(run, rundir.CONFIG),
            "Environment": _text(run, rundir.ENVIRONMENT),
        },
    )


def _text(run: RunDir, name: str) -> str:
    file = run.path / name
    return file.read_text(encoding="utf-8", errors="replace") if file.is_file() else "not recorded"


def _labelled_photos(run: RunDir, folder: str | os.PathLike[str]) -> list[Sample]:
    known = run.class_names
    where = os.fspath(folder)
    found = sub_folders(folder)
    if not set(found) <= set(known) and is_split(folder):
        parts = [name for name in found if name in (*PARTS, *VAL_ALIASES)]
        raise DatasetError(
            f"{where}: holds {', '.join(parts)}, not classes. "
            f"Name one of them, for example {os.path.join(where, parts[0])}"
        )
    photos = class_photos(folder)
    unknown = set(photos) - set(known)
    if unknown:
        raise DatasetError(
            f"{where}: {listing(unknown)} is no class of the run {run.path}, which knows "
            f"{listing(known)}. Rename or remove the folder."
        )
    samples = [Sample(path, known.index(name)) for name in photos for path in photos[name]]
    if not samples:
        raise DatasetError(f"{where}: no photo in any class folder ({listing(photos)}).")
    return samples
