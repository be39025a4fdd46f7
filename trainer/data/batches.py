"""What a training step gets: batches in an order, and with changes, that the seed decides.

An epoch's order and each photo's changes follow from (seed, epoch, photo) alone, so the same seed
gives the same training, and an epoch does not depend on what ran before it: a training that was
stopped goes on as if nothing had happened. How the batches reach Keras is the business of
:mod:`trainer.data.feeds`.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from ..augmentation.augment import Augmentation
from .pixels import Photos, Pixels


class Batches(Protocol):
    """Batches of one kind of training; the same epoch and step give the same batch."""

    steps: int  #: batches in an epoch

    def batch(self, epoch: int, step: int) -> tuple[np.ndarray, ...]:
        """Arrays of a batch: the inputs, then targets, then perhaps weights, each (b, ...)."""


def epoch_order(count: int, seed: int, epoch: int) -> np.ndarray:
    """The order of the photos in an epoch: a permutation of 0..count-1, int64."""
    return np.random.RandomState([seed, epoch]).permutation(count)


def one_hot(labels: np.ndarray, classes: int) -> np.ndarray:
    """Class indices (n,) as float32 (n, classes).

    Made for each batch: for a whole part with many classes it would not fit into memory.
    """
    found = np.zeros((len(labels), classes), np.float32)
    found[np.arange(len(labels)), labels] = 1
    return found


def steps_per_epoch(count: int, batch_size: int) -> int:
    """Batches in an epoch, none of them larger than ``batch_size``."""
    return -(-count // batch_size)


def balanced_weights(labels: np.ndarray, classes: int) -> np.ndarray:
    """Weights of the classes that make each count the same: n / (classes * photos of the class).

    Args:
        labels: int (n,), class indices; every class has a photo.
        classes: Number of classes.

    Returns:
        float32 (classes,), as scikit-learn's ``compute_class_weight("balanced")``; the mean
        weight of a photo is 1.
    """
    counts = np.bincount(labels, minlength=classes)
    return (len(labels) / (classes * np.maximum(counts, 1))).astype(np.float32)


class Shuffled:
    """Which photos are in which batch.

    All batches are of one size, so that XLA compiles a step once, and a last batch of a single
    photo does not leave BatchNorm without a variance to learn from: the first few photos of an
    epoch's order come again at its end. With several devices the size is a multiple of their
    number.
    """

    def __init__(self, count: int, batch_size: int, seed: int, groups: int = 1) -> None:
        """Plan batches of ``count`` photos, each to be cut into ``groups`` equal parts."""
        self._count, self._seed = count, seed
        self.steps = steps_per_epoch(count, batch_size)
        self._size = steps_per_epoch(steps_per_epoch(count, self.steps), groups) * groups
        self._epoch, self._order = -1, np.zeros(0, np.int64)

    def indices(self, epoch: int, step: int) -> np.ndarray:
        """Indices of the photos of a batch, int64 (b,)."""
        if epoch != self._epoch:
            order = epoch_order(self._count, self._seed, epoch)
            places = np.arange(self.steps * self._size) % self._count
            self._order, self._epoch = order[places], epoch
        return self._order[step * self._size : (step + 1) * self._size]


class PhotoBatches:
    """Photos with the parameters of their changes, which the network's first layer applies."""

    def __init__(
        self,
        photos: Photos,
        classes: int,
        batch_size: int,
        seed: int,
        augmentation: Augmentation,
        class_weights: np.ndarray | None = None,
        groups: int = 1,
        chunks: int = 1,
    ) -> None:
        """Plan batches.

        Args:
            photos: The photos.
            classes: Number of classes.
            batch_size: Photos in a batch, at most.
            seed: Of order and changes.
            augmentation: The changes.
            class_weights: float32 (classes,); None for no weights.
            groups: Devices among which a batch is divided.
            chunks: Parts of a batch that the network is called with.
        """
        self._photos, self._classes = photos, classes
        self._augmentation, self._weights = augmentation, class_weights
        self._order = Shuffled(len(photos.images), batch_size, seed, groups)
        self._seed, self._chunks, self.steps = seed, chunks, self._order.steps

    def batch(self, epoch: int, step: int) -> tuple[np.ndarray, ...]:
        """uint8 (b, h, w, 3), float32 (b, changes), float32 (b, classes), perhaps (b,)."""
        chosen = self._order.indices(epoch, step)
        changes = self._augmentation.draw(self._seed, epoch, step, chosen, self._chunks)
        own = one_hot(self._photos.labels[chosen], self._classes)
        targets = self._augmentation.targets(own, changes, self._chunks)
        found = (self._photos.images[chosen], changes, targets)
        return found if self._weights is None else (*found, targets @ self._weights)


class FeatureBatches:
    """Features of the photos, for the head alone; each epoch sees one view, in turn."""

    def __init__(
        self,
        views: np.ndarray,
        labels: np.ndarray,
        classes: int,
        batch_size: int,
        seed: int,
        class_weights: np.ndarray | None = None,
        groups: int = 1,
    ) -> None:
        """Plan batches of ``views``, float32 (views, n, k); else as :class:`PhotoBatches`."""
        self._views, self._labels = views, labels
        self._classes, self._weights = classes, class_weights
        self._order = Shuffled(len(labels), batch_size, seed, groups)
        self.steps = self._order.steps

    def batch(self, epoch: int, step: int) -> tuple[np.ndarray, ...]:
        """float32 (b, k), float32 (b, classes), perhaps float32 (b,)."""
        chosen = self._order.indices(epoch, step)
        targets = one_hot(self._labels[chosen], self._classes)
        found = (self._views[epoch % len(self._views)][chosen], targets)
        return found if self._weights is None else (*found, targets @ self._weights)


class PlainBatches:
    """Each photo once, in order and unchanged, for validation."""

    def __init__(
        self,
        inputs: Pixels | np.ndarray,
        labels: np.ndarray,
        classes: int,
        batch_size: int,
        changes: int = 0,
    ) -> None:
        """Plan batches of pixels or features (n, ...).

        Args:
            inputs: uint8 pixels or float32 features.
            labels: int (n,).
            classes: Number of classes.
            batch_size: Photos in a batch.
            changes: Parameters that the network's first layer wants and ignores; 0 if it has
                no such input.
        """
        self._inputs, self._labels, self._classes = inputs, labels, classes
        self._size, self._changes = batch_size, changes
        self.steps = steps_per_epoch(len(inputs), batch_size)

    def batch(self, epoch: int, step: int) -> tuple[np.ndarray, ...]:
        """The inputs (b, ...), perhaps zeros (b, changes), and float32 (b, classes)."""
        rows = np.arange(step * self._size, min((step + 1) * self._size, len(self._labels)))
        inputs, targets = self._inputs[rows], one_hot(self._labels[rows], self._classes)
        if not self._changes:
            return inputs, targets
        return inputs, np.zeros((len(rows), self._changes), np.float32), targets
