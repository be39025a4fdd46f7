"""Pooled features of a frozen backbone, computed once instead of once an epoch."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from edge_runtime.files import atomic_file

from ..augmentation.augment import Augmentation
from ..data.batches import Division
from ..data.pixels import Pixels
from ..distribution import Distribution, Predictor, single_device
from ..network.model import POOL, changing, part_of
from ..stopping import check_stop


def pooled_features(
    model: Any,
    images: Pixels,
    file: Path,
    batch_size: int,
    views: int = 0,
    augmentation: Augmentation | None = None,
    seed: int = 0,
    distribution: Distribution | None = None,
) -> np.ndarray:
    """What a classifier's head sees of each photo: as it is, and changed at random.

    Args:
        model: Of :func:`trainer.network.model.build_classifier`; BatchNorm runs in inference mode.
        images: uint8 (n, h, w, 3).
        file: ``.npy`` file to write, or to read if an earlier process wrote it; it stays mapped
            while the features are in use.
        batch_size: Photos at once.
        views: Augmented views of each photo.
        augmentation: For views.
        seed: Of the augmentation.
        distribution: Devices; None for one.

    Returns:
        float32 (1 + views, n, k), read-only, mapped from ``file``; the first view is the photos
        as they are.

    Raises:
        SystemFailure: Disk full or no permission.
    """
    distribution = distribution or single_device()
    division, pool = distribution.division, part_of(model, POOL)
    shape = (1 + views, len(images), int(pool.output_shape[-1]))
    # Several processes compute together, and another one may not have the file.
    if division.processes > 1 or not _is_whole(file, shape):
        predict = distribution.predictor(pool)
        # Written as a stream: a full disk is an error here, but a crash (SIGBUS) under a map.
        with atomic_file(file) as temporary, open(temporary, "wb") as stream:
            header = {"descr": "<f4", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(stream, header)
            for batch in _plain(predict, images, batch_size, division):
                stream.write(batch.astype("<f4").tobytes())
            if augmentation is not None and views:
                for batch in _changed(
                    predict, images, batch_size, division, views, augmentation, seed
                ):
                    stream.write(batch.astype("<f4").tobytes())
    return np.lib.format.open_memmap(file, mode="r")


def _is_whole(file: Path, shape: tuple[int, ...]) -> bool:
    if not file.is_file():
        return False
    found = np.lib.format.open_memmap(file, mode="r")
    return bool(found.shape == shape) and os.path.getsize(file) >= found.nbytes


def _plain(
    predict: Predictor, images: Pixels, batch_size: int, division: Division
) -> Iterator[np.ndarray]:
    for batch, count in _batches(images, batch_size, division):
        check_stop()
        own = batch[division.own(len(batch))]
        yield predict(images[own].astype(np.float32))[:count]


def _changed(
    predict: Predictor,
    images: Pixels,
    batch_size: int,
    division: Division,
    views: int,
    augmentation: Augmentation,
    seed: int,
) -> Iterator[np.ndarray]:
    # By itself, so that the backbone is compiled once for all views.
    changed = changing(images.shape[1:], augmentation)
    for view in range(views):
        for step, (batch, count) in enumerate(_batches(images, batch_size, division)):
            check_stop()
            own = batch[division.own(len(batch))]
            changes = augmentation.draw(seed, view, step, own)
            photos = changed.predict_on_batch([images[own], changes])
            yield predict(photos)[:count]


def _batches(
    images: Pixels, batch_size: int, division: Division
) -> Iterator[tuple[np.ndarray, int]]:
    """Indices of the photos of a batch, and how many of them count.

    The last batch is filled up with its last photo: one shape, so that a network is compiled once.
    """
    size = division.whole(min(batch_size, len(images)))
    for start in range(0, len(images), size):
        indices = np.arange(start, start + size)
        yield np.minimum(indices, len(images) - 1), min(size, len(images) - start)
