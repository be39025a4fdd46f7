"""What stands between a classifier's pooling and its logits, and its Grad-CAM without a framework.

Behind global average pooling a classifier works on one vector of k numbers, most often with one
linear layer, sometimes (MobileNetV3) with two and an activation between them. So few operators
that their derivatives can be written down: the gradient of a logit by the pooled vector p takes a
forward and a backward pass over vectors. Grad-CAM's weights (Selvaraju et al. 2017) are that
gradient divided by h w, since p is the mean of the feature map F (h x w x k):

    map = relu(F g) / (h w),    g = d logit / d p

For one linear layer g is a row of its kernel and the map is CAM (Zhou et al. 2016).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

#: How a file calls its tensors: by number or by name.
Tensor = TypeVar("Tensor", int, str)

_Function = Callable[..., np.ndarray]


@dataclass(frozen=True, eq=False)
class Step:
    """A vector that is computed from others.

    Attributes:
        inputs: What it is computed from; empty for the pooled vector itself.
        forward: Values of the inputs, each float32 (size,), to its value.
        backward: Gradient (n, size) of this vector and values of the inputs to the gradients of
            the inputs, each (n, its size).
        kernel: Of a linear layer alone: (size, k), so that a row can be taken without arithmetic.
    """

    inputs: tuple[Step, ...]
    forward: _Function
    backward: Callable[..., tuple[np.ndarray, ...]]
    kernel: np.ndarray | None = None


class NoHead(Exception):
    """A graph ends in something else; the message says in what."""


@dataclass(frozen=True)
class PooledHead(Generic[Tensor]):
    """What a heat map is computed from.

    Attributes:
        features: The tensor F in front of the pooling.
        logits: What follows the pooling.
        mean: Whether the pooling is a mean; else it is a sum.
        channels_first: Whether F is (k, h, w) and not (h, w, k).
    """

    features: Tensor
    logits: Step
    mean: bool = True
    channels_first: bool = False

    def vector(self, features: np.ndarray) -> np.ndarray:
        """The mean of F over its places, float32 (k,), of F of one photo."""
        axes = (1, 2) if self.channels_first else (0, 1)
        pooled: np.ndarray = features.mean(axis=axes, dtype=np.float32)
        return pooled

    def maps(self, features: np.ndarray, index: int | None = None) -> np.ndarray:
        """Grad-CAM of all classes, float32 (h, w, classes), or of one, (h, w, 1).

        Args:
            features: F of one photo, float32.
            index: Class; None for all.
        """
        if self.channels_first:
            features = features.transpose(1, 2, 0)
        indices = None if index is None else np.array([index])
        places = features.shape[0] * features.shape[1]
        return heat(features, self.logits, 1 / places if self.mean else 1.0, indices)


def no_heatmap(where: str, found: str) -> str:
    """What to say of a model without a readable head."""
    return (
        f"{where}: holds no heat map. It would have to end in global average pooling and linear "
        f"layers; found was {found}. Use edge-classify gradcam on the full model that it was made "
        "from, or a classifier that ends so."
    )


def pooled() -> Step:
    """The vector behind the pooling."""
    return Step((), lambda: np.empty(0), lambda gradient: ())


def linear(x: Step, kernel: np.ndarray, bias: np.ndarray | None = None) -> Step:
    """A linear layer; ``kernel`` (out, in), ``bias`` (out,) or a scalar."""
    offset = np.float32(0) if bias is None else bias
    return Step(
        (x,),
        lambda value: kernel @ value + offset,
        lambda gradient, value: (gradient @ kernel,),
        kernel,
    )


def scaled(x: Step, factor: np.ndarray) -> Step:
    """A vector times constants, (size,) or a scalar."""
    if x.kernel is not None:
        column = factor.reshape(-1, 1) if factor.size > 1 else factor
        return linear(x.inputs[0], x.kernel * column, _bias(x) * factor)
    return Step((x,), lambda value: value * factor, lambda gradient, value: (gradient * factor,))


def shifted(x: Step, offset: np.ndarray) -> Step:
    """A vector plus constants, (size,) or a scalar."""
    if x.kernel is not None:
        return linear(x.inputs[0], x.kernel, _bias(x) + offset)
    return Step((x,), lambda value: value + offset, lambda gradient, value: (gradient,))


def with_constant(x: Step, operation: str, values: np.ndarray) -> Step:
    """A vector and constants: ``add``, ``sub``, ``mul`` or ``div``."""
    if operation in ("mul", "div"):
        return scaled(x, values if operation == "mul" else 1 / values)
    return shifted(x, values if operation == "add" else -values)


def product(x: Step, y: Step) -> Step:
    """Two vectors, element by element."""
    return Step((x, y), lambda a, b: a * b, lambda gradient, a, b: (gradient * b, gradient * a))


def total(x: Step, y: Step) -> Step:
    """The sum of two vectors."""
    return Step((x, y), lambda a, b: a + b, lambda gradient, a, b: (gradient, gradient))


def activation(x: Step, name: str, *numbers: float) -> Step:
    """An activation function, of :data:`ACTIVATIONS` or ``clip`` or ``hard_sigmoid`` with numbers.

    Args:
        x: Its input.
        name: Which.
        numbers: Of ``clip``: smallest and largest value; of ``hard_sigmoid``: slope and offset.
    """
    if name == "clip":
        low, high = numbers
        function: _Function = lambda v: np.clip(v, low, high)  # noqa: E731
        slope: _Function = lambda v: ((v > low) & (v < high)).astype(np.float32)  # noqa: E731
    elif name == "hard_sigmoid":
        a, b = (np.float32(number) for number in numbers)
        function = lambda v: np.clip(a * v + b, 0, 1)  # noqa: E731
        slope = lambda v: a * ((a * v + b > 0) & (a * v + b < 1))  # noqa: E731
    else:
        function, slope = ACTIVATIONS[name]
    return Step((x,), function, lambda gradient, value: (gradient * slope(value),))


def _bias(x: Step) -> np.ndarray:
    """Of a linear layer: its value at zero."""
    width = 0 if x.kernel is None else x.kernel.shape[1]
    return x.forward(np.zeros(width, np.float32))


def _sigmoid(v: np.ndarray) -> np.ndarray:
    result: np.ndarray = 0.5 + 0.5 * np.tanh(0.5 * v)
    return result


def _hard_swish(v: np.ndarray) -> np.ndarray:
    result: np.ndarray = v * np.clip(v + 3, 0, 6) / 6
    return result


def _hard_swish_slope(v: np.ndarray) -> np.ndarray:
    return np.where(v <= -3, 0, np.where(v >= 3, 1, (2 * v + 3) / 6)).astype(np.float32)


#: Functions that stand between linear layers, each with its derivative.
ACTIVATIONS: dict[str, tuple[_Function, _Function]] = {
    "relu": (lambda v: np.maximum(v, 0), lambda v: (v > 0).astype(np.float32)),
    "sigmoid": (_sigmoid, lambda v: _sigmoid(v) * (1 - _sigmoid(v))),
    "tanh": (np.tanh, lambda v: 1 - np.tanh(v) ** 2),
    "hard_swish": (_hard_swish, _hard_swish_slope),
}  # fmt: skip


def gradients(logits: Step, vector: np.ndarray, indices: np.ndarray) -> np.ndarray:
    """Gradients of logits by the pooled vector.

    Args:
        logits: The end of the head.
        vector: float32 (k,), the pooled vector.
        indices: int (n,), which logits.

    Returns:
        float32 (n, k).
    """
    if logits.kernel is not None and not logits.inputs[0].inputs:
        rows: np.ndarray = logits.kernel[indices]
        return rows
    order = _sorted(logits)
    values = _values(order, vector)
    seed = np.zeros((len(indices), len(values[id(logits)])), np.float32)
    seed[np.arange(len(indices)), indices] = 1
    found: dict[int, np.ndarray] = {id(logits): seed}
    for step in reversed(order):
        gradient = found[id(step)]
        if not step.inputs:
            return gradient
        parts = step.backward(gradient, *(values[id(x)] for x in step.inputs))
        for x, part in zip(step.inputs, parts, strict=True):
            found[id(x)] = part if id(x) not in found else found[id(x)] + part
    raise ValueError("the head does not begin with the pooled vector")


def heat(
    features: np.ndarray, logits: Step, weight: float, indices: np.ndarray | None
) -> np.ndarray:
    """Grad-CAM of logits behind a pooling.

    Args:
        features: float32 (h, w, k).
        logits: The end of the head.
        weight: Of each place in the pooling: 1/(h w) of a mean.
        indices: int (n,), which logits; None for all.

    Returns:
        float32 (h, w, n), >= 0.
    """
    vector = features.sum(axis=(0, 1), dtype=np.float32) * np.float32(weight)
    if indices is None:
        indices = np.arange(size(logits, vector))
    weights = gradients(logits, vector, indices)
    maps: np.ndarray = np.maximum(features @ weights.T, 0) * np.float32(weight)
    return maps.astype(np.float32, copy=False)


def size(logits: Step, vector: np.ndarray) -> int:
    """How many logits there are, for a pooled vector."""
    if logits.kernel is not None:
        return len(logits.kernel)
    return len(_values(_sorted(logits), vector)[id(logits)])


def _values(order: list[Step], vector: np.ndarray) -> dict[int, np.ndarray]:
    values: dict[int, np.ndarray] = {}
    for step in order:
        inputs = (values[id(x)] for x in step.inputs)
        values[id(step)] = step.forward(*inputs) if step.inputs else vector
    return values


def _sorted(end: Step) -> list[Step]:
    """All steps of a head, each behind its inputs; the pooled vector comes first."""
    order: list[Step] = []
    seen: set[int] = set()

    def visit(step: Step) -> None:
        if id(step) not in seen:
            seen.add(id(step))
            for x in step.inputs:
                visit(x)
            order.append(step)

    visit(end)
    return order
