"""The graph of a TFLite file, read in place and as far as it is looked at.

Numbers of fields are those of ``schema.fbs`` version 3, see :mod:`.tflite_codes`.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..errors import ModelError
from .flatbuffer import Table, with_vector
from .tflite_codes import operator_name
from .tflite_tensor import Tensor, dequantized, read_tensor

# Fields of the table SubGraph.
_TENSORS, _INPUTS, _OUTPUTS, _OPERATORS = 0, 1, 2, 3


@dataclass(frozen=True)
class Operator:
    """An operator of a graph.

    Attributes:
        kind: Its name, of :data:`~edge_runtime.backends.tflite_codes.NAMES`.
        inputs: Indices of the tensors that it takes; -1 for one that it goes without.
        outputs: Indices of the tensors that it gives.
        options: Its table of options.
    """

    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Table | None


class Graph:
    """The first subgraph of a TFLite file.

    Attributes:
        inputs: Indices of the tensors that it takes.
        outputs: Indices of those that it gives.
    """

    def __init__(self, data: bytes, where: str) -> None:
        """Find the parts of a file; a start on a small board has no time to read all of them.

        Args:
            data: The file.
            where: Its name, for messages.

        Raises:
            ModelError: It is damaged.
        """
        self._data, self._where = data, where
        self._read: dict[int, Tensor] = {}
        self._makers: dict[int, Operator] = {}
        with self.reading():
            model = Table.root(data)
            self._kinds = [operator_name(code) for code in model.tables(1)]
            self._buffers = model.tables(4)
            self._graph = model.tables(2)[0]
            self._tables = self._graph.tables(_TENSORS)
            self._unread = self._graph.tables(_OPERATORS)
            self.inputs = tuple(int(i) for i in self._graph.array(_INPUTS, "<i4"))
            self.outputs = tuple(int(i) for i in self._graph.array(_OUTPUTS, "<i4"))

    @cached_property
    def tensors(self) -> list[Tensor]:
        """All of its tensors."""
        return [self.tensor(index) for index in range(len(self._tables))]

    def tensor(self, index: int) -> Tensor:
        """One of its tensors."""
        if index not in self._read:
            with self.reading():
                self._read[index] = read_tensor(self._tables[index])
        return self._read[index]

    def maker(self, index: int) -> Operator | None:
        """The operator that a tensor comes from; None for inputs and constants."""
        with self.reading():
            while index not in self._makers and self._unread:
                operator = self._operator(self._unread.pop())
                for output in operator.outputs:
                    self._makers.setdefault(output, operator)
        return self._makers.get(index)

    def constants(self) -> list[Tensor]:
        """The tensors whose values the file holds."""
        with self.reading():
            return [t for i, t in enumerate(self.tensors) if self._values(i).size]

    def is_constant(self, index: int) -> bool:
        """Whether the file holds the values of a tensor."""
        with self.reading():
            buffer = self._buffers[self.tensor(index).buffer]
            return buffer.place(0) is not None or buffer.number(1, "ulong") > 1

    def constant(self, index: int) -> np.ndarray | None:
        """Real values of a constant tensor, float32 in its shape; None of what is computed.

        Values that the graph itself dequantises first, as those of float16 models, count, too.
        """
        stored = self.stored(index)
        if self.maker(stored) is not None:
            return None
        with self.reading():
            tensor, values = self.tensor(stored), self._values(stored)
            size = np.prod(tensor.shape, dtype=int)
            if tensor.dtype is None or tensor.sparse or values.size != size:
                return None
            return dequantized(values.reshape(tensor.shape), tensor)

    def stored(self, index: int) -> int:
        """The tensor with the values of a weight, which float16 models dequantise first."""
        maker = self.maker(index)
        return maker.inputs[0] if maker is not None and maker.kind == "DEQUANTIZE" else index

    def index(self, name: str | None) -> int:
        """Index of the first tensor of a name.

        Raises:
            ModelError: There is none.
        """
        for index, tensor in enumerate(self.tensors):
            if tensor.name == name:
                return index
        raise ModelError(f"{self._where}: has no tensor {name!r}. Export it again.")

    def with_output(self, index: int) -> bytes:
        """A copy of the file that gives a tensor as a second output, behind the scores."""
        place = self._graph.place(_OUTPUTS)
        if place is None:
            raise ModelError(f"{self._where}: has no output.")
        return with_vector(self._data, place, np.array([*self.outputs, index]))

    def _operator(self, table: Table) -> Operator:
        return Operator(
            self._kinds[table.number(0, "uint")],
            tuple(int(i) for i in table.array(1, "<i4")),
            tuple(int(i) for i in table.array(2, "<i4")),
            table.table(4),
        )

    def _values(self, index: int) -> np.ndarray:
        """The stored values of a tensor, flat; empty for what is computed."""
        tensor = self.tensor(index)
        table = self._buffers[tensor.buffer]
        start, size = table.number(1, "ulong"), table.number(2, "ulong")
        # Files beyond 2 GB keep their buffers behind the flatbuffer.
        raw = table.array(0, "u1") if start <= 1 else self._data[start : start + size]
        return np.frombuffer(raw, tensor.dtype or np.uint8)

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """Turn what a damaged file leads to into ModelError."""
        try:
            yield
        except (struct.error, IndexError, ValueError, OverflowError) as error:
            raise ModelError(
                f"{self._where}: damaged, its graph cannot be read ({error}). Export it again."
            ) from error
