"""Find the photos that a bundle was proved on again, by their content, wherever they lie now."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge_runtime.errors import BundleError, DataError, ImageError, UsageError
from edge_runtime.files import find_photos, sha256_file
from edge_runtime.golden import pixels_digest, read_golden
from edge_runtime.manifest import Manifest, ModelInfo, PreprocessSpec
from edge_runtime.preprocess import preprocess

from .evidence import Truth
from .fitting import DEFAULT_SHARE
from .photos import decode_all, printable
from .record import Record

_log = logging.getLogger("exporter")

#: What ``golden.json`` calls the Keras model.
_REFERENCE = "keras"


@dataclass(frozen=True)
class More:
    """Photos in class folders that the Keras model's answers are not known for.

    Attributes:
        labels: Class indices by their folders, int (n,).
        pixels: ``.npy`` of uint8 (n, height, width, 3).
    """

    labels: np.ndarray
    pixels: Path


@dataclass(frozen=True)
class Found:
    """The photos of a verification.

    Attributes:
        truth: Those that the bundle knows.
        counts: ``source`` (``data`` or ``golden``); ``n``; ``expected``, how many the bundle was
            proved on; ``missing`` and ``unreadable`` of these; ``decoded_differently``, photos
            whose pixels are not quite those that the Keras model saw; ``unknown``, photos that
            the bundle does not know, and how many of these are ``in_class_folders``.
        more: Those in class folders; None without any.
        stated: By format, the scores that the bundle states for ``truth``'s photos.
    """

    truth: Truth
    counts: dict[str, Any]
    more: More | None
    stated: dict[str, np.ndarray]


def find_in(data: str | os.PathLike[str], record: Record, info: ModelInfo, work: Path) -> Found:
    """Look the photos up below a folder, by SHA-256.

    Args:
        data: The folder.
        record: What the bundle knows.
        info: Class names and preprocessing.
        work: Folder for the pixels.

    Raises:
        UsageError: There is no such folder.
        DataError: None of the photos is there, or none can be read.
    """
    if not os.path.isdir(data):
        raise UsageError(f"{os.fspath(data)}: no such folder of photos.")
    expected = {photo["sha256"] for photo in record.photos}
    known: dict[str, str] = {}
    unknown = []
    for path in find_photos(data):
        try:
            digest = sha256_file(path)
        except OSError as error:
            _log.warning("%s: left out: %s", path, error.strerror or error)
            continue
        if digest in expected:
            known.setdefault(digest, path)
        else:
            unknown.append(path)
    if not known:
        raise DataError(
            f"{os.fspath(data)}: none of the {len(unknown)} photos below it is one of the "
            f"{len(record.photos)} that the bundle was proved on (looked up by SHA-256). Name the "
            "folder that the run was trained from, or leave --data out to check the golden "
            "photos alone."
        )
    there = [i for i, photo in enumerate(record.photos) if photo["sha256"] in known]
    paths = [known[record.photos[i]["sha256"]] for i in there]
    pixels, kept = _decode(paths, info.preprocess, work / "known.npy")
    if not kept:
        raise DataError(f"{os.fspath(data)}: none of {len(paths)} known photos can be decoded.")
    chosen = [there[place] for place in kept]
    photos = [record.photos[i] for i in chosen]
    exact = np.array(
        [
            pixels_digest(p) == photo["pixels_sha256"]
            for p, photo in zip(pixels, photos, strict=True)
        ]
    )
    maps = dict(zip(record.mapped, record.maps, strict=True))
    truth = _truth(
        info,
        paths=[paths[place] for place in kept],
        photos=photos,
        pixels=work / "known.npy",
        scores=record.scores[chosen],
        maps={place: maps[i] for place, i in enumerate(chosen) if i in maps},
        exact=exact,
    )
    more = _more(unknown, info, work)
    counts = {
        "source": "data",
        "n": len(truth),
        "expected": len(record.photos),
        "missing": len(record.photos) - len(there),
        "unreadable": len(there) - len(kept),
        "decoded_differently": int((~exact).sum()),
        "unknown": len(unknown),
        "in_class_folders": 0 if more is None else len(more.labels),
    }
    return Found(truth, counts, more, {})


def find_golden(folder: Path, record: Record, manifest: Manifest, work: Path) -> Found:
    """The golden photos of a bundle, which are always there.

    Args:
        folder: The bundle.
        record: What the bundle knows of the validation photos.
        manifest: Of the bundle.
        work: Folder for the pixels.

    Raises:
        BundleError: They are missing or damaged.
        ImageError: One cannot be decoded here.
    """
    info, photos = manifest.info, read_golden(folder, manifest).photos
    if any(_REFERENCE not in photo.scores for photo in photos):
        raise BundleError(f"{folder}: holds no scores of the Keras model. Export the run again.")
    decoded = [preprocess(photo.file, info.preprocess) for photo in photos]
    # The pixels as they were: a decoder of JPEG may differ here, and that is another test.
    pictures = [
        made if photo.pixels is None else photo.pixels
        for made, photo in zip(decoded, photos, strict=True)
    ]
    scores = {name: np.stack([photo.scores[name] for photo in photos]) for name in photos[0].scores}
    truth = _truth(
        info,
        paths=[str(photo.file) for photo in photos],
        photos=[
            {
                "file": photo.file.name,
                "sha256": photo.sha256,
                "label": photo.label,
                "pixels_sha256": photo.pixels_sha256,
            }
            for photo in photos
        ],
        pixels=work / "golden.npy",
        scores=scores.pop(_REFERENCE),
        maps={},
        exact=np.ones(len(photos), bool),
    )
    np.save(work / "golden.npy", np.stack(pictures))
    counts = {
        "source": "golden",
        "n": len(photos),
        "expected": len(record.photos),
        "missing": len(record.photos),
        "unreadable": 0,
        "decoded_differently": sum(
            not np.array_equal(*both) for both in zip(decoded, pictures, strict=True)
        ),
        "unknown": 0,
        "in_class_folders": 0,
    }
    return Found(truth, counts, None, scores)


def _truth(
    info: ModelInfo,
    paths: list[str],
    photos: Sequence[dict[str, Any]],
    pixels: Path,
    scores: np.ndarray,
    maps: dict[int, np.ndarray],
    exact: np.ndarray,
) -> Truth:
    return Truth(
        info=info,
        paths=paths,
        files=[str(photo["file"]) for photo in photos],
        sha256=[photo["sha256"] for photo in photos],
        labels=np.array([info.class_names.index(photo["label"]) for photo in photos]),
        pixels=pixels,
        pixels_sha256=[photo["pixels_sha256"] for photo in photos],
        scores=scores,
        mapped=list(maps),
        maps=np.stack(list(maps.values())) if maps else np.empty((0, 0, 0), np.float32),
        exact=exact,
        share=DEFAULT_SHARE,
        explain=lambda _: None,
    )


def _more(paths: Sequence[str], info: ModelInfo, work: Path) -> More | None:
    """Photos whose folder is called like a class; class names are compared as UTF-8 text."""
    names = {name: index for index, name in enumerate(info.class_names)}
    folders = [printable(os.path.basename(os.path.dirname(path))) for path in paths]
    inside = [i for i, folder in enumerate(folders) if folder in names]
    _, kept = _decode([paths[i] for i in inside], info.preprocess, work / "more.npy")
    if not kept:
        return None
    labels = np.array([names[folders[inside[place]]] for place in kept])
    return More(labels, work / "more.npy")


def _decode(
    paths: Sequence[str], spec: PreprocessSpec, store: Path
) -> tuple[np.ndarray, list[int]]:
    """Decode what can be decoded into a ``.npy``; gives the pixels and the places of the photos."""
    if not paths:
        return np.empty((0, spec.height, spec.width, 3), np.uint8), []

    def decode(place: int) -> np.ndarray | None:
        try:
            return preprocess(paths[place], spec)
        except ImageError as error:
            _log.warning("Left out: %s", error)
            return None

    return decode_all(len(paths), decode, spec, store)
