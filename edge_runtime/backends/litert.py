"""TFLite files, run by LiteRT (``ai_edge_litert``) or, where that has no wheel, tflite-runtime."""

from __future__ import annotations

import importlib
import os
from functools import cached_property
from typing import Any

import numpy as np

from ..errors import MissingComponent, ModelError, first_line, missing_package
from ..manifest import EMBEDDED_NAME, HeatmapSpec, ModelInfo
from ..quiet import quiet_stderr
from .base import (
    Backend,
    batch_of,
    check_image_input,
    chosen,
    default_threads,
    path_or_bytes,
)

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
        self._where, self._threads = os.fspath(path), threads or default_threads()
        check_header(self._where)
        model = path_or_bytes(self._where)
        self._interpreter, self.name = open_interpreter(model, self._threads, self._where)
        inputs = self._interpreter.get_input_details()
        outputs = self._interpreter.get_output_details()
        if len(inputs) != 1 or len(outputs) != 1:
            raise ModelError(
                f"{self._where}: expected one input and one output, "
                f"found {len(inputs)} and {len(outputs)}: not an image classifier."
            )
        shape = tuple(int(n) for n in inputs[0]["shape"])
        self.input_size = check_image_input(shape, self._where)
        self.batch = batch_of(int(inputs[0]["shape_signature"][0]))
        self.classes = int(np.prod(outputs[0]["shape"])) // shape[0]
        self._input, self._output = inputs[0]["index"], outputs[0]["index"]
        self._table = _input_table(inputs[0], self._where)
        scale, zero_point = outputs[0]["quantization"]
        self._scale, self._zero_point = np.float32(scale), zero_point
        self.step = float(scale)
        self._size = shape[0]
        self._tap: Tap | None = None

    @cached_property
    def embedded(self) -> ModelInfo | None:  # type: ignore[override]  # read where it is asked for
        """See :attr:`Backend.embedded`; a bundle's manifest says the same, and is read anyway."""
        return read_embedded(self._where)

    def prepare(self, pixels: np.ndarray) -> np.ndarray:
        """See :meth:`Backend.prepare`; quantised inputs go through a table of 256 values."""
        values = pixels if self._table is None else np.take(self._table, pixels)
        return values if values.ndim == 4 else values[None]

    def run(self, tensor: np.ndarray) -> np.ndarray:
        """See :meth:`Backend.run`."""
        if len(tensor) != self._size:  # only where the batch is dynamic
            self._interpreter.resize_tensor_input(self._input, tensor.shape)
            self._interpreter.allocate_tensors()
            self._size = len(tensor)
        return self._run(self._interpreter, tensor)

    @property
    def heatmap(self) -> HeatmapSpec | None:
        """See :attr:`Backend.heatmap`; searched for in the graph where the file names none."""
        named = self._named_heatmap()
        if named is not None:
            return named
        from .tflite_graph import find_heatmap

        with open(self._where, "rb") as stream:
            return find_heatmap(stream.read(), self._where)

    def explain(
        self, pixels: np.ndarray, index: int | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """See :meth:`Backend.explain`.

        The first call opens the file a second time, with the feature map as one more output, so
        that :meth:`scores` costs no more than before.
        """
        if self._tap is None:
            self._tap = Tap(self._where, self._named_heatmap(), self._threads)
        tap = self._tap
        scores = self._run(tap.interpreter, self.filled(self.prepare(pixels)))[0]
        return scores, tap.maps(chosen(scores, index))

    def _named_heatmap(self) -> HeatmapSpec | None:
        named = None if self.embedded is None else self.embedded.output.heatmap
        return named if named is not None and named.features is not None else None

    def _run(self, interpreter: Any, tensor: np.ndarray) -> np.ndarray:
        interpreter.set_tensor(self._input, tensor)
        interpreter.invoke()
        scores: np.ndarray = interpreter.get_tensor(self._output)
        scores = scores.reshape(-1, self.classes).astype(np.float32, copy=False)
        if self._scale:
            scores = (scores - np.float32(self._zero_point)) * self._scale
        return scores


class Tap:
    """A TFLite classifier that gives its feature map beside its scores.

    Attributes:
        interpreter: It, with the tensor numbers of the file.
    """

    def __init__(self, where: str, named: HeatmapSpec | None, threads: int) -> None:
        """Open a file; ``named`` None searches its graph.

        Raises:
            ModelError: It has no feature map in front of a pooling and a head that can be read.
        """
        from .tflite_graph import Graph
        from .tflite_head import read_head

        with open(where, "rb") as stream:
            graph = Graph(stream.read(), where)
        self._head = read_head(graph, where, named)
        self._tensor = graph.tensors[self._head.features]
        edited = graph.with_output(self._head.features)
        self.interpreter, _ = open_interpreter(edited, threads, where)

    def maps(self, index: int | None = None) -> np.ndarray:
        """Maps of the first photo of the latest run.

        Args:
            index: Class; None for all.

        Returns:
            float32 (h, w, classes), or (h, w, 1) of one class; >= 0.
        """
        from .tflite_tensor import dequantized

        stored = self.interpreter.get_tensor(self._head.features)[:1]
        return self._head.maps(dequantized(stored, self._tensor)[0], index)


def open_interpreter(model: str | bytes, threads: int, where: str) -> tuple[Any, str]:
    """An interpreter that is ready to run, and its name.

    Args:
        model: Path or contents of the file.
        threads: How many it may use.
        where: Name of the file, for messages.

    Raises:
        ModelError: It is no whole TFLite file, or needs what the interpreter lacks.
        MissingComponent: No interpreter is installed.
    """
    interpreter_class, name = load_interpreter()
    source = {"model_path" if isinstance(model, str) else "model_content": model}
    try:
        with quiet_stderr():  # it announces its delegate at every start
            interpreter = interpreter_class(**source, num_threads=threads)
            interpreter.allocate_tensors()
    except SystemError as error:  # how tflite-runtime meets a numpy it was not built for
        raise MissingComponent(
            f"{name} is installed but cannot start ({first_line(error)}). tflite-runtime "
            "needs an older numpy: pip install 'numpy<2'"
        ) from error
    except (ValueError, RuntimeError) as error:
        raise ModelError(
            f"{where}: {name} cannot load it ({first_line(error)}). "
            "Export it again, or upgrade the interpreter."
        ) from error
    return interpreter, name


def check_header(path: str) -> None:
    """Raise ModelError unless a file begins as a TFLite file does."""
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
    import zipfile

    try:
        with zipfile.ZipFile(path) as archive:
            text = archive.read(EMBEDDED_NAME)
    except (zipfile.BadZipFile, KeyError):
        return None
    return ModelInfo.from_json(text, f"{os.fspath(path)}:{EMBEDDED_NAME}")
