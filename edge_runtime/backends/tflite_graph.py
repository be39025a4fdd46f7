"""The end of a TFLite classifier's graph: what its heat map is made of.

Numbers of fields, operators and types are those of ``schema.fbs`` version 3
(https://github.com/tensorflow/tensorflow/blob/master/tensorflow/compiler/mlir/lite/schema/schema.fbs).
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..errors import ModelError
from ..manifest import HeatmapSpec
from .flatbuffer import Table, with_vector
from .tflite_tensor import Tensor, dequantized, read_tensor

AVERAGE_POOL_2D, CONV_2D, DEQUANTIZE, FULLY_CONNECTED = 1, 3, 6, 9
RESHAPE, SOFTMAX, MEAN, SQUEEZE, QUANTIZE = 22, 25, 40, 43, 114

#: Operators that change neither the values nor, for a batch of vectors, their order.
_PASSING = {RESHAPE, SQUEEZE, QUANTIZE, DEQUANTIZE}

# Fields of the table SubGraph.
_INPUTS, _OUTPUTS = 1, 2


@dataclass(frozen=True)
class Head:
    """Pooling and linear layer at the end of a classifier.

    Attributes:
        features: Index of the tensor F (n, h, w, k) in front of the pooling.
        weights: Index of the constant tensor with the kernel W (classes, k) or (classes, 1, 1, k).
    """

    features: int
    weights: int


@dataclass(frozen=True)
class Operator:
    """An operator of a graph.

    Attributes:
        code: Its number in the schema.
        inputs: Indices of the tensors that it takes; -1 for one that it goes without.
        options: Its table of options.
    """

    code: int
    inputs: tuple[int, ...]
    options: Table | None


class Graph:
    """The first subgraph of a TFLite file, read in place.

    Attributes:
        tensors: All of its tensors.
        inputs: Indices of those that it takes.
        outputs: Indices of those that it gives.
        maker: Index of a computed tensor to the operator that it comes from.
    """

    def __init__(self, data: bytes, where: str) -> None:
        """Read the tensors and operators, not the weights.

        Args:
            data: The file.
            where: Its name, for messages.

        Raises:
            ModelError: It is damaged.
        """
        self._data, self._where = data, where
        with self.reading():
            model = Table.root(data)
            codes = [_builtin(code) for code in model.tables(1)]
            self._buffers = model.tables(4)
            self._graph = model.tables(2)[0]
            self.tensors = [read_tensor(table) for table in self._graph.tables(0)]
            self.inputs = tuple(int(i) for i in self._graph.array(_INPUTS, "<i4"))
            self.outputs = tuple(int(i) for i in self._graph.array(_OUTPUTS, "<i4"))
            self.maker = {
                int(output): Operator(
                    codes[table.number(0, "uint")],
                    tuple(int(i) for i in table.array(1, "<i4")),
                    table.table(4),
                )
                for table in self._graph.tables(3)
                for output in table.array(2, "<i4")
            }

    def head(self, named: HeatmapSpec | None = None) -> Head | None:
        """What the heat map is made of.

        Args:
            named: Names of F and W; None for a search from the output backwards.

        Returns:
            None where the graph does not end in pooling and a linear layer.

        Raises:
            ModelError: There is no tensor of one of the names, or it cannot be what it should be.
        """
        with self.reading():
            if named is None:
                return self._find()
            found = Head(*(self._index(name) for name in (named.features, named.weights)))
            if not self._fits(found):
                raise ModelError(
                    f"{self._where}: {named.features!r} and {named.weights!r} are no feature map "
                    "and kernel. Export it again."
                )
            return found

    def constants(self) -> list[Tensor]:
        """The tensors whose values the file holds."""
        with self.reading():
            return [t for i, t in enumerate(self.tensors) if self._values(i).size]

    def constant(self, index: int) -> np.ndarray | None:
        """Real values of a constant tensor, float32 in its shape; None of what is computed.

        Values that the graph itself dequantises first, as those of float16 models, count, too.
        """
        maker = self.maker.get(index)
        if maker is not None:
            return self.constant(maker.inputs[0]) if maker.code == DEQUANTIZE else None
        tensor = self.tensors[index]
        values = self._values(index)
        if tensor.dtype is None or tensor.sparse or values.size != np.prod(tensor.shape, dtype=int):
            return None
        return dequantized(values.reshape(tensor.shape), tensor)

    def spec(self, head: Head) -> HeatmapSpec | None:
        """The names of a head's tensors; None where they are not the only ones of that name."""
        names = [self.tensors[index].name for index in (head.features, head.weights)]
        if not all(sum(t.name == name for t in self.tensors) == 1 and name for name in names):
            return None
        return HeatmapSpec(features=names[0], weights=names[1])

    def kernel(self, head: Head) -> np.ndarray:
        """The kernel W, float32 (classes, k), dequantised.

        Raises:
            ModelError: The file is damaged.
        """
        tensor = self.tensors[head.weights]
        with self.reading():
            values = self._values(head.weights).reshape(tensor.shape)
        return dequantized(values, tensor).reshape(tensor.shape[0], -1)

    def with_output(self, index: int) -> bytes:
        """A copy of the file that gives a tensor as a second output, behind the scores."""
        place = self._graph.place(_OUTPUTS)
        if place is None:
            raise ModelError(f"{self._where}: has no output.")
        return with_vector(self._data, place, np.array([*self.outputs, index]))

    def _find(self) -> Head | None:
        if len(self.outputs) != 1:
            return None
        pooled, weights = False, None
        index = self.outputs[0]
        while not (pooled and weights is not None):
            operator = self.maker.get(index)
            if operator is None or not operator.inputs:
                return None
            index = operator.inputs[0]
            if operator.code in (FULLY_CONNECTED, CONV_2D) and weights is None:
                if not _is_linear(operator):
                    return None
                weights = self._constant(operator.inputs[1])
            elif operator.code in (MEAN, AVERAGE_POOL_2D) and not pooled:
                pooled = self._is_global(operator)
                if not pooled:
                    return None
            elif operator.code == SOFTMAX and not pooled and weights is None:
                continue
            elif operator.code not in _PASSING:
                return None
        head = Head(index, weights)
        return head if self._fits(head) else None

    def _fits(self, head: Head) -> bool:
        features, weights = self.tensors[head.features], self.tensors[head.weights]
        return (
            len(features.shape) == 4
            and len(weights.shape) in (2, 4)
            and set(weights.shape[1:-1]) <= {1}
            and weights.shape[-1] == features.shape[3]
            and None not in (features.dtype, weights.dtype)
            and not weights.sparse
            and self._values(head.weights).size == np.prod(weights.shape)
        )

    def _constant(self, index: int) -> int:
        """The constant behind a weight, which float16 models dequantise first."""
        maker = self.maker.get(index)
        return maker.inputs[0] if maker is not None and maker.code == DEQUANTIZE else index

    def _is_global(self, operator: Operator) -> bool:
        """Whether an operator takes the mean over all rows and columns."""
        shape = self.tensors[operator.inputs[0]].shape
        if len(shape) != 4:
            return False
        if operator.code == MEAN:
            axes = self._values(operator.inputs[1])
            return sorted(int(axis) % 4 for axis in axes) == [1, 2]
        options = operator.options
        window = None if options is None else (options.number(4, "int"), options.number(3, "int"))
        return window == shape[1:3]

    def _values(self, index: int) -> np.ndarray:
        """The stored values of a tensor, flat; empty for what is computed."""
        tensor = self.tensors[index]
        table = self._buffers[tensor.buffer]
        start, size = table.number(1, "ulong"), table.number(2, "ulong")
        # Files beyond 2 GB keep their buffers behind the flatbuffer.
        raw = table.array(0, "u1") if start <= 1 else self._data[start : start + size]
        return np.frombuffer(raw, tensor.dtype or np.uint8)

    def _index(self, name: str | None) -> int:
        for index, tensor in enumerate(self.tensors):
            if tensor.name == name:
                return index
        raise ModelError(f"{self._where}: has no tensor {name!r}. Export it again.")

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """Turn what a damaged file leads to into ModelError."""
        try:
            yield
        except (struct.error, IndexError, ValueError, OverflowError) as error:
            raise ModelError(
                f"{self._where}: damaged, its graph cannot be read ({error}). Export it again."
            ) from error


def find_heatmap(model: bytes, where: str = "the model") -> HeatmapSpec | None:
    """Names of the tensors that the heat map of a TFLite classifier is made of.

    The search goes from the output backwards over softmax, quantisation and reshaping to a linear
    layer (fully connected, or a 1x1 convolution) and a mean over all rows and columns.

    Args:
        model: The TFLite file.
        where: Its name, for messages.

    Returns:
        None where the graph does not end so, or two tensors share a name.

    Raises:
        ModelError: The file is damaged.
    """
    graph = Graph(model, where)
    head = graph.head()
    return None if head is None else graph.spec(head)


def _builtin(code: Table) -> int:
    """The newer field, or the older one where it has only that (schema versions before 3a)."""
    return max(code.number(0, "byte"), code.number(3, "int"))


def _is_linear(operator: Operator) -> bool:
    """Whether a layer has no activation function of its own (and, a convolution, no stride)."""
    options = operator.options
    if options is None:
        return True
    if operator.code == FULLY_CONNECTED:
        return options.number(0, "byte") == 0 and options.number(1, "byte") == 0
    strides = {options.number(1, "int"), options.number(2, "int")}
    return options.number(3, "byte") == 0 and strides == {1}
