"""Which photos show a quantiser what the activations look like."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np

from edge_runtime.errors import DataError
from edge_runtime.rundir import SplitRow

from .photos import Photos, relative_names

_log = logging.getLogger("exporter")

#: With fewer, the smallest and largest activation depend on which photos were drawn.
FEW_PHOTOS = 100


def choose_photos(rows: Sequence[SplitRow], count: int, seed: int) -> list[SplitRow]:
    """Draw photos stratified over the classes: the same number of each, as far as they reach.

    A rare class has activations of its own, so it gets as many photos as a frequent one; where
    a class has too few, the others fill up.

    Args:
        rows: Training photos of the run.
        count: How many to draw; more than there are gives all.
        seed: Of the drawing.

    Returns:
        The photos, the classes taking turns.

    Raises:
        DataError: There is no training photo.
    """
    if not rows:
        raise DataError("The run lists no training photo to calibrate with. Train again.")
    by_class: dict[str, list[SplitRow]] = {}
    for row in sorted(rows, key=lambda row: (row.label, row.path)):
        by_class.setdefault(row.label, []).append(row)
    random = np.random.default_rng(seed)
    queues = [[group[i] for i in random.permutation(len(group))] for group in by_class.values()]
    turns = max(len(queue) for queue in queues)
    chosen = [queue[turn] for turn in range(turns) for queue in queues if turn < len(queue)]
    return chosen[:count]


def warn_if_few(count: int, available: int) -> None:
    """Log a warning when the calibration rests on few photos.

    Args:
        count: Photos that it rests on.
        available: Training photos of the run.
    """
    if count >= FEW_PHOTOS:
        return
    remedy = "raise --calibration-photos"
    if available <= count:
        remedy = "the run has no more training photos, so compare the accuracy of the files"
    _log.warning(
        "Quantised files are calibrated on %d photos; with fewer than %d their accuracy depends on "
        "which: %s.",
        count,
        FEW_PHOTOS,
        remedy,
    )


def describe(photos: Photos, seed: int) -> dict[str, Any]:
    """The ``calibration`` entry of the manifest: which photos, without the folder above them."""
    names = relative_names([row.path for row in photos.rows])
    return {
        "part": "train",
        "n": len(photos),
        "seed": seed,
        "photos": [
            {"file": name, "sha256": row.sha256}
            for name, row in zip(names, photos.rows, strict=True)
        ],
    }
