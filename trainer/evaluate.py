"""Evaluate a finished run on labelled photos; ``edge-train evaluate RUN DATA``."""

from __future__ import annotations

import os
import tempfile
from typing import Any

import numpy as np

from edge_runtime.backends.full_model import KerasBackend
from edge_runtime.classifier import Classifier
from edge_runtime.errors import DatasetError
from edge_runtime.rundir import RunDir

from .data import Sample, decode_part
from .folders import PARTS, VAL_ALIASES, class_photos, is_split, listing, sub_folders
from .metrics import classification_metrics


def predict(model: Any, images: np.ndarray, batch_size: int = 32) -> np.ndarray:
    """Probabilities of a Keras model.

    Args:
        model: ``keras.Model`` that takes (n, height, width, 3) pixels of 0..255.
        images: uint8 (n, height, width, 3) RGB; may be memory-mapped, read batch by batch.
        batch_size: Photos at once.

    Returns:
        float32 (n, classes).
    """
    result = np.zeros((len(images), model.output_shape[-1]), np.float32)
    # The last batch is filled up: one shape, so that TensorFlow traces the model once.
    batch = np.zeros((min(batch_size, len(images)), *images.shape[1:]), np.float32)
    for start in range(0, len(images), batch_size):
        count = min(batch_size, len(images) - start)
        batch[:count] = images[start : start + count]
        result[start : start + count] = np.asarray(model.predict_on_batch(batch))[:count]
    return result


def evaluate_run(run: RunDir, data_folder: str | os.PathLike[str]) -> dict[str, Any]:
    """Accuracy and per-class figures of a run on a folder of class folders.

    A class's index comes from the run, so the folder may lack classes.

    Args:
        run: The run.
        data_folder: Folder with a folder for each class, or for some of them.

    Returns:
        What :func:`trainer.metrics.classification_metrics` gives, and ``skipped``: a list of
        ``path`` and ``error`` of each photo that could not be read.

    Raises:
        UsageError: The folder does not exist.
        DatasetError: It has a class that the run does not know, no photo, or too many
            unreadable ones.
        ModelError: The model is damaged or contradicts the run.
        MissingComponent: TensorFlow or scikit-learn is not installed.
    """
    samples = _labelled_photos(run, data_folder)
    backend = KerasBackend(run.model_path)
    Classifier(backend, run.info, "keras", str(run.path))  # raises where they contradict
    with tempfile.TemporaryDirectory(prefix="edge-train-") as folder:
        images, labels, _, failures = decode_part(
            samples,
            run.info.preprocess,
            os.path.join(folder, "photos.npy"),
            os.fspath(data_folder),
        )
        probabilities = predict(backend.model, images)
        del images  # unmapped before its file goes
    metrics = classification_metrics(labels, probabilities, run.class_names)
    metrics["skipped"] = [{"path": path, "error": reason} for path, reason in failures]
    return metrics


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
