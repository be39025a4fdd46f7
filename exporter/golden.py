"""A few photos and their scores inside the bundle, so that a device can test itself later."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from edge_runtime.rundir import write_json

from .photos import Photos

GOLDEN_FOLDER = "golden"
GOLDEN_FILE = "golden.json"

PHOTOS = 3

#: Distance of the two best classes from which a top-1 survives 8-bit arithmetic.
_SAFE_MARGIN = 0.2


def choose_golden(reference: np.ndarray, labels: np.ndarray, count: int = PHOTOS) -> list[int]:
    """Choose photos that notice a wrong runtime: of different classes, and not saturated.

    A probability of 1.0 stays 1.0 whatever the arithmetic, so of the right answers with a
    clear margin the least certain of each class are taken; where there are none, any photos.

    Args:
        reference: Probabilities of the Keras model, float32 (n, classes).
        labels: True class indices, int (n,).
        count: How many.

    Returns:
        Indices of at most ``count`` photos.
    """
    best = np.sort(reference, axis=1)
    margin = best[:, -1] - (best[:, -2] if best.shape[1] > 1 else 0)
    good = (reference.argmax(axis=1) == labels) & (margin >= _SAFE_MARGIN)
    order = np.lexsort((margin, ~good))
    chosen: list[int] = []
    for index in order:
        if labels[index] not in labels[chosen]:
            chosen.append(int(index))
    chosen += [int(index) for index in order if index not in chosen]
    return chosen[:count]


def write_golden(folder: Path, photos: Photos, labels: np.ndarray, reference: np.ndarray) -> None:
    """Write ``golden/`` into a bundle: PNG files at input size, and the scores they must give.

    The pictures are stored as the network sees them, without loss; decoding them leaves nothing
    to resize, so that a difference is the interpreter's.

    Args:
        folder: The bundle.
        photos: Validation photos.
        labels: Their true class indices, int (n,).
        reference: Probabilities of the Keras model for them, float32 (n, classes).
    """
    home = folder / GOLDEN_FOLDER
    home.mkdir()
    entries = []
    for number, index in enumerate(choose_golden(reference, labels), start=1):
        name = f"golden-{number}.png"
        Image.fromarray(np.asarray(photos.pixels[index])).save(home / name, optimize=True)
        entries.append(
            {
                "file": name,
                "label": photos.rows[index].label,
                "scores": [float(score) for score in reference[index]],
            }
        )
    write_json(home / GOLDEN_FILE, {"reference": "keras float32", "photos": entries})
