"""A TFLite graph that can be changed: constants, operators, tensors.

Numbers of operators and types are those of the schema that ai-edge-litert ships.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from ..formats.flatbuffer import import_flatbuffers
from ..formats.tflite_buffers import inline
from ..formats.tflite_graph import import_schema

#: Operators with a kernel: where multiplications are.
WEIGHTED = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"})


class Graph:
    """The first subgraph of a TFLite file, in memory as Python objects.

    Attributes:
        model: The ``ModelT`` of the schema.
        tensors: Its ``TensorT`` in the order that operators refer to.
    """

    def __init__(self, model: bytes) -> None:
        """Read a file; constants of float32 graphs can be read and replaced."""
        self.schema = import_schema()
        root = self.schema.Model.GetRootAs(inline(model))
        self.model = self.schema.ModelT.InitFromObj(root)
        self._graph = self.model.subgraphs[0]
        self._kinds: dict[int, str] = {
            value: name
            for name, value in vars(self.schema.BuiltinOperator).items()
            if isinstance(value, int)
        }

    @property
    def operators(self) -> list[Any]:
        """The ``OperatorT`` in the order that they run in."""
        operators: list[Any] = self._graph.operators
        return operators

    @property
    def tensors(self) -> list[Any]:
        """The ``TensorT``."""
        tensors: list[Any] = self._graph.tensors
        return tensors

    @property
    def input(self) -> int:
        """Index of the tensor that it takes."""
        return int(self._graph.inputs[0])

    @property
    def output(self) -> int:
        """Index of the tensor that it gives."""
        return int(self._graph.outputs[0])

    def kind(self, operator: Any) -> str:
        """Name of an operator, e.g. ``CONV_2D``."""
        return self._kinds[self._code(self.model.operatorCodes[operator.opcodeIndex])]

    def name(self, tensor: int) -> str:
        """Name of a tensor."""
        return bytes(self.tensors[tensor].name).decode()

    def result(self, operator: Any) -> str:
        """Name of the tensor that an operator gives."""
        return self.name(operator.outputs[0])

    def shape(self, tensor: int) -> list[int]:
        """Shape of a tensor."""
        return [int(side) for side in self.tensors[tensor].shape]

    def is_constant(self, tensor: int) -> bool:
        """Whether the file holds a tensor's values."""
        return tensor >= 0 and self.model.buffers[self.tensors[tensor].buffer].data is not None

    def constant(self, tensor: int) -> np.ndarray:
        """Values of a float32 constant."""
        data = np.asarray(self.model.buffers[self.tensors[tensor].buffer].data, np.uint8)
        return np.frombuffer(data.tobytes(), np.float32).reshape(self.shape(tensor))

    def set_constant(self, tensor: int, values: np.ndarray) -> None:
        """Replace the values of a float32 constant; other tensors that shared them keep theirs."""
        place = self.tensors[tensor].buffer
        if sum(other.buffer == place for other in self.tensors) == 1:
            self.model.buffers[place] = self._buffer(values)
        else:
            self.model.buffers.append(self._buffer(values))
            self.tensors[tensor].buffer = len(self.model.buffers) - 1

    def consumers(self, tensor: int) -> list[Any]:
        """The operators that take a tensor."""
        return [operator for operator in self.operators if tensor in list(operator.inputs)]

    def producer(self, tensor: int) -> Any | None:
        """The operator that gives a tensor; None for inputs and constants."""
        return next((o for o in self.operators if tensor in list(o.outputs)), None)

    def add_tensor_like(self, name: str, tensor: int, kind: int, quantization: Any = None) -> int:
        """Add a tensor of the same shape and another type; gives its index."""
        old, new = self.tensors[tensor], self.schema.TensorT()
        new.name, new.type, new.quantization = name.encode(), kind, quantization
        new.shape, new.shapeSignature = _indices(old.shape), copy.copy(old.shapeSignature)
        new.buffer = 0  # the empty one, of tensors that are computed
        self.tensors.append(new)
        return len(self.tensors) - 1

    def add_operator(self, kind: str, source: int, target: int, place: int) -> None:
        """Insert an operator without options of its own, of one input and one output."""
        code = getattr(self.schema.BuiltinOperator, kind)
        codes = self.model.operatorCodes
        index = next((i for i, c in enumerate(codes) if self._code(c) == code), None)
        if index is None:
            new = self.schema.OperatorCodeT()
            new.builtinCode, new.version = code, 1
            new.deprecatedBuiltinCode = min(code, 127)  # what readers of old schemas look at
            codes.append(new)
            index = len(codes) - 1
        operator = self.schema.OperatorT()
        operator.opcodeIndex = index
        operator.inputs, operator.outputs = _indices([source]), _indices([target])
        self.operators.insert(place, operator)

    def set_input(self, tensor: int) -> None:
        """Take another tensor; the signature follows."""
        self._rewire(self._graph.inputs, "inputs", tensor)

    def set_output(self, tensor: int) -> None:
        """Give another tensor; the signature follows."""
        self._rewire(self._graph.outputs, "outputs", tensor)

    def remove(self, operators: Iterable[Any]) -> None:
        """Take operators out; what they gave must not be needed any more."""
        gone = {id(operator) for operator in operators}
        self._graph.operators = [o for o in self.operators if id(o) not in gone]

    def to_bytes(self) -> bytes:
        """The flatbuffer."""
        builder = import_flatbuffers().Builder(1 << 20)
        builder.Finish(self.model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    def _rewire(self, places: Any, which: str, tensor: int) -> None:
        before = int(places[0])
        setattr(self._graph, which, _indices([tensor]))
        for signature in self.model.signatureDefs or []:
            for entry in getattr(signature, which) or []:
                if entry.tensorIndex == before:
                    entry.tensorIndex = tensor

    def _buffer(self, values: np.ndarray) -> Any:
        buffer = self.schema.BufferT()
        data = np.ascontiguousarray(values, np.float32).tobytes()
        buffer.data = np.frombuffer(data, np.uint8)
        return buffer

    @staticmethod
    def _code(code: Any) -> int:
        return int(max(code.builtinCode, code.deprecatedBuiltinCode))


def activations(graph: Graph) -> Iterator[tuple[Any, str]]:
    """Tensors in front of a smooth activation function, and its name.

    Yields:
        The operator that gives the tensor, and ``swish``, ``hard_swish`` or ``gelu``.
    """
    for operator in graph.operators:
        kind = graph.kind(operator)
        source = operator.inputs[0] if len(operator.inputs) else -1
        maker = graph.producer(source) if source >= 0 else None
        if maker is None:
            continue
        if kind in ("HARD_SWISH", "GELU") and len(graph.consumers(source)) == 1:
            yield maker, kind.lower()
        if kind == "LOGISTIC":  # x * sigmoid(x), and nothing else takes x
            takers = [o for o in graph.consumers(source) if o is not operator]
            if (
                len(takers) == 1
                and graph.kind(takers[0]) == "MUL"
                and {source, operator.outputs[0]} == set(takers[0].inputs)
            ):
                yield maker, "swish"


def without_softmax(model: bytes) -> bytes:
    """The same network, ending in its logits; unchanged where it does so already.

    What turns a quantised file's probabilities into another type behind the softmax goes, too.
    """
    graph = Graph(model)
    behind, last = [], graph.producer(graph.output)
    while last is not None and graph.kind(last) in ("QUANTIZE", "DEQUANTIZE"):
        behind.append(last)
        last = graph.producer(last.inputs[0])
    if last is None or graph.kind(last) != "SOFTMAX":
        return model
    graph.set_output(int(last.inputs[0]))
    graph.remove([last, *behind])
    return graph.to_bytes()


def _indices(values: Iterable[int]) -> np.ndarray:
    return np.array(list(values), np.int32)
