"""TFLite files, run by LiteRT (``ai_edge_litert``) or, where that has no wheel, tflite-runtime."""

from __future__ import annotations

import importlib
import os
import zipfile
from typing import Any

import numpy as np

from ..errors import MissingComponent, ModelError, first_line, missing_package
from ..manifest import EMBEDDED_NAME, ModelInfo
from ..quiet import quiet_stderr
from .base import Backend, check_image_input, default_threads, path_or_bytes

#: Module, name shown to the user; tried in this order.
_INTERPRETERS = (
    ("ai_edge_litert.interpreter", "litert"),
    ("tflite_runtime.interpreter", "tflite-runtime"),
)

_IDENTIFIER = b"TFL3"


def load_interpreter() -> tuple[Any, str]:
    """The Interpreter class of the first installed runtime, and the runtime's name.

    Raises:
        MissingComponent: None is installed.
    """
    for module, name in _INTERPRETERS:
        try:
            return importlib.import_module(module).Interpreter, name
        except ModuleNotFoundError as error:
            if error.name not in (module, module.partition(".")[0]):
                raise MissingComponent(
                    f"{name} is installed but cannot start: {error}. Reinstall it."
                ) from error
        except ImportError as error:
            raise MissingComponent(
                f"{name} is installed but cannot start: {error}. Reinstall it, "
                "or see which versions go together in the README."
            ) from error
    raise missing_package(
        "ai-edge-litert", "tflite-runtime", "run a .tflite file (or: pip install ai-edge-litert)"
    )


class LiteRtBackend(Backend):
    """A TFLite classifier with one image input and one score vector."""

    def __init__(self, path: str | os.PathLike[str], threads: int | None = None) -> None:
        """Load a file.

        Args:
            path: The ``.tflite`` file.
            threads: Interpreter threads; None for :func:`~.base.default_threads`.

        Raises:
            ModelError: It is no whole TFLite file, or not an image classifier.
            MissingComponent: No interpreter is installed.
        """
        where = os.fspath(path)
        _check_header(where)
        interpreter_class, self.name = load_interpreter()
        model = path_or_bytes(where)
        source = {"model_path" if isinstance(model, str) else "model_content": model}
        try:
            with quiet_stderr():  # it announces its delegate at every start
                self._interpreter = interpreter_class(
                    **source, num_threads=threads or default_threads()
                )
                self._interpreter.allocate_tensors()
        except SystemError as error:  # how tflite-runtime meets a numpy it was not built for
            raise MissingComponent(
                f"{self.name} is installed but cannot start ({first_line(error)}). tflite-runtime "
                "needs an older numpy: pip install 'numpy<2'"
            ) from error
        except (ValueError, RuntimeError) as error:
            raise ModelError(
                f"{where}: {self.name} cannot load it ({first_line(error)}). "
                "Export it again, or upgrade the interpreter."
            ) from error
        inputs = self._interpreter.get_input_details()
        outputs = self._interpreter.get_output_details()
        if len(inputs) != 1 or len(outputs) != 1:
            raise ModelError(
                f"{where}: expected one input and one output, "
                f"found {len(inputs)} and {len(outputs)}: not an image classifier."
            )
        self.input_size = check_image_input(tuple(int(n) for n in inputs[0]["shape"]), where)
        self.classes = int(np.prod(outputs[0]["shape"]))
        self._input, self._output = inputs[0]["index"], outputs[0]["index"]
        self._table = _input_table(inputs[0], where)
        scale, zero_point = outputs[0]["quantization"]
        self._scale, self._zero_point = np.float32(scale), zero_point
        self.step = float(scale)
        self.embedded = read_embedded(where)

    def prepare(self, pixels: np.ndarray) -> np.ndarray:
        """See :meth:`Backend.prepare`; quantised inputs go through a table of 256 values."""
        values = pixels if self._table is None else np.take(self._table, pixels)
        return values[None]

    def infer(self, tensor: np.ndarray) -> np.ndarray:
        """See :meth:`Backend.infer`."""
        self._interpreter.set_tensor(self._input, tensor)
        self._interpreter.invoke()
        scores: np.ndarray = self._interpreter.get_tensor(self._output).reshape(-1)
        scores = scores.astype(np.float32, copy=False)
        if self._scale:
            scores = (scores - np.float32(self._zero_point)) * self._scale
        return scores


def _check_header(path: str) -> None:
    with open(path, "rb") as stream:
        header = stream.read(8)
    if header[4:8] != _IDENTIFIER:
        raise ModelError(
            f"{path}: not a TFLite file (its identifier should be TFL3). Export it again."
        )


def _input_table(details: dict[str, Any], where: str) -> np.ndarray | None:
    """Input value of each pixel value 0..255; None when the model takes the pixels as they are.

    The network's real input is 0..255, so a quantised input is pixel / scale + zero point
    (the affine scheme of the TFLite 8-bit quantisation specification).
    """
    dtype = np.dtype(details["dtype"])
    pixels = np.arange(256, dtype=np.float32)
    if dtype == np.float32:
        return pixels
    if dtype not in (np.uint8, np.int8, np.int16):
        raise ModelError(f"{where}: inputs of type {dtype} are not supported.")
    scale, zero_point = details["quantization"]
    if not scale:
        raise ModelError(f"{where}: the input is {dtype} without a quantisation scale.")
    limits = np.iinfo(dtype)
    table = np.clip(np.round(pixels / scale) + zero_point, limits.min, limits.max).astype(dtype)
    identity = dtype == np.uint8 and np.array_equal(table, np.arange(256))
    return None if identity else table


def read_embedded(path: str | os.PathLike[str]) -> ModelInfo | None:
    """The model description that ``edge-export`` packed into a .tflite file.

    TFLite metadata keeps associated files as a zip archive at the end of the model file
    (https://ai.google.dev/edge/litert/conversion/tensorflow/metadata).

    Returns:
        The description; None if the file carries none.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            text = archive.read(EMBEDDED_NAME)
    except (zipfile.BadZipFile, KeyError):
        return None
    return ModelInfo.from_json(text, f"{os.fspath(path)}:{EMBEDDED_NAME}")
