"""What the tests of backbones and of their weights share: numbers to put into a graph."""

from __future__ import annotations

from typing import Any

import numpy as np

from trainer.network.weights import IMAGENET_STD

IMAGENET_MEAN = (0.485, 0.456, 0.406)


def answer(model: Any, pixels: np.ndarray) -> np.ndarray:
    """Output in inference mode."""
    return np.asarray(model(pixels, training=False))


def flat_layers(model: Any) -> list[Any]:
    """Layers with weights, those of nested models in their place."""
    found = []
    for layer in model.layers:
        if hasattr(layer, "layers"):
            found += flat_layers(layer)
        elif layer.weights:
            found.append(layer)
    return found


def photos(side: int, count: int = 2) -> np.ndarray:
    """float32 (count, side, side, 3), 0..255: patches of colour that differ, with noise."""
    random = np.random.default_rng(side)
    patch = -(-side // 4)
    colors = random.integers(20, 236, (count, 4, 4, 3)).repeat(patch, 1).repeat(patch, 2)
    noise = random.integers(-20, 20, (count, side, side, 3))
    return (colors[:, :side, :side] + noise).astype(np.float32)


def fill(model: Any, pixels: np.ndarray, seed: int = 0) -> None:
    """Kernels as Keras draws them; everything else random, so that each layer tells.

    Fresh biases and running means are 0, fresh scales and variances 1, ConvNeXt's layer scales
    1e-6: a graph that forgets one of them, or puts it elsewhere, would give the same answer.
    BatchNorm's statistics are then measured, or the photo would fade on its way to the end.
    """
    random = np.random.default_rng(seed)
    for layer in flat_layers(model):
        if type(layer).__name__ == "Normalization":
            continue
        values = []
        for weight, value in zip(layer.weights, layer.get_weights(), strict=True):
            one_dimensional = max(weight.shape) == np.prod(weight.shape)
            factor = weight.name == "gamma" or type(layer).__name__ == "LayerScale"
            low, high = (0.5, 1.5) if factor else (-0.2, 0.2)
            values.append(
                random.uniform(low, high, weight.shape).astype(np.float32)
                if one_dimensional
                else value
            )
        layer.set_weights(values)
    for layer in flat_layers(model):
        if type(layer).__name__ == "BatchNormalization":
            layer.momentum = 0
    model(pixels, training=True)


def set_normalization(model: Any, variance: np.ndarray | tuple[float, ...]) -> None:
    """ImageNet's mean, and a variance, into the Normalization layer of an EfficientNet."""
    layer = next(layer for layer in model.layers if type(layer).__name__ == "Normalization")
    layer.set_weights([np.array(IMAGENET_MEAN), np.array(variance), np.array(0)])
    layer.finalize_state()


def set_deviations(model: Any) -> None:
    """What Keras's official files hold: plain deviations as variance."""
    set_normalization(model, IMAGENET_STD)


def assert_same_function(first: np.ndarray, second: np.ndarray) -> None:
    """Within float32 rounding through up to 500 layers, of which 4e-5 was seen.

    The approximate gelu in place of the exact one gives 2e-4, a missing Rescaling 1.
    """
    peak = np.abs(second).max()
    assert np.abs(second[0] - second[1]).max() > 0.05 * peak, "the photo has faded on its way"
    np.testing.assert_allclose(first, second, rtol=0, atol=1e-4 * peak)
