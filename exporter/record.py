"""The Keras model's answers inside the bundle, so that the proof can be repeated without it.

``golden/reference.json`` lists the validation photos; ``golden/reference.npz`` holds, in the same
order, ``scores`` float32 (n, classes), ``mapped`` int64 (m,) and ``maps`` float32 (m, h, w): the
photos whose Grad-CAM of the model's answer is kept, and the raw maps. NumPy dates its archives
1980, so that the same run gives the same bytes.
"""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge_runtime.errors import BundleError
from edge_runtime.golden import FOLDER
from edge_runtime.rundir import write_json

from .evidence import Truth

REFERENCE_FILE = "reference.json"
ARRAYS_FILE = "reference.npz"


@dataclass(frozen=True)
class Record:
    """What a bundle remembers of the Keras model.

    Attributes:
        photos: For each validation photo ``file``, ``sha256``, ``label`` and ``pixels_sha256``.
        scores: float32 (n, classes).
        mapped: Indices of the photos with a map.
        maps: float32 (m, h, w).
    """

    photos: list[dict[str, Any]]
    scores: np.ndarray
    mapped: list[int]
    maps: np.ndarray


def write_record(folder: Path, truth: Truth) -> None:
    """Write the model's answers into a bundle that has its ``golden/`` already."""
    home = folder / FOLDER
    names = truth.info.class_names
    photos = [
        {"file": file, "sha256": sha256, "label": names[label], "pixels_sha256": pixels}
        for file, sha256, label, pixels in zip(
            truth.files, truth.sha256, truth.labels, truth.pixels_sha256, strict=True
        )
    ]
    write_json(home / REFERENCE_FILE, {"version": 1, "part": "val", "photos": photos})
    np.savez_compressed(
        home / ARRAYS_FILE,
        scores=truth.scores,
        mapped=np.array(truth.mapped, np.int64),
        maps=truth.maps,
    )


def read_record(folder: Path, class_names: tuple[str, ...]) -> Record:
    """Read :func:`write_record` back.

    Args:
        folder: The bundle.
        class_names: Of the bundle.

    Raises:
        BundleError: It is missing, as in a bundle of an older version, or damaged.
    """
    home = folder / FOLDER
    try:
        data = json.loads((home / REFERENCE_FILE).read_bytes())
        with np.load(home / ARRAYS_FILE) as arrays:
            record = Record(
                data["photos"], arrays["scores"], arrays["mapped"].tolist(), arrays["maps"]
            )
        for photo in record.photos:
            if photo["label"] not in class_names or len(photo["sha256"]) != 64:
                raise ValueError(f"photo {photo['file']!r}")
            photo["pixels_sha256"]
        n = len(record.photos)
        whole = (
            record.scores.shape == (n, len(class_names))
            and record.maps.ndim == 3
            and len(record.maps) == len(record.mapped)
            and all(0 <= index < n for index in record.mapped)
        )
        if not n or not whole:
            raise ValueError("arrays of another size")
    except FileNotFoundError as error:
        raise BundleError(
            f"{folder}: holds no answers of the Keras model ({error.filename} is missing); an "
            "older version wrote it. Export the run again."
        ) from error
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise BundleError(
            f"{home / REFERENCE_FILE}: damaged ({error}). Copy the bundle again."
        ) from error
    return record
