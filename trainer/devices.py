"""What the training runs on: the Keras backend, its accelerators, and how it says "no memory"."""

from __future__ import annotations

import contextlib
import os
from typing import Any

from edge_runtime.backends.full_model import import_keras, import_tensorflow

TENSORFLOW = "tensorflow"

#: How TensorFlow, XLA and CUDA name a lack of memory.
_OUT_OF_MEMORY = ("RESOURCE_EXHAUSTED", "ResourceExhausted", "OOM when allocating", "out of memory")


def backend() -> str:
    """Name of the Keras backend: ``tensorflow`` or ``jax`` (the variable ``KERAS_BACKEND``)."""
    return str(import_keras().config.backend())


def gpus() -> list[str]:
    """Names of the GPUs that the backend uses.

    They then take memory only as it is needed, unless they are in use already, or the variable
    ``XLA_PYTHON_CLIENT_PREALLOCATE`` tells JAX otherwise.
    """
    if backend() != TENSORFLOW:
        take_memory_as_needed()
        names = [str(name) for name in import_keras().distribution.list_devices()]
        return [name for name in names if not name.startswith("cpu")]
    tf, names = import_tensorflow(), []
    for device in tf.config.list_physical_devices("GPU"):
        with contextlib.suppress(RuntimeError):  # it is in use already, as in a notebook
            tf.config.experimental.set_memory_growth(device, True)
        details = tf.config.experimental.get_device_details(device)
        names.append(str(details.get("device_name", device.name)))
    return names


def take_memory_as_needed() -> None:
    """Tell JAX, which otherwise takes three quarters of a GPU's memory when it first looks at it."""
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")


def processes() -> int:
    """Processes that train together, see :mod:`trainer.workers`; 1 on TensorFlow."""
    if backend() == TENSORFLOW:
        return 1
    import jax

    return int(jax.process_count())


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error of the backend says that memory was too small."""
    if isinstance(error, MemoryError):
        return True
    text = f"{type(error).__name__}: {error}"
    return any(word in text for word in _OUT_OF_MEMORY)


def to_numpy(values: Any) -> Any:
    """A tensor of either backend as a numpy array."""
    return import_keras().ops.convert_to_numpy(values)
