"""A few photos, their pixels and their scores inside the bundle, for a device to test itself.

The photos are copies of validation photos, small and without their EXIF data (which may hold the
place where they were taken). Each is a photo of its own: all scores are those of its own pixels.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from edge_runtime.errors import ModelError
from edge_runtime.files import sha256_file
from edge_runtime.golden import FILE, FOLDER, VERSION, pixels_digest
from edge_runtime.manifest import ModelInfo, PreprocessSpec, artifact_name
from edge_runtime.preprocess import load_upright, preprocess
from edge_runtime.rundir import write_json

from . import scoring
from .evidence import FullModel, Truth
from .parity import margins
from .thresholds import device_tolerance

PHOTOS = 4

#: Distance of the two best classes from which a top-1 survives 8-bit arithmetic.
_SAFE_MARGIN = 0.2

#: Longer side of a stored JPEG, pixels: enough for the decoder and the kernel to work as on a
#: photo of a camera, and small enough to carry.
_JPEG_SIDE = 640

#: A stored PNG is so many times as large as the input, so that it has to be resized.
_PNG_SCALE = 1.25

_QUALITY = 90

_ORIENTATION = 0x0112

#: Exif orientations of the JPEGs in turn, and how an upright picture is stored for each (Exif
#: 2.32): lying on its side, upright, upside down.
_TURNS: tuple[tuple[int, Image.Transpose | None], ...] = (
    (6, Image.Transpose.ROTATE_90),
    (1, None),
    (3, Image.Transpose.ROTATE_180),
)


@dataclass(frozen=True)
class Golden:
    """Photos that were written to ``golden/``, still without the files' scores.

    Attributes:
        photos: Entries of ``golden.json``; ``scores`` holds ``keras`` alone.
        pixels: ``.npy`` of uint8 (n, height, width, 3).
    """

    photos: list[dict[str, Any]]
    pixels: Path


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
    margin = margins(reference)
    good = (reference.argmax(axis=1) == labels) & (margin >= _SAFE_MARGIN)
    order = np.lexsort((margin, ~good))
    chosen: list[int] = []
    for index in order:
        if labels[index] not in labels[chosen]:
            chosen.append(int(index))
    chosen += [int(index) for index in order if index not in chosen]
    return chosen[:count]


def write_photos(folder: Path, truth: Truth, model: FullModel, work: Path) -> Golden:
    """Write the photos of ``golden/``, JPEG and PNG in turn, and their pixels.

    The first JPEG lies on its side and is turned by its EXIF orientation; the PNGs have to be
    resized.

    Args:
        folder: The bundle.
        truth: The validation photos.
        model: The Keras model.
        work: Folder for what is not part of the bundle.
    """
    home = folder / FOLDER
    home.mkdir()
    spec, entries, pictures = truth.info.preprocess, [], []
    for number, index in enumerate(choose_golden(truth.scores, truth.labels)):
        photo = load_upright(truth.paths[index])
        name = f"golden-{number + 1}"
        if number % 2:
            file = home / f"{name}.png"
            _larger_than_input(photo, spec).save(file, optimize=True)
        else:
            file = home / f"{name}.jpg"
            _save_turned(_at_most(photo, _JPEG_SIDE), file, *_TURNS[number // 2 % len(_TURNS)])
        pixels = preprocess(file, spec)
        Image.fromarray(pixels).save(home / f"{name}.pixels.png", optimize=True)
        pictures.append(pixels)
        label = int(truth.labels[index])
        entries.append(
            {
                "file": file.name,
                "sha256": sha256_file(file),
                "label": truth.info.class_names[label],
                "class_index": label,
                "pixels": f"{name}.pixels.png",
                "pixels_sha256": pixels_digest(pixels),
                # A PNG is decoded alike everywhere; decoders of JPEG may differ by a grey level.
                "exact": file.suffix == ".png",
            }
        )
    stacked = np.stack(pictures)
    np.save(work / "golden.npy", stacked)
    scores_of_model = model.scores(work / "golden.npy", len(stacked))
    for entry, scores in zip(entries, scores_of_model, strict=True):
        entry["scores"] = {"keras": _listed(scores)}
    return Golden(entries, work / "golden.npy")


def write_scores(folder: Path, golden: Golden, finished: Mapping[str, ModelInfo]) -> None:
    """Score the photos with the finished files and write ``golden.json``.

    This is also the last check that each file runs and carries its description.

    Args:
        folder: The bundle.
        golden: Of :func:`write_photos`.
        finished: By format, what the file in the bundle has to say about itself.

    Raises:
        ModelError: A file does not run any more.
    """
    for fmt, info in finished.items():
        try:
            found = scoring.answers(
                folder / artifact_name(fmt), golden.pixels, len(golden.photos), info
            )
        except scoring.NotRun as error:
            raise ModelError(
                f"{fmt}: ran before its description was added, and does not any more: {error}"
            ) from error
        for photo, scores in zip(golden.photos, found.scores, strict=True):
            photo["scores"][fmt] = _listed(scores)
    write_json(
        folder / FOLDER / FILE,
        {
            "version": VERSION,
            "reference": "keras float32",
            "photos": golden.photos,
            "tolerances": {fmt: device_tolerance(fmt) for fmt in finished},
        },
    )


def _listed(scores: np.ndarray) -> list[float]:
    return [float(score) for score in scores]


def _at_most(photo: Image.Image, side: int) -> Image.Image:
    return _scaled(photo, min(1.0, side / max(photo.size)))


def _larger_than_input(photo: Image.Image, spec: PreprocessSpec) -> Image.Image:
    width, height = photo.size
    return _scaled(photo, max(spec.width / width, spec.height / height) * _PNG_SCALE)


def _scaled(photo: Image.Image, factor: float) -> Image.Image:
    width, height = (max(1, math.ceil(length * factor)) for length in photo.size)
    if (width, height) == photo.size:
        return photo
    # A panorama may be longer than the pixels that a network may take.
    limit = min(1.0, 8192 / max(width, height))
    size = (max(1, int(width * limit)), max(1, int(height * limit)))
    return Image.fromarray(preprocess(photo, PreprocessSpec(*size, fit="stretch")))


def _save_turned(
    photo: Image.Image, file: Path, orientation: int, turn: Image.Transpose | None
) -> None:
    exif = Image.Exif()
    exif[_ORIENTATION] = orientation
    stored = photo if turn is None else photo.transpose(turn)
    # A copy of the pixels alone: Pillow would carry over what it knows of the original.
    Image.fromarray(np.asarray(stored)).save(file, quality=_QUALITY, exif=exif)
