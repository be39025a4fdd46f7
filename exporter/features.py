"""What the training photos look like to the network, for a device that watches for drift.

The class means are of one file's features, the distance that counts as far is each file's own: a
quantised one rounds them. See :mod:`edge_runtime.training_features`.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edge_runtime.child.asking import ask, module_command
from edge_runtime.errors import DataError, EdgeError, SystemFailure
from edge_runtime.manifest import FEATURES_NAME, FORMAT_SUFFIXES, artifact_name
from edge_runtime.rundir import RunDir
from edge_runtime.training_features import block, class_means, distances, threshold_of

from .calibration import choose_photos
from .evidence import Truth, spread
from .options import ExportOptions
from .photos import Photos, find_moved, load_photos

_log = logging.getLogger("exporter")

#: Validation photos, spread evenly, whose distances make the threshold: enough for its percentile.
_CHECKED = 400

_COMMAND = module_command("exporter.pooling_worker")

_PIXELS = "features.npy"


def training_photos(
    run: RunDir, drawn: Photos | None, options: ExportOptions, data: Any, work: Path, store: Path
) -> tuple[Photos, Path] | None:
    """Training photos to take the features of, and the ``.npy`` of their pixels.

    Args:
        run: The run.
        drawn: Those that quantised formats are calibrated on; None if none is.
        options: Of the export.
        data: Folder that the photos were moved to; None if they are where they were.
        work: Folder for the pixels.
        store: Where the pixels of ``drawn`` are.

    Returns:
        None where they cannot be read: without a format that calibrates, an export needs the
        validation photos alone.
    """
    if drawn is not None:
        return drawn, store
    try:
        rows = choose_photos(run.split("train"), options.calibration_photos, options.seed)
        rows = rows if data is None else find_moved(rows, Path(data))
        return load_photos(rows, run.info.preprocess, work / _PIXELS), work / _PIXELS
    except DataError as error:
        _log.info("no %s in the bundle: %s", FEATURES_NAME, error)
        return None


def write_features(
    folder: Path,
    formats: Sequence[str],
    truth: Truth,
    training: tuple[Photos, Path] | None,
    work: Path,
) -> dict[str, Any]:
    """Write :data:`~edge_runtime.manifest.FEATURES_NAME` into a bundle.

    Args:
        folder: The bundle, with its model files.
        formats: Of these files.
        truth: The validation photos.
        training: Of :func:`training_photos`.
        work: Folder for what is not part of the bundle.

    Returns:
        The manifest's entry; empty where no file gives features.

    Raises:
        SystemFailure: Disk full.
    """
    usable = [fmt for fmt in formats if FORMAT_SUFFIXES[fmt]]
    if training is None or not usable or not len(training[0]):
        return {}
    photos, store = training
    labels = np.array([truth.info.class_names.index(row.label) for row in photos.rows])
    checked, out = spread(len(truth), _CHECKED), work / "pooled.npz"
    models = {fmt: folder / artifact_name(fmt) for fmt in sorted(usable, key=_exactness)}
    request = {
        "models": {fmt: str(file.absolute()) for fmt, file in models.items()},
        "validation": str(truth.pixels.absolute()),
        "checked": checked,
        "training": str(store.absolute()),
        "drawn": len(photos),
        "out": str(out.absolute()),
    }
    try:
        said = ask(_COMMAND, request, env={"CUDA_VISIBLE_DEVICES": "-1"})
    except SystemFailure:
        raise
    except EdgeError as error:  # what a crash costs here is no file of the bundle
        _log.warning("no %s in the bundle: %s", FEATURES_NAME, error)
        return {}
    for fmt, reason in said["errors"].items():
        _log.debug("%s: no features: %s", fmt, reason)
    with np.load(out) as arrays:
        found = {name: arrays[name] for name in arrays.files}
    out.unlink()
    pooled = found.pop("training", None)
    if pooled is None or not found:
        return {}
    stream = io.BytesIO()
    np.save(stream, class_means(pooled, labels).astype(np.float16), allow_pickle=False)
    content = stream.getvalue()
    (folder / FEATURES_NAME).write_bytes(content)
    means = np.load(io.BytesIO(content)).astype(np.float32)
    thresholds = {fmt: threshold_of(distances(vectors, means)) for fmt, vectors in found.items()}
    return block(content, thresholds, len(photos), len(checked))


def _exactness(fmt: str) -> bool:
    """The float32 files first: the means are theirs."""
    return not fmt.endswith("fp32")
