"""What a training step gets: batches in an order, and with changes, that the seed decides.

An epoch's order and each photo's changes follow from (seed, epoch, photo) alone, so the same seed
gives the same training, and an epoch does not depend on what ran before it: a training that was
stopped goes on as if nothing had happened. How the batches reach Keras is the business of
:mod:`trainer.data.feeds`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ..augmentation.augment import Augmentation
from .pixels import Photos, Pixels


@dataclass(frozen=True)
class Division:
    """How a batch is divided."""

    groups: int = 1  #: devices of all processes, each of which gets as many photos
    #: Parts of a batch that the network is called with, one after another or at once. JAX calls
    #: it with the whole batch.
    chunks: int = 1
    processes: int = 1  #: each has as many of the devices
    process: int = 0  #: number of this one

    def whole(self, count: int) -> int:
        """The next number of photos, from ``count`` up, that can be divided."""
        return steps_per_epoch(count, self.groups) * self.groups

    def own(self, size: int) -> slice:
        """The rows of a batch of ``size`` photos that this process feeds."""
        share = size // self.processes
        return slice(self.process * share, (self.process + 1) * share)

    def of_each_process(self) -> Division:
        """The same for batches of which every process feeds all rows to its own devices."""
        return Division(self.groups // self.processes, self.chunks)


#: One device.
UNDIVIDED = Division()


class Batches(Protocol):
    """Batches of one kind of training; the same epoch and step give the same batch."""

    steps: int  #: batches in an epoch

    def batch(self, epoch: int, step: int) -> tuple[np.ndarray, ...]:
        """Arrays of this process's share of a batch.

        Returns:
            The inputs, then targets, then perhaps weights, each (b, ...).
        """


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

    def __init__(
        self, count: int, batch_size: int, seed: int, division: Division = UNDIVIDED
    ) -> None:
        """Plan batches of ``count`` photos."""
        self._count, self._seed = count, seed
        self.steps = steps_per_epoch(count, batch_size)
        self._size = division.whole(steps_per_epoch(count, self.steps))
        self._epoch, self._order = -1, np.zeros(0, np.int64)

    def indices(self, epoch: int, step: int) -> np.ndarray:
        """Indices of the photos of a batch, of all processes, int64 (b,)."""
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
        division: Division = UNDIVIDED,
    ) -> None:
        """Plan batches.

        Args:
            photos: The photos.
            classes: Number of classes.
            batch_size: Photos in a batch, at most.
            seed: Of order and changes.
            augmentation: The changes.
            class_weights: float32 (classes,); None for no weights.
            division: How a batch is divided.
        """
        self._photos, self._classes = photos, classes
        self._augmentation, self._weights = augmentation, class_weights
        self._order = Shuffled(len(photos.images), batch_size, seed, division)
        self._seed, self._division, self.steps = seed, division, self._order.steps

    def batch(self, epoch: int, step: int) -> tuple[np.ndarray, ...]:
        """uint8 (b, h, w, 3), float32 (b, changes), float32 (b, classes), perhaps (b,)."""
        # Of all processes: a photo may be mixed with one that another process reads.
        chosen, chunks = self._order.indices(epoch, step), self._division.chunks
        changes = self._augmentation.draw(self._seed, epoch, step, chosen, chunks)
        targets = one_hot(self._photos.labels[chosen], self._classes)
        targets = self._augmentation.targets(targets, changes, chunks)
        own = self._division.own(len(chosen))
        changes, targets = changes[own], targets[own]
        found = (self._photos.images[chosen[own]], changes, targets)
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
        division: Division = UNDIVIDED,
    ) -> None:
        """Plan batches of ``views``, float32 (views, n, k); else as :class:`PhotoBatches`."""
        self._views, self._labels = views, labels
        self._classes, self._weights, self._division = classes, class_weights, division
        self._order = Shuffled(len(labels), batch_size, seed, division)
        self.steps = self._order.steps

    def batch(self, epoch: int, step: int) -> tuple[np.ndarray, ...]:
        """float32 (b, k), float32 (b, classes), perhaps float32 (b,)."""
        chosen = self._order.indices(epoch, step)
        chosen = chosen[self._division.own(len(chosen))]
        targets = one_hot(self._labels[chosen], self._classes)
        found = (self._views[epoch % len(self._views)][chosen], targets)
        return found if self._weights is None else (*found, targets @ self._weights)


class PlainBatches:
    """Each photo once, in order and unchanged, for validation.

    Where the last batch cannot be divided among the devices, it is filled up with rows that count
    for nothing: their targets and their weights are 0. The weights of the others make up for it
    in the mean over all rows.
    """

    def __init__(
        self,
        inputs: Pixels | np.ndarray,
        labels: np.ndarray,
        classes: int,
        batch_size: int,
        changes: int = 0,
        division: Division = UNDIVIDED,
    ) -> None:
        """Plan batches of pixels or features (n, ...).

        Args:
            inputs: uint8 pixels or float32 features.
            labels: int (n,).
            classes: Number of classes.
            batch_size: Photos in a batch.
            changes: Parameters that the network's first layer wants and ignores; 0 if it has
                no such input.
            division: How a batch is divided.
        """
        self._inputs, self._labels, self._classes = inputs, labels, classes
        self._size, self._changes = division.whole(batch_size), changes
        self._division, self._rows = division, division.whole(len(labels))
        self.steps = steps_per_epoch(len(labels), self._size)

    def batch(self, epoch: int, step: int) -> tuple[np.ndarray, ...]:
        """The inputs (b, ...), perhaps zeros (b, changes), float32 (b, classes), perhaps (b,)."""
        rows = np.arange(step * self._size, min((step + 1) * self._size, self._rows))
        rows, count = rows[self._division.own(len(rows))], len(self._labels)
        real = (rows < count).astype(np.float32)
        rows = np.minimum(rows, count - 1)
        targets = one_hot(self._labels[rows], self._classes) * real[:, None]
        found: tuple[np.ndarray, ...] = (self._inputs[rows], targets)
        if self._changes:
            found = (found[0], np.zeros((len(rows), self._changes), np.float32), targets)
        return found if self._rows == count else (*found, real * (self._rows / count))
