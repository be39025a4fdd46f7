"""Several devices: on TensorFlow ``tf.distribute``, on JAX ``keras.distribution``.

A step's batch is divided among the devices, and the gradients are averaged, so that the result is
that of one device with the whole batch.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from edge_runtime.backends.full_model import import_keras, import_tensorflow
from edge_runtime.errors import UsageError

from ..devices import TENSORFLOW, backend, gpus

_log = logging.getLogger("trainer")


@dataclass(frozen=True)
class Distribution:
    """The devices of a training."""

    name: str  #: ``none``, ``mirrored`` or ``multi-worker``
    replicas: int  #: devices among which a batch is divided
    scope: Callable[[], contextlib.AbstractContextManager[Any]]  #: where variables are made
    #: Parts of a batch that the network is called with, one after another or at once. JAX calls
    #: it with the whole batch.
    chunks: int = 1
    chief: bool = True  #: whether this process writes the run


def single_device() -> Distribution:
    """One device."""
    return Distribution("none", 1, contextlib.nullcontext)


def choose_distribution(strategy: str) -> Distribution:
    """The devices that ``strategy`` means here.

    Args:
        strategy: ``auto`` (all GPUs of this machine, where it has more than one), ``none``,
            ``mirrored`` (all devices of this machine) or ``multi-worker``.

    Raises:
        UsageError: The strategy cannot be had here.
    """
    if strategy == "auto":
        strategy = "mirrored" if len(gpus()) > 1 else "none"
    if strategy == "none":
        return single_device()
    found = _tensorflow(strategy) if backend() == TENSORFLOW else _keras(strategy)
    _log.info("Strategy %s: %d devices share a batch.", found.name, found.replicas)
    return found


def _tensorflow(strategy: str) -> Distribution:
    if strategy == "multi-worker":
        raise UsageError(
            "strategy multi-worker: Keras 3 cannot do it on TensorFlow. Install jax and set the "
            "variable KERAS_BACKEND=jax."
        )
    tf = import_tensorflow()
    kind = "GPU" if tf.config.list_physical_devices("GPU") else "CPU"
    devices = [device.name for device in tf.config.list_logical_devices(kind)]
    mirrored = tf.distribute.MirroredStrategy(devices)
    return Distribution(strategy, len(devices), mirrored.scope, chunks=len(devices))


def _keras(strategy: str) -> Distribution:
    distribution = import_keras().distribution
    if strategy == "multi-worker":
        # Addresses and the process's number are in KERAS_DISTRIBUTION_* variables.
        distribution.initialize()
    data_parallel = distribution.DataParallel()
    distribution.set_distribution(data_parallel)
    replicas = len(distribution.list_devices())
    return Distribution(strategy, replicas, contextlib.nullcontext)
