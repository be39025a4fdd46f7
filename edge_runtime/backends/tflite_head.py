"""Read the head of a TFLite classifier, from its output back to the pooling, as arithmetic.

Numbers of options are those of ``schema.fbs``, see :mod:`.tflite_codes`.
"""

from __future__ import annotations

import numpy as np

from ..errors import ModelError
from ..manifest import HeatmapSpec
from . import head
from .ending import PASSING
from .head import NoHead, PooledHead, Step, no_heatmap
from .tflite_graph import Graph, Operator

#: What leaves a vector's values in their order.
_PASSING = PASSING | {"TRANSPOSE"}

#: What turns logits into scores without changing which is the largest.
_SCORING = {"SOFTMAX", "LOG_SOFTMAX", "LOGISTIC"}

#: Activation operators, and those that other operators bring along (ActivationFunctionType).
_ACTIVATIONS: dict[str, tuple[str, tuple[float, ...]]] = {
    "RELU": ("relu", ()),
    "RELU_N1_TO_1": ("clip", (-1.0, 1.0)),
    "RELU6": ("clip", (0.0, 6.0)),
    "TANH": ("tanh", ()),
    "LOGISTIC": ("sigmoid", ()),
    "HARD_SWISH": ("hard_swish", ()),
}
_FUSED = {1: "RELU", 2: "RELU_N1_TO_1", 3: "RELU6", 4: "TANH"}

_ARITHMETIC = {"ADD": "add", "MUL": "mul", "SUB": "sub", "DIV": "div"}

#: More operators than this stand behind no classifier's pooling.
_LONGEST = 100


def find_heatmap(model: bytes | Graph, where: str = "the model") -> HeatmapSpec | None:
    """Names of the tensors that the heat map of a TFLite classifier is made of.

    Args:
        model: The TFLite file, or its graph.
        where: Its name, for messages.

    Returns:
        None where the graph does not end in a pooling and one linear layer, which alone can be
        described by names, or two tensors share a name.

    Raises:
        ModelError: The file is damaged.
    """
    graph = model if isinstance(model, Graph) else Graph(model, where)
    with graph.reading():
        try:
            reader = _Reader(graph)
            tensors = reader.names(reader.read())
        except NoHead:
            return None
    if tensors is None:
        return None
    names = [graph.tensor(index).name for index in tensors]
    if not all(sum(t.name == name for t in graph.tensors) == 1 and name for name in names):
        return None
    return HeatmapSpec(features=names[0], weights=names[1])


def read_head(graph: Graph, where: str, named: HeatmapSpec | None = None) -> PooledHead[int]:
    """What the heat map of a TFLite classifier is computed from.

    Args:
        graph: The classifier.
        where: Its name, for messages.
        named: Names of the feature map and the kernel; None for a search from the output back.

    Raises:
        ModelError: It is damaged; or its graph does not end in a global average pooling and
            operators whose derivative is known.
    """
    if named is not None:
        return _named(graph, named, where)
    with graph.reading():
        try:
            return _Reader(graph).read()
        except NoHead as error:
            raise ModelError(no_heatmap(where, str(error))) from error


def _named(graph: Graph, named: HeatmapSpec, where: str) -> PooledHead[int]:
    features, weights = graph.index(named.features), graph.index(named.weights)
    kernel = graph.constant(weights)
    shape = graph.tensor(features).shape
    if (
        kernel is None
        or len(shape) != 4
        or graph.tensor(features).dtype is None
        or kernel.ndim not in (2, 4)
        or set(kernel.shape[1:-1]) > {1}
        or kernel.shape[-1] != shape[3]
    ):
        raise ModelError(
            f"{where}: {named.features!r} and {named.weights!r} are no feature map and kernel. "
            "Export it again."
        )
    return PooledHead(features, head.linear(head.pooled(), kernel.reshape(len(kernel), -1)))


class _Reader:
    def __init__(self, graph: Graph) -> None:
        self._graph, self._left = graph, _LONGEST
        self._features: int | None = None
        self._mean, self._channels_first = True, False
        self._leaf = head.pooled()
        self._steps: dict[int, Step] = {}
        self._kernels: dict[Step, int] = {}

    def read(self) -> PooledHead[int]:
        graph = self._graph
        if len(graph.outputs) != 1:
            raise NoHead(f"{len(graph.outputs)} outputs")
        index = graph.outputs[0]
        for _ in range(_LONGEST):  # a damaged graph may go round
            operator = graph.maker(index)
            if operator is None or operator.kind not in _PASSING | _SCORING:
                break
            index = operator.inputs[0]
        logits = self._step(index)
        if self._features is None:
            raise NoHead("no pooling")
        features = self._features
        maker = graph.maker(features)
        if logits is self._leaf and maker is not None and self._is_plain_conv(maker):
            # One convolution makes a map of each class, and the pooling comes last.
            features = maker.inputs[0]
            logits = self._linear(self._leaf, maker)
        if not self._fits(logits, features):
            raise NoHead("layers whose sizes do not fit")
        return PooledHead(features, logits, self._mean, self._channels_first)

    def names(self, found: PooledHead[int]) -> tuple[int, int] | None:
        """Feature map and kernel of a mean and one linear layer; None of any other head."""
        kernel = self._kernels.get(found.logits)
        if kernel is None or found.logits.inputs != (self._leaf,):
            return None
        if not found.mean or found.channels_first:
            return None
        return found.features, kernel

    def _fits(self, logits: Step, features: int) -> bool:
        """Whether the arithmetic can be done at all, with as many logits as the model has scores."""
        size = self._graph.tensor(features).shape[1 if self._channels_first else 3]
        scores = self._graph.tensor(self._graph.outputs[0]).shape
        kernel = logits.kernel if logits.inputs == (self._leaf,) else None
        if kernel is not None and kernel.shape[1] != size:
            return False
        try:
            return head.size(logits, np.zeros(size, np.float32)) == np.prod(scores[1:])
        except ValueError:
            return False

    def _step(self, index: int) -> Step:
        if index not in self._steps:
            self._left -= 1
            operator = self._graph.maker(index)
            if operator is None or not operator.inputs or self._left < 0:
                raise NoHead("no pooling between its input and its output")
            self._steps[index] = self._read(operator)
        return self._steps[index]

    def _read(self, operator: Operator) -> Step:
        kind, options = operator.kind, operator.options
        if self._pools(operator):
            return self._leaf
        if kind in _PASSING:
            return self._step(operator.inputs[0])
        if kind in _ACTIVATIONS:
            return _activated(self._step(operator.inputs[0]), kind)
        if kind in ("FULLY_CONNECTED", "CONV_2D"):
            if kind == "CONV_2D" and self._graph.tensor(operator.inputs[0]).shape[1:3] != (1, 1):
                raise NoHead("a convolution behind the last pooling")
            fused = (
                0
                if options is None
                else options.number(0 if kind == "FULLY_CONNECTED" else 3, "byte")
            )
            return _activated(
                self._linear(self._step(operator.inputs[0]), operator), _FUSED.get(fused)
            )
        if kind == "BATCH_MATMUL":
            kernel = self._constant(operator.inputs[1])
            turned = options is not None and options.number(1, "bool")
            kernel = kernel.reshape(kernel.shape[-2:])
            return head.linear(self._step(operator.inputs[0]), kernel if turned else kernel.T)
        if kind in _ARITHMETIC:
            fused = 0 if options is None else options.number(0, "byte")
            return _activated(self._arithmetic(operator), _FUSED.get(fused))
        raise NoHead(f"the operator {kind}")

    def _linear(self, x: Step, operator: Operator) -> Step:
        """A fully connected layer, or a convolution over one place."""
        kernel = self._constant(operator.inputs[1])
        if operator.kind == "FULLY_CONNECTED":
            packed = operator.options is not None and operator.options.number(1, "byte")
            if packed or kernel.ndim != 2:
                raise NoHead("a fully connected layer with packed weights")
        elif kernel.ndim != 4 or kernel.shape[1:3] != (1, 1):
            raise NoHead("a convolution over more than one place")
        bias = operator.inputs[2] if len(operator.inputs) > 2 else -1
        offset = None if bias < 0 else self._constant(bias).reshape(-1)
        layer = head.linear(x, kernel.reshape(kernel.shape[0], -1), offset)
        self._kernels[layer] = self._graph.stored(operator.inputs[1])
        return layer

    def _is_plain_conv(self, operator: Operator) -> bool:
        options = operator.options
        if operator.kind != "CONV_2D" or options is None:
            return False
        kernel = self._graph.constant(operator.inputs[1])
        strides = {options.number(1, "int"), options.number(2, "int")}
        return (
            kernel is not None
            and kernel.ndim == 4
            and kernel.shape[1:3] == (1, 1)
            and (options.number(3, "byte"), strides) == (0, {1})
        )

    def _arithmetic(self, operator: Operator) -> Step:
        kind, (first, second) = operator.kind, operator.inputs[:2]
        a, b = self._graph.constant(first), self._graph.constant(second)
        if b is not None:
            return head.with_constant(self._step(first), _ARITHMETIC[kind], b.reshape(-1))
        if a is not None and kind in ("ADD", "MUL"):
            return head.with_constant(self._step(second), _ARITHMETIC[kind], a.reshape(-1))
        if a is None and kind in ("ADD", "MUL"):
            join = head.total if kind == "ADD" else head.product
            return join(self._step(first), self._step(second))
        raise NoHead("a quotient or a difference of what it computed")

    def _pools(self, operator: Operator) -> bool:
        """Whether an operator is the pooling; notes over which tensor and how."""
        if operator.kind not in ("MEAN", "SUM", "AVERAGE_POOL_2D"):
            return False
        index = operator.inputs[0]
        shape = self._graph.tensor(index).shape
        if len(shape) != 4:
            return False
        if operator.kind == "AVERAGE_POOL_2D":
            options = operator.options
            window = options and (options.number(4, "int"), options.number(3, "int"))
            if window != shape[1:3]:
                if shape[1:3] == (1, 1):
                    return False
                raise NoHead("a pooling over parts of the map")
            axes = [1, 2]
        else:
            values = self._graph.constant(operator.inputs[1])
            axes = [] if values is None else sorted(int(axis) % 4 for axis in values.reshape(-1))
        if axes not in ([1, 2], [2, 3]) or self._features not in (None, index):
            raise NoHead("a mean over other axes than rows and columns")
        self._features, self._channels_first = index, axes == [2, 3]
        self._mean = operator.kind != "SUM"
        return True

    def _constant(self, index: int) -> np.ndarray:
        values = self._graph.constant(index)
        if values is None:
            raise NoHead("a layer whose weights are computed, sparse or of an unknown type")
        return values


def _activated(x: Step, kind: str | None) -> Step:
    if kind is None:
        return x
    name, numbers = _ACTIVATIONS[kind]
    return head.activation(x, name, *numbers)
