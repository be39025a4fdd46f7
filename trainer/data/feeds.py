"""How batches reach Keras: through tf.data on TensorFlow, as a ``PyDataset`` on other backends."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np

from edge_runtime.backends.full_model import import_keras, import_tensorflow
from edge_runtime.errors import EdgeError

from ..devices import TENSORFLOW, backend
from .batches import Batches

#: Batches that are made ready while a step runs.
_AHEAD = 4


#: What ended a feed, until the block of :func:`own_errors` raises it.
_failures: list[EdgeError] = []


@contextlib.contextmanager
def own_errors() -> Iterator[None]:
    """Within the block a batch that cannot be read raises its own error.

    tf.data would raise one of TensorFlow's in its place, with the first as a page of text.
    """
    _failures.clear()
    try:
        yield
    except Exception as error:
        if _failures and error is not _failures[0]:
            raise _failures[0] from error
        raise


def training_feed(batches: Batches, inputs: int, start: int = 0) -> Any:
    """A feed for ``model.fit(..., steps_per_epoch=epoch_length(batches))``.

    Args:
        batches: What to train on.
        inputs: How many of a batch's arrays are inputs of the network.
        start: Epoch that it begins with.
    """
    if backend() == TENSORFLOW:
        return _dataset(batches, inputs, lambda: _endless(batches, start), None)
    return _py_dataset(batches, inputs, start)


def following(feed: Any) -> list[Any]:
    """Keras callbacks that tell a training feed which epoch begins; ``tf.data`` counts by itself."""
    if backend() == TENSORFLOW:
        return []
    return [import_keras().callbacks.LambdaCallback(on_epoch_begin=feed.begin)]


def epoch_length(batches: Batches) -> int | None:
    """``steps_per_epoch`` of ``model.fit``; a ``PyDataset`` tells it by itself."""
    return batches.steps if backend() == TENSORFLOW else None


def validation_feed(batches: Batches, inputs: int) -> Any:
    """A finite feed of the batches of one epoch."""
    if backend() == TENSORFLOW:
        return _dataset(
            batches,
            inputs,
            lambda: (batches.batch(0, step) for step in range(batches.steps)),
            batches.steps,
        )
    return _py_dataset(batches, inputs, 0)


def _endless(batches: Batches, start: int) -> Iterator[tuple[np.ndarray, ...]]:
    epoch = start
    while True:
        for step in range(batches.steps):
            yield batches.batch(epoch, step)
        epoch += 1


def _grouped(arrays: tuple[Any, ...], inputs: int) -> tuple[Any, ...]:
    """(a, b, target) as Keras wants it: ((a, b), target)."""
    return (arrays[0] if inputs == 1 else arrays[:inputs], *arrays[inputs:])


def _dataset(batches: Batches, inputs: int, generator: Any, count: int | None) -> Any:
    tf = import_tensorflow()
    first = batches.batch(0, 0)
    signature = tuple(tf.TensorSpec((None, *array.shape[1:]), array.dtype) for array in first)

    @tf.autograph.experimental.do_not_convert  # which would write its source into /tmp
    def group(*arrays: Any) -> tuple[Any, ...]:
        return _grouped(arrays, inputs)

    def noted() -> Iterator[tuple[np.ndarray, ...]]:
        try:
            yield from generator()
        except EdgeError as error:
            _failures.append(error)
            raise

    found = tf.data.Dataset.from_generator(noted, output_signature=signature).map(group)
    if count is not None:
        found = found.apply(tf.data.experimental.assert_cardinality(count))
    return found.prefetch(_AHEAD)


def _py_dataset(batches: Batches, inputs: int, start: int) -> Any:
    class Feed(import_keras().utils.PyDataset):  # type: ignore[misc]  # Keras is untyped
        """Looks ahead by itself: Keras's threads hand on what an earlier pass left in a queue."""

        def __init__(self) -> None:
            super().__init__(workers=1, use_multiprocessing=False)
            self._epoch, self._pool = start, ThreadPoolExecutor(2, "batches")
            self._ready: dict[tuple[int, int], Future[tuple[Any, ...]]] = {}

        def begin(self, epoch: int, logs: Any = None) -> None:
            self._epoch = epoch

        def __len__(self) -> int:
            return batches.steps

        def __getitem__(self, step: int) -> tuple[Any, ...]:
            steps = range(step, min(step + 1 + _AHEAD, batches.steps))
            self._ready = {
                key: self._ready.get(key) or self._pool.submit(batches.batch, *key)
                for key in ((self._epoch, ahead) for ahead in steps)
            }
            return _grouped(self._ready[self._epoch, step].result(), inputs)

    return Feed()
