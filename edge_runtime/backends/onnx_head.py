"""Read the head of an ONNX classifier, from its scores back to the pooling, as arithmetic.

Operators are those of https://onnx.ai/onnx/operators.
"""

from __future__ import annotations

import numpy as np

from ..errors import ModelError
from . import head
from .ending import PASSING
from .head import NoHead, PooledHead, Step, no_heatmap
from .onnx_graph import Node, OnnxGraph

#: What leaves a vector's values in their order.
_PASSING = PASSING | {"Transpose"}

#: What turns logits into scores without changing which is the largest.
_SCORING = {"Softmax", "LogSoftmax", "Sigmoid"}

_ACTIVATIONS = {"Relu": "relu", "Sigmoid": "sigmoid", "Tanh": "tanh", "HardSwish": "hard_swish"}

_ARITHMETIC = {"Add": "add", "Sub": "sub", "Mul": "mul", "Div": "div"}

#: More operators than this stand behind no classifier's pooling.
_LONGEST = 100


def read_head(graph: OnnxGraph, scores: str, classes: int, where: str) -> PooledHead[str]:
    """What the heat map of an ONNX classifier is computed from.

    Args:
        graph: The classifier.
        scores: Name of the output with its scores.
        classes: How many there are.
        where: Its name, for messages.

    Raises:
        ModelError: It is damaged; or its graph does not end in a global average pooling and
            operators whose derivative is known.
    """
    try:
        return _Reader(graph).read(scores, classes)
    except NoHead as error:
        raise ModelError(no_heatmap(where, str(error))) from error
    except (ValueError, IndexError, TypeError, OverflowError) as error:
        raise ModelError(f"{where}: damaged, its graph cannot be read ({error}).") from error


class _Reader:
    def __init__(self, graph: OnnxGraph) -> None:
        self._graph, self._left = graph, _LONGEST
        self._features: str | None = None
        self._mean = self._channels_first = True
        self._leaf = head.pooled()
        self._steps: dict[str, Step] = {}

    def read(self, scores: str, classes: int) -> PooledHead[str]:
        name, maker = scores, self._graph.maker
        for _ in range(_LONGEST):  # a damaged graph may go round
            if name not in maker or maker[name].kind not in _PASSING | _SCORING:
                break
            name = maker[name].inputs[0]
        logits = self._step(name)
        features = self._features
        if features is None:
            raise NoHead("no pooling")
        last = maker.get(features)
        if logits is self._leaf and last is not None and self._is_plain_conv(last):
            # One convolution makes a map of each class, and the pooling comes last.
            features = last.inputs[0]
            logits = self._linear(self._leaf, last)
        if not _gives(logits, classes):
            raise NoHead("layers whose sizes do not fit")
        return PooledHead(features, logits, self._mean, self._channels_first)

    def _step(self, name: str) -> Step:
        if name not in self._steps:
            self._left -= 1
            node = self._graph.maker.get(name)
            if node is None or not node.inputs or self._left < 0:
                raise NoHead("no pooling between its input and its output")
            self._steps[name] = self._read(node)
        return self._steps[name]

    def _read(self, node: Node) -> Step:
        kind = node.kind
        if self._pools(node):
            return self._leaf
        if kind in _PASSING:
            return self._step(node.inputs[0])
        if kind in _ACTIVATIONS:
            return head.activation(self._step(node.inputs[0]), _ACTIVATIONS[kind])
        if kind == "Clip":
            return head.activation(self._step(node.inputs[0]), "clip", *self._limits(node))
        if kind == "HardSigmoid":
            numbers = node.number("alpha", 0.2), node.number("beta", 0.5)
            return head.activation(self._step(node.inputs[0]), "hard_sigmoid", *numbers)
        if kind in ("Gemm", "MatMul", "Conv"):
            return self._linear(self._step(node.inputs[0]), node)
        if kind == "BatchNormalization":
            return self._normalized(node)
        if kind in _ARITHMETIC:
            return self._arithmetic(node)
        raise NoHead(f"the operator {kind}")

    def _linear(self, x: Step, node: Node) -> Step:
        """A fully connected layer, or a convolution over one place."""
        kernel = self._constant(node.inputs[1])
        bias = node.inputs[2] if len(node.inputs) > 2 else ""
        offset = self._constant(bias).reshape(-1) if bias else None
        if node.kind == "Conv":
            if kernel.shape[2:] != (1, 1) or node.number("group", 1) != 1:
                raise NoHead("a convolution over more than one place")
            return head.linear(x, kernel.reshape(kernel.shape[:2]), offset)
        if kernel.ndim != 2 or node.number("transA", 0):
            raise NoHead(f"the operator {node.kind} on something else than a vector")
        if not node.number("transB", 0):
            kernel = kernel.T
        kernel = np.ascontiguousarray(kernel) * np.float32(node.number("alpha", 1))
        if offset is not None:
            offset = offset * np.float32(node.number("beta", 1))
        return head.linear(x, kernel, offset)

    def _is_plain_conv(self, node: Node) -> bool:
        if node.kind != "Conv" or node.number("group", 1) != 1:
            return False
        kernel = self._graph.constant(node.inputs[1])
        moved = set(node.integers("strides")) | set(node.integers("pads"))
        return kernel is not None and kernel.shape[2:] == (1, 1) and moved <= {0, 1}

    def _normalized(self, node: Node) -> Step:
        scale, offset, mean, variance = (self._constant(name) for name in node.inputs[1:5])
        factor = scale / np.sqrt(variance + np.float32(node.number("epsilon", 1e-5)))
        return head.shifted(head.scaled(self._step(node.inputs[0]), factor), offset - mean * factor)

    def _arithmetic(self, node: Node) -> Step:
        operation, (first, second) = _ARITHMETIC[node.kind], node.inputs[:2]
        a, b = self._real(first), self._real(second)
        if b is not None:
            return head.with_constant(self._step(first), operation, b.reshape(-1))
        if a is not None and operation in ("add", "mul"):
            return head.with_constant(self._step(second), operation, a.reshape(-1))
        if a is None and operation in ("add", "mul"):
            join = head.total if operation == "add" else head.product
            return join(self._step(first), self._step(second))
        raise NoHead("a quotient or a difference of what it computed")

    def _limits(self, node: Node) -> tuple[float, float]:
        """Of a Clip: attributes up to opset 10, inputs from then on."""
        found = [node.number("min", -np.inf), node.number("max", np.inf)]
        for place, name in enumerate(node.inputs[1:3]):
            if name:
                found[place] = float(self._constant(name).reshape(()))
        return found[0], found[1]

    def _pools(self, node: Node) -> bool:
        """Whether an operator is the pooling; notes over which tensor and how."""
        if node.kind == "GlobalAveragePool":
            axes: tuple[int, ...] = (2, 3)
        elif node.kind in ("ReduceMean", "ReduceSum"):
            axes = node.integers("axes")  # up to opset 17 (of ReduceSum 12), then an input
            if not axes and len(node.inputs) > 1:
                axes = tuple(int(axis) for axis in self._constant(node.inputs[1]).reshape(-1))
            axes = tuple(sorted(axis % 4 for axis in axes))
        else:
            return False
        if axes not in ((1, 2), (2, 3)) or self._features not in (None, node.inputs[0]):
            raise NoHead("a mean over other axes than rows and columns")
        self._features = node.inputs[0]
        self._channels_first, self._mean = axes == (2, 3), node.kind != "ReduceSum"
        return True

    def _constant(self, name: str) -> np.ndarray:
        values = self._real(name)
        if values is None:
            raise NoHead("a layer whose weights are computed, in another file or of another type")
        return values

    def _real(self, name: str) -> np.ndarray | None:
        """A constant as float32, dequantised where the graph does that; None of what is computed."""
        node = self._graph.maker.get(name)
        if node is not None and node.kind in ("Identity", "Cast"):
            return self._real(node.inputs[0])
        if node is not None and node.kind == "Transpose":
            inner = self._real(node.inputs[0])
            return None if inner is None else inner.transpose(node.integers("perm") or None)
        if node is not None and node.kind == "DequantizeLinear":
            inner, scale = (self._graph.constant(n) for n in node.inputs[:2])
            if inner is None or scale is None:
                return None
            shape = [1] * inner.ndim
            if scale.size > 1:
                shape[int(node.number("axis", 1))] = -1
            zero = self._constant(node.inputs[2]) if len(node.inputs) > 2 else np.float32(0)
            shifted = inner.astype(np.float32) - np.reshape(zero, shape if zero.size > 1 else ())
            return np.asarray(shifted * scale.astype(np.float32).reshape(shape), np.float32)
        values = self._graph.constant(name)
        return None if values is None else values.astype(np.float32)


def _gives(logits: Step, classes: int) -> bool:
    """Whether the arithmetic can be done at all, with so many logits, on a vector of some size."""
    kernel = _first_kernel(logits)
    if kernel is None:  # the map of each class is in the file; its width shows when it runs
        return True
    try:
        return head.size(logits, np.zeros(kernel.shape[1], np.float32)) == classes
    except ValueError:
        return False


def _first_kernel(step: Step) -> np.ndarray | None:
    """Of the linear layer next to the pooling."""
    for x in step.inputs:
        found = _first_kernel(x)
        if found is not None:
            return found
    return step.kernel
