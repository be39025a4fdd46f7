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

#: Photos that quantised files are judged on: with no answer lost of so many, counting alone bounds
#: the drop by 0.5 points (the rule of three at 95 %).
JUDGES = 600


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


def choose_judges(
    validation: Sequence[SplitRow],
    training: Sequence[SplitRow],
    calibration: Sequence[SplitRow],
    seed: int,
) -> tuple[list[SplitRow], int]:
    """Draw the photos that quantised files are judged on: none that calibration sees.

    Args:
        validation: All validation photos of the run; of more than :data:`JUDGES`, so many are drawn.
        training: All training photos; where the validation photos are fewer than that, they fill
            up, as far as they reach.
        calibration: Those that calibration sees.
        seed: Of the drawing.

    Returns:
        The photos, and how many of them, the first ones, are validation photos.
    """
    chosen = choose_photos(validation, JUDGES, seed)
    seen = {row.sha256 for row in (*calibration, *validation)}
    others = [row for row in training if row.sha256 not in seen]
    missing = JUDGES - len(chosen)
    if missing and others:
        chosen = [*chosen, *choose_photos(others, missing, seed)]
    return chosen, min(len(validation), JUDGES)


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
