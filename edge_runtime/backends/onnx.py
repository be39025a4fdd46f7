"""ONNX files, run by onnxruntime."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from ..engine import Engine
from ..errors import ModelError, first_line
from ..manifest import EMBEDDED_NAME, HeatmapSpec, ModelInfo
from .base import Backend, batch_of, check_image_input, path_or_bytes
from .onnx_session import open_session

#: Key of the description in ``metadata_props``.
METADATA_KEY = EMBEDDED_NAME.removesuffix(".json")

#: Names of the outputs: the class scores (of files exported as logits: those), the heat map.
SCORES_NAME = "probabilities"
LOGITS_NAME = "logits"
HEATMAP_NAME = "heatmap"

#: Inputs that take pixel values, by onnxruntime's name.
_DTYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(uint8)": np.uint8}


OnnxTensor = tuple[str, str, list[int | str | None]]


class OnnxBackend(Backend):
    """An ONNX classifier: NHWC pixels 0..255 in, scores and perhaps a heat map out."""

    name = "onnxruntime"

    def __init__(self, path: str | os.PathLike[str], engine: Engine | None = None) -> None:
        """Load a file.

        Args:
            path: The ``.onnx`` file.
            engine: Threads and execution providers; None for the defaults.

        Raises:
            UsageError: No such provider.
            ModelError: It is no whole ONNX file, or not an image classifier.
            MissingComponent: onnxruntime is not installed.
        """
        where, self._engine = os.fspath(path), engine or Engine()
        self._session = open_session(path_or_bytes(where), self._engine, where)
        text = _metadata(self._session, where)
        self.embedded = ModelInfo.from_json(text, f"{where}:{METADATA_KEY}") if text else None
        self._where = where
        inputs = self._session.get_inputs()
        if len(inputs) != 1 or inputs[0].type not in _DTYPES:
            raise ModelError(
                f"{where}: expected one input of pixels ({', '.join(_DTYPES)}), "
                f"found {[(i.name, i.type) for i in inputs]}: not a classifier of this toolkit."
            )
        self._input, self._dtype = inputs[0].name, _DTYPES[inputs[0].type]
        self.input_size = check_image_input(tuple(inputs[0].shape), where)
        self.batch = batch_of(inputs[0].shape[0])
        self._outputs = {output.name: output for output in self._session.get_outputs()}
        self._output = self._choose_scores()
        shape = self._outputs[self._output].shape
        if len(shape) != 2 or not isinstance(shape[1], int):
            raise ModelError(f"{where}: expected scores of shape (batch, classes), found {shape}.")
        self.classes = shape[1]

    def prepare(self, pixels: np.ndarray) -> np.ndarray:
        """See :meth:`Backend.prepare`."""
        return (pixels if pixels.ndim == 4 else pixels[None]).astype(self._dtype)

    def run(self, tensor: np.ndarray) -> np.ndarray:
        """See :meth:`Backend.run`."""
        return self._run([self._output], tensor)[0]

    @property
    def heatmap(self) -> HeatmapSpec | None:
        """See :attr:`Backend.heatmap`."""
        named = None if self.embedded is None else self.embedded.output.heatmap
        if named is not None and named.output is not None:
            return named
        return HeatmapSpec(output=HEATMAP_NAME) if HEATMAP_NAME in self._outputs else None

    def explain(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See :meth:`Backend.explain`."""
        spec = self.heatmap
        if spec is None or spec.output is None:
            raise ModelError(
                f"{self._where}: has no output {HEATMAP_NAME}. Export it again with edge-export."
            )
        output = self._outputs.get(spec.output)
        if output is None or len(output.shape) != 4 or output.shape[3] != self.classes:
            raise ModelError(
                f"{self._where}: has no output {spec.output} of shape (batch, height, width, "
                f"{self.classes}). Export it again."
            )
        tensor = self.filled(self.prepare(pixels))
        scores, maps = self._run([self._output, spec.output], tensor)
        return scores[0], maps[0]

    def tensors(self) -> tuple[list[OnnxTensor], list[OnnxTensor]]:
        """Inputs and outputs, each as its name, type and shape (names for dynamic dimensions)."""
        sides = (self._session.get_inputs(), self._session.get_outputs())
        inputs, outputs = (
            [(v.name, v.type.removeprefix("tensor(").removesuffix(")"), v.shape) for v in side]
            for side in sides
        )
        return inputs, outputs

    def running(self) -> dict[str, Any]:
        """See :meth:`Backend.running`."""
        import onnxruntime

        providers = list(self._session.get_providers())
        return super().running() | {
            "version": onnxruntime.__version__,
            "providers": providers,
            "provider_options": self._session.get_provider_options(),
        }

    def _choose_scores(self) -> str:
        kind = None if self.embedded is None else self.embedded.output.kind
        names = (SCORES_NAME, LOGITS_NAME) if kind != "logits" else (LOGITS_NAME, SCORES_NAME)
        return next((name for name in names if name in self._outputs), next(iter(self._outputs)))

    def _run(self, outputs: list[str], tensor: np.ndarray) -> list[np.ndarray]:
        try:
            found = self._session.run(outputs, {self._input: tensor})
        except Exception as error:  # onnxruntime's own exceptions share no public base class
            if isinstance(error, MemoryError):
                raise
            raise ModelError(
                f"{self._where}: onnxruntime cannot run it ({first_line(error)}). "
                "Copy the file again, or export it again."
            ) from error
        return [array.astype(np.float32, copy=False) for array in found]


def _metadata(session: Any, where: str) -> str | None:
    try:
        text: str | None = session.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
    except UnicodeDecodeError as error:
        raise ModelError(
            f"{where}: its metadata is no UTF-8 text ({error}). Copy the file again."
        ) from error
    return text
