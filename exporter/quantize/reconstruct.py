"""Weights that make up for the errors in front of them.

Quantised layers get slightly wrong inputs. Layer by layer, in the order that they run in, each linear
1x1 convolution and the head are fitted anew by least squares: from the inputs that the quantised
network really gives them, to the outputs that the float32 network would give. Ridge regression
towards the trained weights keeps what the photos say nothing about (bias correction, Nagel et al.
2019, arXiv:1906.04721, is the part of it that moves the mean alone; layer-wise reconstruction:
Hubara et al. 2020, arXiv:2006.10518).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import add
from typing import Any

import numpy as np

from .graph import Graph
from .measure import inside

#: Places of a feature map that are looked at in each photo: all of the last maps of most networks.
_PLACES = 48

#: Photos that layers are fitted on, of those that calibration sees.
_PHOTOS = 256

#: Weight of staying with the trained weights, in units of the inputs' mean variance. Of 0.01, 0.1
#: and 1, 1 gave the smallest error on photos that were not fitted, on two networks.
_RIDGE = 1.0


def reconstruct(model: bytes, quantize: Callable[[bytes], bytes], pixels: np.ndarray) -> bytes:
    """Fit the linear layers to their quantised inputs.

    Args:
        model: The float32 network.
        quantize: What becomes of it, e.g. a call of
            :func:`exporter.quantize.integers.full_integer`.
        pixels: uint8 (n, height, width, 3), calibration photos.

    Returns:
        A float32 network with the same operators and tensors; quantised the same way, its layers
        give what those of ``model`` give, as nearly as they can.
    """
    graph = Graph(model)
    layers, pixels = linear_layers(graph), pixels[:_PHOTOS]
    wanted = _sample(model, pixels, [graph.result(layer) for layer in layers])
    for layer in layers:
        source, result = graph.name(layer.inputs[0]), graph.result(layer)
        inputs = _sample(quantize(graph.to_bytes()), pixels, [source])[source]
        _fit(graph, layer, inputs, wanted[result])
    return graph.to_bytes()


def linear_layers(graph: Graph) -> list[Any]:
    """1x1 convolutions over a map without an activation behind them, and fully connected layers."""
    found = []
    for operator in graph.operators:
        kind, shape = graph.kind(operator), graph.shape(operator.outputs[0])
        if kind not in ("CONV_2D", "FULLY_CONNECTED") or len(operator.inputs) < 3:
            continue
        kernel, bias = int(operator.inputs[1]), int(operator.inputs[2])
        if not (graph.is_constant(kernel) and graph.is_constant(bias)):
            continue
        options = operator.builtinOptions
        if options is not None and options.fusedActivationFunction:
            continue
        behind = {graph.kind(o) for o in graph.consumers(operator.outputs[0])}
        pointwise = (
            kind == "CONV_2D"
            and graph.shape(kernel)[1:3] == [1, 1]
            and shape[1] * shape[2] > 1
            and options.strideH == options.strideW == 1
            and not behind & {"LOGISTIC", "HARD_SWISH", "GELU", "RELU", "RELU6"}
        )
        if kind == "FULLY_CONNECTED" or pointwise:
            found.append(operator)
    return found


def _sample(model: bytes, pixels: np.ndarray, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Values of tensors at the same places of every photo: float32 (samples, channels)."""

    def look(_: str, photo: int, values: np.ndarray) -> list[np.ndarray]:
        rows = values.reshape(-1, values.shape[-1])
        count = min(len(rows), _PLACES * len(values))
        if count < len(rows):
            # One draw a photo and size of map, so that two networks are looked at alike.
            places = np.random.default_rng((photo, len(rows)))
            rows = rows[places.choice(len(rows), count, replace=False)]
        return [np.array(rows, np.float32)]

    found = inside(model, pixels, names, look, add)
    return {name: np.concatenate(parts) for name, parts in found.items()}


def _fit(graph: Graph, layer: Any, inputs: np.ndarray, wanted: np.ndarray) -> None:
    """Replace a layer's kernel and bias by the ridge regression of ``wanted`` on ``inputs``."""
    shape = graph.shape(layer.inputs[1])
    kernel = graph.constant(layer.inputs[1]).reshape(shape[0], -1).T.astype(np.float64)
    bias = graph.constant(layer.inputs[2]).astype(np.float64)
    missing = wanted - (inputs @ kernel + bias)
    middle, shift = inputs.mean(axis=0), missing.mean(axis=0)
    centred = (inputs - middle).astype(np.float64)
    covariance = centred.T @ centred
    stay = _RIDGE * np.trace(covariance) / len(covariance)
    if stay > 0:
        covariance[np.diag_indices_from(covariance)] += stay
        change = np.linalg.solve(covariance, centred.T @ (missing - shift))
    else:  # constant inputs: the mean is all that can be mended
        change = np.zeros_like(kernel)
    graph.set_constant(layer.inputs[1], (kernel + change).T.reshape(shape))
    graph.set_constant(layer.inputs[2], bias + shift - middle @ change)
