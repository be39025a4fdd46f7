"""The full model: ``model.keras`` of a run, or a SavedModel. Needs TensorFlow, never on the device."""

from __future__ import annotations

import importlib
import logging
import os
import sys
import zipfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ModelError, first_line, missing_package
from ..manifest import EMBEDDED_NAME, ModelInfo
from ..quiet import quiet_stderr
from .base import Backend, batch_of
from .feeding import read_input

#: SavedModel signatures: pixels to probabilities; pixels and class index to heat map.
SERVE_SIGNATURE = "serve"
GRADCAM_SIGNATURE = "gradcam"

#: Outputs of ``serve`` that hold the class scores, whatever else it gives.
_SCORES = ("probabilities", "logits")


def _import_quietly(module: str) -> Any:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # Its warnings are about how this toolkit uses it, such as that a function was traced again.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    if module in sys.modules:
        return sys.modules[module]
    try:
        with quiet_stderr():
            return importlib.import_module(module)
    except ImportError as error:
        raise missing_package(module, "train", "open the full model") from error


def import_tensorflow() -> Any:
    """Import TensorFlow without its start-up chatter.

    Raises:
        MissingComponent: It is not installed.
    """
    return _import_quietly("tensorflow")


def import_keras() -> Any:
    """Import Keras 3 without the start-up chatter of its backend.

    The backend is what ``KERAS_BACKEND`` names, else TensorFlow, else, where that is not
    installed, JAX.

    Raises:
        MissingComponent: It is not installed.
    """
    if "KERAS_BACKEND" not in os.environ and "keras" not in sys.modules:
        installed = [name for name in ("tensorflow", "jax") if find_spec(name)]
        if installed[:1] == ["jax"]:
            os.environ["KERAS_BACKEND"] = "jax"
    return _import_quietly("keras")


def load_keras_model(path: str | os.PathLike[str]) -> Any:
    """Load a ``.keras`` file for inference.

    Returns:
        The ``keras.Model``.

    Raises:
        ModelError: The file is damaged or not a Keras model.
    """
    keras = import_keras()
    if not zipfile.is_zipfile(path):
        raise ModelError(
            f"{os.fspath(path)}: damaged or cut off (no whole .keras archive). "
            "Copy the run again, or train again."
        )
    try:
        return keras.models.load_model(path, compile=False)
    except Exception as error:  # zipfile, h5py and Keras each raise their own
        raise ModelError(
            f"{os.fspath(path)}: Keras cannot load it ({first_line(error)}). Train again."
        ) from error


class KerasBackend(Backend):
    """A ``model.keras``."""

    name = "keras"

    def __init__(self, path: str | os.PathLike[str], threads: int | None = None) -> None:
        """Load the model; ``threads`` is left to TensorFlow."""
        self.model = load_keras_model(path)
        self.input = read_input(self.model.input_shape, np.dtype(np.float32), os.fspath(path))
        self.batch = batch_of(self.model.input_shape[0])
        self.classes = int(self.model.output_shape[-1])
        self.feed()

    def run(self, tensor: np.ndarray) -> np.ndarray:
        """See :meth:`Backend.run`."""
        return np.asarray(self.model(tensor, training=False), np.float32)


class SavedModelBackend(Backend):
    """A SavedModel with a ``serve`` signature."""

    name = "saved_model"

    def __init__(self, path: str | os.PathLike[str], threads: int | None = None) -> None:
        """Load the folder; ``threads`` is left to TensorFlow."""
        where = os.fspath(path)
        self._loaded = load_saved_model(where)
        self._serve = signature(self._loaded, SERVE_SIGNATURE, where)
        (self._input, spec), *others = self._serve.structured_input_signature[1].items()
        if others:
            raise ModelError(f"{where}: signature {SERVE_SIGNATURE} takes more than one input.")
        self.input = read_input(tuple(spec.shape), np.dtype(np.float32), where)
        self.batch = batch_of(spec.shape[0])
        outputs = self._serve.structured_outputs
        names = (name for name in _SCORES if name in outputs)
        self._output = next(names, next(iter(outputs)))
        self.classes = int(outputs[self._output].shape[-1])
        self.embedded = read_embedded(where)
        self.feed()

    def run(self, tensor: np.ndarray) -> np.ndarray:
        """See :meth:`Backend.run`."""
        scores = self._serve(**{self._input: import_tensorflow().constant(tensor)})[self._output]
        return np.asarray(scores, np.float32)


def load_saved_model(path: str | os.PathLike[str]) -> Any:
    """Load a SavedModel folder.

    Raises:
        ModelError: It is damaged or none.
    """
    tensorflow = import_tensorflow()
    try:
        return tensorflow.saved_model.load(os.fspath(path))
    except Exception as error:  # OpError, OSError, DecodeError, ...
        raise ModelError(
            f"{os.fspath(path)}: not a whole SavedModel ({first_line(error)})."
        ) from error


def signature(loaded: Any, name: str, where: str) -> Any:
    """A signature of a loaded SavedModel.

    Raises:
        ModelError: It has none of that name.
    """
    if name not in loaded.signatures:
        raise ModelError(
            f"{where}: no signature {name!r}, only {sorted(loaded.signatures)}. "
            "Export it with edge-export."
        )
    return loaded.signatures[name]


def read_embedded(path: str | os.PathLike[str]) -> ModelInfo | None:
    """The description in a SavedModel's ``assets.extra`` folder; None if there is none."""
    file = Path(path) / "assets.extra" / EMBEDDED_NAME
    if not file.is_file():
        return None
    return ModelInfo.from_json(file.read_bytes(), str(file))
