"""Input, scores and last operator of a TFLite classifier, read off the file without an interpreter."""

from __future__ import annotations

import numpy as np

from ..errors import ModelError
from .ending import find_ending
from .feeding import InputTensor, read_input
from .tflite_graph import Graph
from .tflite_tensor import Tensor


class TfliteEnds:
    """Both ends of a TFLite classifier.

    Attributes:
        input: Its input.
        classes: Number of its scores.
        ending: What they are.
    """

    def __init__(self, model: bytes, where: str) -> None:
        """Read them.

        Args:
            model: The file.
            where: Its name, for messages.

        Raises:
            ModelError: It is damaged, or no image classifier.
        """
        self._graph = graph = Graph(model, where)
        if len(graph.inputs) != 1 or len(graph.outputs) != 1:
            raise ModelError(
                f"{where}: expected one input and one output, found {len(graph.inputs)} and "
                f"{len(graph.outputs)}: not an image classifier."
            )
        source, scores = graph.tensor(graph.inputs[0]), graph.tensor(graph.outputs[0])
        with graph.reading():
            self.input = _read_input(source, where)
            self.classes = int(np.prod(scores.shape)) // max(1, source.shape[0])
        if scores.dtype is None or (scores.dtype.kind != "f" and not scores.scales.size):
            raise ModelError(
                f"{where}: its output {scores.name!r} holds whole numbers, no scores: not an "
                "image classifier, or one that gives only the number of the class."
            )
        self.ending = find_ending(graph.outputs[0], self._maker)

    def _maker(self, index: int) -> tuple[str, list[int]] | None:
        operator = self._graph.maker(index)
        if operator is None:
            return None
        computed = (i for i in operator.inputs if i >= 0 and not self._graph.is_constant(i))
        return operator.kind, list(computed)


def _read_input(tensor: Tensor, where: str) -> InputTensor:
    if tensor.dtype is None:
        raise ModelError(f"{where}: inputs of the type of {tensor.name!r} are not supported.")
    scale, zero = (
        (float(tensor.scales[0]), int(tensor.zero_points[0]) if tensor.zero_points.size else 0)
        if tensor.scales.size == 1
        else (0.0, 0)
    )
    return read_input(tensor.signature, tensor.dtype, where, scale, zero)
