"""TFLite files, run by whichever of the interpreters of :mod:`.interpreters` is able."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from functools import cached_property
from typing import Any, BinaryIO

import numpy as np

from ..engine import Engine
from ..errors import ModelError, first_line
from ..manifest import EMBEDDED_NAME, HeatmapSpec, ModelInfo
from ..records import replace
from .base import Backend, batch_of, chosen, identity, path_or_bytes
from .feeding import read_input, usual_spec
from .interpreters import load_interpreter as load_interpreter
from .interpreters import open_interpreter

_IDENTIFIER = b"TFL3"

#: Bytes that a description unpacks to at most; a thousand classes are forty thousand.
_MAX_DESCRIPTION = 4 << 20


class LiteRtBackend(Backend):
    """A TFLite classifier with one image input and one score vector."""

    def __init__(self, path: str | os.PathLike[str], engine: Engine | None = None) -> None:
        """Load a file.

        Args:
            path: The ``.tflite`` file.
            engine: Interpreter, threads, delegate; None for the defaults.

        Raises:
            UsageError: No such delegate.
            ModelError: It is no whole TFLite file, or not an image classifier.
            MissingComponent: No interpreter is installed.
        """
        self._where, self._engine = os.fspath(path), engine or Engine()
        check_header(self._where)
        self._known = identity(self._where)
        self._source = path_or_bytes(self._where, self._engine.private)
        self._loaded = open_interpreter(self._source, self._engine, self._where)
        self._interpreter, self.name = self._loaded.interpreter, self._loaded.name
        try:
            inputs = self._interpreter.get_input_details()
            outputs = self._interpreter.get_output_details()
        except UnicodeDecodeError as error:
            raise ModelError(
                f"{self._where}: damaged, a tensor's name is no UTF-8 text ({error}). "
                "Copy the file again."
            ) from error
        if len(inputs) != 1 or len(outputs) != 1:
            raise ModelError(
                f"{self._where}: expected one input and one output, "
                f"found {len(inputs)} and {len(outputs)}: not an image classifier."
            )
        shape = tuple(int(n) for n in inputs[0]["shape"])
        self.input = read_input(
            tuple(int(n) for n in inputs[0]["shape_signature"]),
            inputs[0]["dtype"], self._where, *inputs[0]["quantization"],
        )  # fmt: skip
        self.batch = batch_of(int(inputs[0]["shape_signature"][0]))
        self.classes = int(np.prod(outputs[0]["shape"])) // shape[0]
        self._input, self._output = inputs[0]["index"], outputs[0]["index"]
        scale, zero_point = outputs[0]["quantization"]
        self._scale, self._zero_point = np.float32(scale), zero_point
        self.step = float(scale)
        self.any_thread = self._loaded.delegate.kind in ("default", "none", "xnnpack")
        self._shape = shape
        self._tap: Tap | None = None
        self.feed(usual_spec(self.input))

    @cached_property
    def embedded(self) -> ModelInfo | None:  # type: ignore[override]  # read where it is asked for
        """See :attr:`Backend.embedded`; a bundle's manifest says the same, and is read anyway."""
        with self._file.open() as stream:
            return read_embedded(self._where, stream)

    def run(self, tensor: np.ndarray) -> np.ndarray:
        """See :meth:`Backend.run`."""
        if tensor.shape != self._shape:  # only where the batch or the size is dynamic
            self._interpreter.resize_tensor_input(self._input, tensor.shape)
            self._interpreter.allocate_tensors()
            self._shape = tensor.shape
        return self._run(self._interpreter, tensor)

    @property
    def heatmap(self) -> HeatmapSpec | None:
        """See :attr:`Backend.heatmap`; searched for in the graph where the file names none."""
        named = self._named_heatmap()
        if named is not None:
            return named
        from .tflite_head import find_heatmap

        return find_heatmap(self._file.read(), self._where)

    def explain(
        self, pixels: np.ndarray, index: int | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """See :meth:`Backend.explain`.

        The first call opens the file a second time, with the feature map as one more output, so
        that :meth:`scores` costs no more than before.
        """
        if self._tap is None:
            named = self._named_heatmap()
            self._tap = Tap(self._file.read(), self._where, named, self._tap_engine())
        scores = self._run_tap(self._tap, pixels)
        return scores, self._tap.maps(chosen(scores, index))

    def pooling(self) -> Callable[[np.ndarray], np.ndarray]:
        """See :meth:`Backend.pooling`."""
        engine = replace(self._tap_engine(), threads=1)
        tap = Tap(self._file.read(), self._where, self._named_heatmap(), engine)

        def pooled(pixels: np.ndarray) -> np.ndarray:
            self._run_tap(tap, pixels)
            return tap.vector()

        return pooled

    def feature_map(self) -> str:
        """Name of the tensor that heat maps are made of; found in the file, which is not run.

        Raises:
            ModelError: The graph does not end in pooling and a head that can be read.
        """
        from .tflite_graph import Graph
        from .tflite_head import read_head

        graph = Graph(self._file.read(), self._where)
        return graph.tensor(read_head(graph, self._where, self._named_heatmap()).features).name

    def running(self) -> dict[str, Any]:
        """See :meth:`Backend.running`."""
        from .placing import describe_placement

        told = describe_placement(self._loaded, self._source, self._engine, self._where)
        return super().running() | {"version": self._loaded.version} | told

    def _run_tap(self, tap: Tap, pixels: np.ndarray) -> np.ndarray:
        """Scores of one photo, float32 (classes,), with its features left in the tap."""
        tensor = self.filled(self.prepare(pixels))
        if tuple(tap.interpreter.get_input_details()[0]["shape"]) != tensor.shape:
            tap.interpreter.resize_tensor_input(self._input, tensor.shape)
            tap.interpreter.allocate_tensors()
        scores: np.ndarray = self._run(tap.interpreter, tensor)[0]
        return scores

    def _tap_engine(self) -> Engine:
        """The same interpreter; a GPU gives what a signature names only, so the CPU stands in."""
        kept = None if self._loaded.delegate.kind == "gpu" else self._engine.delegate
        return replace(self._engine, interpreter=self.name, delegate=kept)

    def _named_heatmap(self) -> HeatmapSpec | None:
        named = None if self.embedded is None else self.embedded.output.heatmap
        return named if named is not None and named.features is not None else None

    def _run(self, interpreter: Any, tensor: np.ndarray) -> np.ndarray:
        try:
            interpreter.set_tensor(self._input, tensor)
            interpreter.invoke()
        except (RuntimeError, ValueError) as error:
            raise ModelError(
                f"{self._where}: {self.name} cannot run it ({first_line(error)}). "
                "Copy the file again, or export it again."
            ) from error
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

    def __init__(
        self, content: bytes, where: str, named: HeatmapSpec | None, engine: Engine
    ) -> None:
        """Open it once more.

        Args:
            content: Of the file.
            where: The file, for messages.
            named: The tensors that a heat map is made of; None searches the graph.
            engine: Interpreter, threads, delegate.

        Raises:
            ModelError: It has no feature map in front of a pooling and a head that can be read.
        """
        from .tflite_graph import Graph
        from .tflite_head import read_head

        graph = Graph(content, where)
        self._head = read_head(graph, where, named)
        self._tensor = graph.tensor(self._head.features)
        edited = graph.with_output(self._head.features)
        self.interpreter = open_interpreter(edited, engine, where).interpreter

    def maps(self, index: int | None = None) -> np.ndarray:
        """Maps of the first photo of the latest run.

        Args:
            index: Class; None for all.

        Returns:
            float32 (h, w, classes), or (h, w, 1) of one class; >= 0.
        """
        return self._head.maps(self._features(), index)

    def vector(self) -> np.ndarray:
        """The pooled features of the first photo of the latest run, float32 (k,)."""
        return self._head.vector(self._features())

    def _features(self) -> np.ndarray:
        from .tflite_tensor import dequantized

        stored = self.interpreter.get_tensor(self._head.features)[:1]
        features: np.ndarray = dequantized(stored, self._tensor)[0]
        return features


def check_header(path: str) -> None:
    """Raise ModelError unless a file begins as a TFLite file does."""
    with open(path, "rb") as stream:
        header = stream.read(8)
    if header[4:8] != _IDENTIFIER:
        raise ModelError(
            f"{path}: not a TFLite file (its identifier should be TFL3). Export it again."
        )


def read_embedded(path: str | os.PathLike[str], stream: BinaryIO | None = None) -> ModelInfo | None:
    """The model description that ``edge-export`` packed into a .tflite file.

    TFLite metadata keeps associated files as a zip archive at the end of the model file
    (https://ai.google.dev/edge/litert/conversion/tensorflow/metadata).

    Args:
        path: The file.
        stream: It, opened already; None to open it.

    Returns:
        The description; None if the file carries none.
    """
    import zipfile
    import zlib

    try:
        source = path if stream is None else stream
        with zipfile.ZipFile(source) as archive, archive.open(EMBEDDED_NAME) as member:
            text = member.read(_MAX_DESCRIPTION + 1)
    except (zipfile.BadZipFile, KeyError):
        return None
    except (zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, OSError) as error:
        if isinstance(error, OSError) and error.errno != errno.EINVAL:
            raise  # EINVAL is an offset in front of the file
        raise ModelError(
            f"{os.fspath(path)}: its description is damaged ({error}). Copy the file again."
        ) from error
    if len(text) > _MAX_DESCRIPTION:
        raise ModelError(
            f"{os.fspath(path)}:{EMBEDDED_NAME}: more than {_MAX_DESCRIPTION >> 20} MiB. Refused."
        )
    return ModelInfo.from_json(text, f"{os.fspath(path)}:{EMBEDDED_NAME}")
