"""Input, scores and last operator of a TFLite classifier, read off the file without an interpreter.

Numbers of fields and operators are those of ``schema.fbs``, see :mod:`.tflite_graph`, which reads
the whole graph; this reads its end.
"""

from __future__ import annotations

import struct

import numpy as np

from ..errors import ModelError
from .ending import find_ending
from .feeding import InputTensor, read_input
from .flatbuffer import Table
from .tflite_tensor import Tensor, read_tensor

#: Operators that :mod:`.ending` knows, by their number.
_OPERATORS = {
    0: "ADD", 3: "CONV_2D", 6: "DEQUANTIZE", 9: "FULLY_CONNECTED", 14: "LOGISTIC", 22: "RESHAPE",
    25: "SOFTMAX", 43: "SQUEEZE", 50: "LOG_SOFTMAX", 53: "CAST", 70: "EXPAND_DIMS", 114: "QUANTIZE",
    126: "BATCH_MATMUL",
}  # fmt: skip


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
        try:
            root = Table.root(model)
            graph = root.tables(2)[0]
            self._codes, self._operators = root.tables(1), graph.tables(3)
            self._tensors, self._buffers = graph.tables(0), root.tables(4)
            inputs, outputs = (graph.array(slot, "<i4") for slot in (1, 2))
            if len(inputs) != 1 or len(outputs) != 1:
                raise ModelError(
                    f"{where}: expected one input and one output, found {len(inputs)} and "
                    f"{len(outputs)}: not an image classifier."
                )
            source, scores = (read_tensor(self._tensors[i]) for i in (inputs[0], outputs[0]))
            self.input = _read_input(source, where)
            self.classes = int(np.prod(scores.shape)) // max(1, source.shape[0])
            if scores.dtype is None or (scores.dtype.kind != "f" and not scores.scales.size):
                raise ModelError(
                    f"{where}: its output {scores.name!r} holds whole numbers, no scores: not an "
                    "image classifier, or one that gives only the number of the class."
                )
            self.ending = find_ending(str(int(outputs[0])), self._maker)
        except (struct.error, IndexError, ValueError, OverflowError) as error:
            raise ModelError(
                f"{where}: damaged, its graph cannot be read ({error}). Copy the file again."
            ) from error

    def _maker(self, name: str) -> tuple[str, list[str]] | None:
        index = int(name)
        for operator in reversed(self._operators):
            if index in operator.array(2, "<i4"):
                code = self._codes[operator.number(0, "uint")]
                # The newer field, or the older one where it has only that.
                number = max(code.number(0, "byte"), code.number(3, "int"))
                inputs = [int(i) for i in operator.array(1, "<i4")]
                known = _OPERATORS.get(number, f"operator {number}")
                return known, [str(i) for i in inputs if i >= 0 and not self._is_constant(i)]
        return None

    def _is_constant(self, index: int) -> bool:
        content = self._buffers[self._tensors[index].number(2, "uint")]
        return content.place(0) is not None or content.number(1, "ulong") > 1


def _read_input(tensor: Tensor, where: str) -> InputTensor:
    if tensor.dtype is None:
        raise ModelError(f"{where}: inputs of the type of {tensor.name!r} are not supported.")
    scale, zero = (
        (float(tensor.scales[0]), int(tensor.zero_points[0]) if tensor.zero_points.size else 0)
        if tensor.scales.size == 1
        else (0.0, 0)
    )
    return read_input(tensor.signature, tensor.dtype, where, scale, zero)
