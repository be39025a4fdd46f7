"""ONNX files, run by onnxruntime on the CPU."""

from __future__ import annotations

import os

import numpy as np

from ..errors import ModelError, first_line, missing_package
from ..manifest import EMBEDDED_NAME, ModelInfo
from .base import Backend, check_image_input, default_threads, path_or_bytes

#: Key of the description in ``metadata_props``.
METADATA_KEY = EMBEDDED_NAME.removesuffix(".json")

#: Name of the output that holds the class scores.
SCORES_NAME = "probabilities"


class OnnxBackend(Backend):
    """An ONNX classifier: float32 NHWC pixels 0..255 in, scores out."""

    name = "onnxruntime"

    def __init__(self, path: str | os.PathLike[str], threads: int | None = None) -> None:
        """Load a file.

        Args:
            path: The ``.onnx`` file.
            threads: onnxruntime's intra-op threads; None for :func:`~.base.default_threads`.

        Raises:
            ModelError: It is no whole ONNX file, or not an image classifier.
            MissingComponent: onnxruntime is not installed.
        """
        where = os.fspath(path)
        try:
            import onnxruntime
        except ImportError as error:
            raise missing_package("onnxruntime", "onnx", "run a .onnx file") from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or default_threads()
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(
                path_or_bytes(where), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime's own exceptions share no public base class
            raise ModelError(
                f"{where}: onnxruntime cannot load it ({first_line(error)}). Export it again."
            ) from error
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        if len(inputs) != 1 or inputs[0].type != "tensor(float)":
            raise ModelError(
                f"{where}: expected one float input, "
                f"found {[(i.name, i.type) for i in inputs]}: not a classifier of this toolkit."
            )
        self.input_size = check_image_input(tuple(inputs[0].shape), where)
        scores = next((o for o in outputs if o.name == SCORES_NAME), outputs[0])
        if len(scores.shape) != 2 or not isinstance(scores.shape[1], int):
            raise ModelError(
                f"{where}: expected scores of shape (1, classes), found {scores.shape}."
            )
        self.classes = scores.shape[1]
        self._input, self._output = inputs[0].name, scores.name
        text = self._session.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
        self.embedded = ModelInfo.from_json(text, f"{where}:{METADATA_KEY}") if text else None

    def prepare(self, pixels: np.ndarray) -> np.ndarray:
        """See :meth:`Backend.prepare`."""
        return pixels[None].astype(np.float32)

    def infer(self, tensor: np.ndarray) -> np.ndarray:
        """See :meth:`Backend.infer`."""
        scores: np.ndarray = self._session.run([self._output], {self._input: tensor})[0]
        return scores.reshape(-1)
