"""Several devices: on TensorFlow ``tf.distribute``, on JAX ``keras.distribution``.

A step's batch is divided among the devices, and the gradients are averaged, so that the result is
that of one device with the whole batch. Several processes (:mod:`trainer.workers`) are
for JAX alone: Keras 3 has nothing on TensorFlow that takes the place of
``MultiWorkerMirroredStrategy``.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from edge_runtime.backends.full_model import import_keras, import_tensorflow
from edge_runtime.errors import UsageError

from .data.batches import UNDIVIDED, Division
from .devices import TENSORFLOW, backend, gpus
from .workers import connect

_log = logging.getLogger("trainer")

MULTI_WORKER = "multi-worker"

#: From this process's rows of a batch to a network's answers for all of them.
Predictor = Callable[[np.ndarray], np.ndarray]


def _predict_alone(model: Any) -> Predictor:
    return lambda rows: np.asarray(model.predict_on_batch(rows))


@dataclass(frozen=True)
class Distribution:
    """The devices of a training."""

    name: str  #: ``none``, ``mirrored`` or ``multi-worker``
    scope: Callable[[], contextlib.AbstractContextManager[Any]]  #: where variables are made
    division: Division = UNDIVIDED  #: of a batch
    predictor: Callable[[Any], Predictor] = _predict_alone  #: for inference with a ``keras.Model``

    @property
    def chief(self) -> bool:
        """Whether this process writes the run."""
        return self.division.process == 0


def single_device() -> Distribution:
    """One device."""
    return Distribution("none", contextlib.nullcontext)


def choose_distribution(strategy: str) -> Distribution:
    """The devices that ``strategy`` means here.

    Args:
        strategy: ``auto`` (all GPUs of this machine, where it has more than one), ``none``,
            ``mirrored`` (all devices of this machine) or ``multi-worker`` (all devices of several
            processes, with which it connects).

    Raises:
        UsageError: The strategy cannot be had here.
        SystemFailure: The other processes cannot be reached.
    """
    if strategy == MULTI_WORKER and backend() != TENSORFLOW:
        connect()  # before anything looks at the devices
    several = len(gpus()) > 1  # in any case: it makes them take memory only as it is needed
    if strategy == "auto":
        strategy = "mirrored" if several else "none"
    if strategy == "none":
        return single_device()
    found = _tensorflow(strategy) if backend() == TENSORFLOW else _keras(strategy)
    _log.info("Strategy %s: %d devices share a batch.", found.name, found.division.groups)
    return found


def _tensorflow(strategy: str) -> Distribution:
    if strategy == MULTI_WORKER:
        raise UsageError(
            "strategy multi-worker: Keras 3 cannot do it on TensorFlow. Install jax and set the "
            "variable KERAS_BACKEND=jax."
        )
    tf = import_tensorflow()
    kind = "GPU" if tf.config.list_physical_devices("GPU") else "CPU"
    devices = [device.name for device in tf.config.list_logical_devices(kind)]
    mirrored = tf.distribute.MirroredStrategy(devices)
    return Distribution(strategy, mirrored.scope, Division(len(devices), chunks=len(devices)))


def _keras(strategy: str) -> Distribution:
    import jax

    distribution = import_keras().distribution
    parallel = distribution.DataParallel()
    parallel.auto_shard_dataset = False  # each process feeds its own share
    division = Division(
        len(distribution.list_devices()),
        processes=jax.process_count(),
        process=jax.process_index(),
    )
    if division.groups != jax.local_device_count() * division.processes:
        raise UsageError(
            f"strategy multi-worker: this process has {jax.local_device_count()} of "
            f"{division.groups} devices, expected as many in each of the {division.processes} "
            "processes. Hide the others (CUDA_VISIBLE_DEVICES)."
        )
    mesh = parallel.device_mesh.backend_mesh
    rows = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(parallel.batch_dim_name))
    everywhere = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())

    def predictor(model: Any) -> Predictor:
        weights = [
            [variable.value for variable in variables]
            for variables in (model.trainable_variables, model.non_trainable_variables)
        ]
        call = jax.jit(
            lambda weights, batch: model.stateless_call(*weights, batch, training=False)[0],
            out_shardings=everywhere,
        )
        return lambda own: np.asarray(
            call(weights, jax.make_array_from_process_local_data(rows, own))
        )

    return Distribution(strategy, parallel.scope, division, predictor)
