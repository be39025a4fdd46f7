"""What a training step gets: batches in an order, and with changes, that the seed decides.

An epoch's order and each batch's augmentation follow from (seed, epoch, step) alone, so the same
seed gives the same training, and an epoch does not depend on what ran before it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from edge_runtime.backends.full_model import import_tensorflow


def epoch_order(count: int, seed: int, epoch: int) -> np.ndarray:
    """The order of the photos in an epoch: a permutation of 0..count-1, int64."""
    return np.random.RandomState([seed, epoch]).permutation(count)


def batch_seed(seed: int, epoch: int, step: int) -> np.ndarray:
    """Seed of the augmentation of a batch, int32 (2,)."""
    drawn = np.random.RandomState([seed, epoch, step]).randint(0, 2**31, 2, dtype=np.int64)
    return drawn.astype(np.int32)


def one_hot(labels: np.ndarray, classes: int) -> np.ndarray:
    """Class indices (n,) as float32 (n, classes)."""
    found = np.zeros((len(labels), classes), np.float32)
    found[np.arange(len(labels)), labels] = 1
    return found


def steps_per_epoch(count: int, batch_size: int) -> int:
    """Batches in an epoch, none of them larger than ``batch_size``."""
    return -(-count // batch_size)


def shuffled(count: int, batch_size: int, seed: int) -> Iterator[tuple[np.ndarray, int, int]]:
    """Indices of the photos of a batch, epoch and step, without end.

    The batches of an epoch are of one size, or one photo less: a last batch of a single photo
    would leave BatchNorm without a variance to learn from.
    """
    for epoch in itertools.count():
        order = epoch_order(count, seed, epoch)
        batches = np.array_split(order, steps_per_epoch(count, batch_size))
        for step, chosen in enumerate(batches):
            yield chosen, epoch, step


def photo_batches(
    images: np.ndarray,
    labels: np.ndarray,
    classes: int,
    batch_size: int,
    seed: int,
    augment: Callable[[Any, Any], Any],
) -> Any:
    """Endless training batches out of the pixel cache, shuffled and augmented.

    Args:
        images: uint8 (n, h, w, 3), may be memory-mapped.
        labels: int (n,).
        classes: Number of classes.
        batch_size: Photos in a batch, at most.
        seed: Of order and augmentation.
        augment: Of :func:`trainer.augment.augmenter`.

    Returns:
        ``tf.data.Dataset`` of float32 (b, h, w, 3) and float32 (b, classes).
    """
    tf = import_tensorflow()
    targets = one_hot(labels, classes)

    def batches() -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        for chosen, epoch, step in shuffled(len(images), batch_size, seed):
            yield images[chosen], targets[chosen], batch_seed(seed, epoch, step)

    @tf.autograph.experimental.do_not_convert  # which would write its source into /tmp
    def change(batch: Any, hot: Any, own: Any) -> tuple[Any, Any]:
        return augment(batch, own), hot

    signature = (
        tf.TensorSpec((None, *images.shape[1:]), tf.uint8),
        tf.TensorSpec((None, classes), tf.float32),
        tf.TensorSpec((2,), tf.int32),
    )
    return (
        tf.data.Dataset.from_generator(batches, output_signature=signature)
        .map(change, num_parallel_calls=tf.data.AUTOTUNE)
        .prefetch(2)
    )


def feature_batches(
    views: np.ndarray, labels: np.ndarray, classes: int, batch_size: int, seed: int
) -> Any:
    """Endless training batches for the head alone; each epoch sees one view, in turn.

    Args:
        views: float32 (views, n, k), pooled features.
        labels: int (n,).
        classes: Number of classes.
        batch_size: Photos in a batch, at most.
        seed: Of the order.

    Returns:
        ``tf.data.Dataset`` of float32 (b, k) and float32 (b, classes).
    """
    tf = import_tensorflow()
    targets = one_hot(labels, classes)

    def batches() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for chosen, epoch, _ in shuffled(views.shape[1], batch_size, seed):
            yield views[epoch % len(views)][chosen], targets[chosen]

    signature = (
        tf.TensorSpec((None, views.shape[2]), tf.float32),
        tf.TensorSpec((None, classes), tf.float32),
    )
    return tf.data.Dataset.from_generator(batches, output_signature=signature).prefetch(2)


def plain_batches(inputs: np.ndarray, labels: np.ndarray, classes: int, batch_size: int) -> Any:
    """Each photo once, in order and unchanged, for validation.

    Args:
        inputs: uint8 pixels or float32 features, (n, ...), may be memory-mapped.
        labels: int (n,).
        classes: Number of classes.
        batch_size: Photos in a batch.

    Returns:
        ``tf.data.Dataset`` of float32 (b, ...) and float32 (b, classes).
    """
    tf = import_tensorflow()
    targets = one_hot(labels, classes)

    def batches() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for start in range(0, len(inputs), batch_size):
            rows = slice(start, start + batch_size)
            yield inputs[rows].astype(np.float32), targets[rows]

    signature = (
        tf.TensorSpec((None, *inputs.shape[1:]), tf.float32),
        tf.TensorSpec((None, classes), tf.float32),
    )
    count = steps_per_epoch(len(inputs), batch_size)
    found = tf.data.Dataset.from_generator(batches, output_signature=signature).prefetch(2)
    return found.apply(tf.data.experimental.assert_cardinality(count))
