"""The answers of a finished run for labelled photos."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edge_runtime import rundir
from edge_runtime.backends.full_model import KerasBackend
from edge_runtime.classifier import Classifier
from edge_runtime.errors import EdgeError
from edge_runtime.rundir import RunDir

from ..config.io import read_config
from ..config.schema import CacheConfig
from ..data.dataset import Sample
from ..data.pixels import load_part

_log = logging.getLogger("trainer")


@dataclass(frozen=True)
class Answers:
    """What a run says about the photos that could be read."""

    model: Any  #: the ``keras.Model``
    samples: list[Sample]  #: the n photos, with checksums
    labels: np.ndarray  #: int32 (n,)
    probabilities: np.ndarray  #: float32 (n, classes)
    failures: list[tuple[str, str]]  #: path and reason of each photo that could not be read


def answer(run: RunDir, samples: Sequence[Sample], what: str) -> Answers:
    """Let a run's network answer photos, which are read as the run's own were.

    Args:
        run: The run; how many decoded photos are kept on disk is what it was trained with.
        samples: The photos.
        what: Word for them, for messages.

    Raises:
        ModelError: The model is damaged or contradicts the run.
        DatasetError: Too many photos are unreadable.
        MissingComponent: Keras is not installed.
    """
    backend = KerasBackend(run.model_path)
    Classifier(backend, run.info, "keras", str(run.path))  # raises where they contradict
    photos, failures = load_part(samples, run.info.preprocess, what, _cache_limit(run))
    probabilities = predict(backend.model, photos.images)
    return Answers(backend.model, photos.samples, photos.labels, probabilities, failures)


def _cache_limit(run: RunDir) -> float | None:
    """``cache.limit_gb`` of a run; the default where its configuration cannot be read."""
    try:
        return read_config(run.path / rundir.CONFIG).cache.limit_gb
    except (EdgeError, OSError):  # of another version, or gone; the answers do not hang on it
        return CacheConfig().limit_gb


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


def count_learned(run: RunDir, digests: Iterable[str], consequence: str) -> int:
    """How many photos a run was trained on or chosen by; a warning says so.

    Args:
        run: The run.
        digests: Checksum of each photo.
        consequence: What that does to the figures, for the warning.
    """
    seen = {row.sha256 for row in run.split() if row.part != "test"}
    known = [digest in seen for digest in digests]
    if any(known):
        _log.warning(
            "%d of the %d photos were used to train or validate %s: %s.",
            sum(known),
            len(known),
            run.path,
            consequence,
        )
    return sum(known)
