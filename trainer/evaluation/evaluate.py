"""Evaluate a finished run on labelled photos; ``edge-train evaluate RUN DATA``."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from edge_runtime import rundir
from edge_runtime.backends.full_model import KerasBackend
from edge_runtime.classifier import Classifier
from edge_runtime.errors import DatasetError, EdgeError, UsageError
from edge_runtime.files import refuse_existing
from edge_runtime.rundir import RunDir

from ..config.io import read_config
from ..config.schema import CacheConfig, EvaluationConfig
from ..data.dataset import Sample
from ..data.folders import PARTS, VAL_ALIASES, class_photos, is_split, listing, sub_folders
from ..data.pixels import load_part
from ..report.html import Report, write_report
from ..report.photos import confident_mistakes, doubtful_hits, photo_cards, suspect_picture
from .calibration import known_answers, reliability, scaled
from .class_maps import class_maps
from .label_errors import Suspect, find_suspects
from .metrics import classification_metrics
from .predictions import Predictions, read_predictions

_log = logging.getLogger("trainer")

#: Name of the photos of ``edge-train evaluate`` among the parts.
DATA = "given"


def predict(model: Any, images: Any, batch_size: int = 32) -> np.ndarray:
    """Probabilities of a Keras model.

    Args:
        model: ``keras.Model`` that takes (n, height, width, 3) pixels of 0..255.
        images: Array-like uint8 (n, height, width, 3) RGB; read batch by batch.
        batch_size: Photos at once.

    Returns:
        float32 (n, classes).
    """
    result = np.zeros((len(images), model.output_shape[-1]), np.float32)
    # The last batch is filled up: one shape, so that the model is traced once.
    batch = np.zeros((min(batch_size, len(images)), *images.shape[1:]), np.float32)
    for start in range(0, len(images), batch_size):
        count = min(batch_size, len(images) - start)
        batch[:count] = images[start : start + count]
        result[start : start + count] = np.asarray(model.predict_on_batch(batch))[:count]
    return result


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
        - ``unknown``: what the run's "unknown" threshold does, None where it has none;
        - ``label_errors``: of :func:`describe_suspects`.

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
    backend = KerasBackend(run.model_path)
    Classifier(backend, run.info, "keras", str(run.path))  # raises where they contradict
    photos, failures = load_part(
        samples, run.info.preprocess, os.fspath(data_folder), cache_limit(run)
    )
    labels, kept = photos.labels, photos.samples
    probabilities = predict(backend.model, photos.images)
    paths = [sample.path for sample in kept]
    predictions = Predictions(
        run.class_names, paths, [DATA] * len(paths), np.asarray(labels), probabilities
    )
    output, learned = run.info.output, _learned(run, kept)
    metrics = part_metrics(predictions, output.temperature)
    metrics["skipped"] = [{"path": path, "error": reason} for path, reason in failures]
    metrics["learned"] = learned
    metrics["unknown"] = None
    if output.unknown_threshold is not None:
        surer = scaled(probabilities, output.temperature)
        metrics["unknown"] = {"threshold": output.unknown_threshold} | known_answers(
            predictions.labels, surer, output.unknown_threshold
        )
    suspects = find_suspects(predictions if elsewhere is None else elsewhere)
    metrics["label_errors"] = describe_suspects(suspects)
    if report is not None:
        page = _page(run, data_folder, predictions, metrics, backend.model)
        write_report(
            replace(page, **shown_suspects(suspects, EvaluationConfig().shown_photos)),
            report,
            overwrite,
        )
    return metrics


def cache_limit(run: RunDir) -> float | None:
    """``cache.limit_gb`` of a run; the default where its configuration cannot be read."""
    try:
        return read_config(run.path / rundir.CONFIG).cache.limit_gb
    except EdgeError:  # of another version; what is evaluated does not hang on it
        return CacheConfig().limit_gb


def read_out_of_fold(
    file: str | os.PathLike[str], class_names: Sequence[str]
) -> Predictions:  # fmt: skip
    """Read predictions by networks that had not seen the photos.

    Raises:
        UsageError: No such file, or it is about other classes.
        DataError: It is no such table.
    """
    found = read_predictions(file)
    if found.class_names != tuple(class_names):
        raise UsageError(
            f"{os.fspath(file)}: is about the classes {listing(found.class_names)}, the run about "
            f"{listing(class_names)}. Make it from the same photos."
        )
    return found


def describe_suspects(suspects: Sequence[Suspect]) -> dict[str, Any]:
    """Suspected label errors for ``metrics.json``: ``count``, and all of them as ``suspects``."""
    return {"count": len(suspects), "suspects": [suspect.to_dict() for suspect in suspects]}


def shown_suspects(suspects: Sequence[Suspect], shown: int) -> dict[str, Any]:
    """What a :class:`~trainer.report.html.Report` shows of them: the surest, with their photos."""
    return {
        "suspects": [(suspect, suspect_picture(suspect)) for suspect in suspects[: 2 * shown]],
        "suspects_count": len(suspects),
    }


def _page(
    run: RunDir,
    data_folder: str | os.PathLike[str],
    predictions: Predictions,
    metrics: dict[str, Any],
    model: Any,
) -> Report:
    shown, maps = EvaluationConfig().shown_photos, class_maps(model)
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
        unknown=unknown and {**unknown, "rule": rule, "parts": {DATA: unknown}},
        mistakes=photo_cards(predictions, confident_mistakes(predictions, shown), run.info, maps),
        hits=photo_cards(predictions, doubtful_hits(predictions, shown), run.info, maps),
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


def _learned(run: RunDir, samples: Sequence[Sample]) -> int:
    """How many of the photos the run was trained on or chosen by, by content."""
    seen = {row.sha256 for row in run.split() if row.part != "test"}
    count = sum(sample.sha256 in seen for sample in samples)
    if count:
        _log.warning(
            "%d of the %d photos were used to train or validate %s: the figures flatter it.",
            count,
            len(samples),
            run.path,
        )
    return count


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
