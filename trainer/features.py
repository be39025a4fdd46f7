"""Pooled features of a frozen backbone, computed once instead of once an epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from edge_runtime.backends.full_model import import_tensorflow
from edge_runtime.files import system_failures

from .batches import batch_seed
from .model import POOL, part_of


def pooled_features(
    model: Any,
    images: np.ndarray,
    file: Path,
    batch_size: int,
    views: int = 0,
    augment: Callable[[Any, Any], Any] | None = None,
    seed: int = 0,
) -> np.ndarray:
    """What a classifier's head sees of each photo.

    Args:
        model: Of :func:`trainer.model.build_classifier`; BatchNorm runs in inference mode.
        images: uint8 (n, h, w, 3), may be memory-mapped.
        file: ``.npy`` file to write; it stays mapped while the features are in use.
        batch_size: Photos at once.
        views: Augmented views of each photo; 0 for the photos as they are.
        augment: Of :func:`trainer.augment.augmenter`, for views.
        seed: Of the augmentation.

    Returns:
        float32 (max(views, 1), n, k), read-only, mapped from ``file``.

    Raises:
        SystemFailure: Disk full or no permission.
    """
    tf = import_tensorflow()
    pool = part_of(model, POOL)

    @tf.function(
        input_signature=[tf.TensorSpec((None, *images.shape[1:]), tf.float32)], autograph=False
    )
    def extract(batch: Any) -> Any:
        return pool(batch, training=False)

    @tf.function(
        input_signature=[
            tf.TensorSpec((None, *images.shape[1:]), tf.uint8),
            tf.TensorSpec((2,), tf.int32),
        ],
        autograph=False,
    )
    def extract_view(batch: Any, own: Any) -> Any:
        return pool(augment(batch, own) if augment else batch, training=False)

    def batches() -> Iterator[np.ndarray]:
        for view in range(max(views, 1)):
            for step, start in enumerate(range(0, len(images), batch_size)):
                batch = np.asarray(images[start : start + batch_size])
                if views:
                    yield extract_view(batch, batch_seed(seed, view, step)).numpy()
                else:
                    yield extract(batch.astype(np.float32)).numpy()

    shape = (max(views, 1), len(images), int(pool.output_shape[-1]))
    # Written as a stream: a full disk is an error here, but a crash (SIGBUS) under a map.
    with system_failures(file), open(file, "wb") as stream:
        header = {"descr": "<f4", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(stream, header)
        for batch in batches():
            stream.write(batch.astype("<f4").tobytes())
    return np.lib.format.open_memmap(file, mode="r")
