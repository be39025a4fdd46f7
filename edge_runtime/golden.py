"""The golden photos of a bundle: what every device must make of them.

``golden/golden.json``, version 2::

    {"version": 2, "reference": "keras float32",
     "photos": [{"file": "golden-1.jpg", "sha256": ..., "label": "banana", "class_index": 3,
                 "pixels": "golden-1.pixels.png", "pixels_sha256": ..., "exact": false,
                 "scores": {"keras": [...], "tflite-fp32": [...], ...}}, ...],
     "tolerances": {"tflite-fp32": {"max_abs_diff": 1e-4, "reason": "..."}, ...}}

``file`` is a photo in its original form; ``pixels_sha256`` is that of the uint8 (h, w, 3) pixels
that the network gets. Where ``exact`` is true, preprocessing must give just these; JPEG decoders
may differ, so there ``pixels`` holds them without loss. ``scores`` are probabilities.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .errors import BundleError, ImageError
from .files import sha256_file
from .manifest import Manifest, check_inside
from .preprocess import load_upright

FOLDER = "golden"
FILE = "golden.json"
VERSION = 2

_AGAIN = "Copy the bundle again, or export it again."


@dataclass(frozen=True)
class GoldenPhoto:
    """One photo and its expected results.

    Attributes:
        file: The photo.
        sha256: Of that file.
        label: True class.
        pixels: What the network gets, uint8 (h, w, 3); None where only the checksum is known.
        pixels_sha256: Of the bytes of these pixels, in C order.
        exact: Whether preprocessing must give them to the bit.
        scores: Probabilities float32 (classes,) of each format.
    """

    file: Path
    sha256: str
    label: str
    pixels: np.ndarray | None
    pixels_sha256: str
    exact: bool
    scores: dict[str, np.ndarray]


@dataclass(frozen=True)
class Golden:
    """Contents of ``golden.json``.

    Attributes:
        photos: At least one.
        tolerances: Largest difference of a score that each format may show.
    """

    photos: tuple[GoldenPhoto, ...]
    tolerances: dict[str, float]


def read_golden(bundle: Path, manifest: Manifest) -> Golden:
    """Read and check the golden photos of a bundle.

    Args:
        bundle: Its folder.
        manifest: Its contents list.

    Raises:
        BundleError: They are missing, damaged, or of an older version.
    """
    home = bundle / FOLDER
    where = home / FILE
    try:
        data = json.loads(where.read_bytes())
        if isinstance(data, dict) and "photos" in data and data.get("version", 1) == 1:
            raise BundleError(
                f"{where}: written by an older edge-export, without what a self-test compares "
                "with. Export the bundle again."
            )
        if data["version"] != VERSION:
            raise BundleError(
                f"{where}: version {data['version']!r} is not known to this version of "
                "edge-classify. Upgrade edge-classify."
            )
        photos = tuple(_photo(home, entry, manifest) for entry in data["photos"])
        tolerances = {
            fmt: float(entry["max_abs_diff"]) for fmt, entry in data["tolerances"].items()
        }
    except FileNotFoundError as error:
        raise BundleError(f"{error.filename}: missing. {_AGAIN}") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BundleError(f"{where}: damaged ({error!r}). {_AGAIN}") from error
    if not photos:
        raise BundleError(f"{where}: lists no photo. Export the bundle again.")
    for artifact in manifest.artifacts:
        known = artifact.format in tolerances and tolerances[artifact.format] >= 0
        if not known or any(artifact.format not in photo.scores for photo in photos):
            raise BundleError(f"{where}: holds no scores of {artifact.format}. {_AGAIN}")
    return Golden(photos, tolerances)


def pixels_digest(pixels: np.ndarray) -> str:
    """SHA-256 of pixels: of the bytes of uint8 (h, w, 3) in C order."""
    return hashlib.sha256(np.ascontiguousarray(pixels, np.uint8).tobytes()).hexdigest()


def _photo(home: Path, entry: dict[str, Any], manifest: Manifest) -> GoldenPhoto:
    file, digest, exact = _inside(home, entry["file"]), entry["pixels_sha256"], entry["exact"]
    if sha256_file(file) != entry["sha256"]:
        raise BundleError(
            f"{file}: its SHA-256 is not that of {FILE}: {file.name} was altered. {_AGAIN}"
        )
    if entry["label"] not in manifest.info.class_names:
        raise BundleError(f"{home / FILE}: {entry['label']!r} is no class of this bundle. {_AGAIN}")
    pixels = None
    if entry.get("pixels") is not None:
        pixels = _stored_pixels(_inside(home, entry["pixels"]), digest)
    if not isinstance(exact, bool) or not isinstance(digest, str):
        raise TypeError("exact, pixels_sha256")
    if pixels is None and not exact:
        raise BundleError(f"{home / FILE}: {file.name} has no pixels to compare with. {_AGAIN}")
    count = len(manifest.info.class_names)
    scores = {fmt: np.array(values, np.float32) for fmt, values in entry["scores"].items()}
    for fmt, values in scores.items():
        if values.shape != (count,) or not np.isfinite(values).all():
            raise BundleError(
                f"{home / FILE}: {file.name}: expected {count} scores of {fmt}. {_AGAIN}"
            )
    return GoldenPhoto(file, entry["sha256"], entry["label"], pixels, digest, exact, scores)


def _stored_pixels(file: Path, digest: Any) -> np.ndarray:
    try:
        pixels = np.asarray(load_upright(file.read_bytes()))
    except ImageError as error:
        raise BundleError(f"{file}: damaged. {_AGAIN}") from error
    if pixels_digest(pixels) != digest:
        raise BundleError(f"{file}: its pixels are not those of {FILE}. {_AGAIN}")
    return pixels


def _inside(home: Path, name: Any) -> Path:
    check_inside(name)
    path: Path = home / name
    if not path.resolve().is_relative_to(home.resolve()):
        raise BundleError(f"{path}: leaves the bundle's folder. Refused.")
    return path
