"""Crop, zoom, flip, rotation, shear and shift as one affine warp: a pixel is interpolated once."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..config.schema import AugmentConfig
from .numbers import Numbers
from .randaugment import Strengths


class Warp:
    """An affine change of the place of pixels; what lies outside is the photo mirrored.

    A photo's parameters are a, b, left, c, d, down: source pixel = middle + (left * width,
    down * height) + [[a, b], [c, d]] (target pixel - middle).
    """

    width = 6

    def __init__(self, config: AugmentConfig) -> None:
        """Keep the ranges."""
        self._config = config

    def draw(self, numbers: Numbers, strengths: Strengths) -> np.ndarray:
        """Parameters, float64 (b, 6)."""
        config = self._config
        area = numbers("area", *config.area)
        ratio = np.exp(numbers("ratio", math.log(config.ratio[0]), math.log(config.ratio[1])))
        # A ratio must not look beyond the photo more than the area does.
        largest = max(1.0, math.sqrt(config.area[1]))
        wide = np.minimum(np.sqrt(area * ratio), largest)
        high = np.minimum(np.sqrt(area / ratio), largest)
        room = np.stack([np.abs(1 - wide), np.abs(1 - high)])
        # The crop lies anywhere inside the photo; the shift comes on top.
        place = np.stack([numbers("left", -0.5, 0.5), numbers("down", -0.5, 0.5)])
        left, down = place * (room + 2 * config.shift)
        mirror = np.where(numbers("flip") < 0.5, -1.0, 1.0) if config.flip else 1.0
        angle = numbers("angle", -config.rotation, config.rotation)
        linear = _rotation(angle) * np.stack([wide * mirror, high], 1)[:, None]
        if strengths:
            linear = linear @ _rotation(strengths["rotate"]) @ _shear(strengths)
            left = left + wide * strengths["translate_x"]
            down = down + high * strengths["translate_y"]
        a, b, c, d = linear.reshape(-1, 4).T
        return np.stack([a, b, left, c, d, down], 1)

    def apply(self, ops: Any, images: Any, parameters: Any) -> Any:
        """Warp float32 (b, h, w, 3)."""
        height, width = images.shape[1:3]
        a, b, left, c, d, down = (parameters[:, i, None, None] for i in range(6))
        x = ops.reshape(ops.arange(width, dtype="float32"), (1, 1, -1)) - (width - 1) / 2
        y = ops.reshape(ops.arange(height, dtype="float32"), (1, -1, 1)) - (height - 1) / 2
        middle_x, middle_y = (width - 1) / 2 + left * width, (height - 1) / 2 + down * height
        return _sample(ops, images, middle_x + a * x + b * y, middle_y + c * x + d * y)


def _rotation(degrees: np.ndarray) -> np.ndarray:
    angle = np.deg2rad(degrees)
    rows = [np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)]
    return np.stack(rows, 1).reshape(-1, 2, 2)


def _shear(strengths: Strengths) -> np.ndarray:
    one = np.ones_like(strengths["shear_x"])
    rows = [one, strengths["shear_x"], strengths["shear_y"], one]
    return np.stack(rows, 1).reshape(-1, 2, 2)


def _sample(ops: Any, images: Any, x: Any, y: Any) -> Any:
    """Bilinear interpolation of (b, h, w, 3) at places (b, h, w) in pixels.

    Gathers run on every backend and compile with XLA. ``keras.ops.image.affine_transform`` does
    not compile with XLA on TensorFlow, and takes ten times as long on JAX.
    """
    height, width = images.shape[1:3]
    x, y = _mirrored(ops, x, width), _mirrored(ops, y, height)
    left, top = ops.floor(x), ops.floor(y)
    share_x, share_y = (x - left)[..., None], (y - top)[..., None]
    first = ops.arange(ops.shape(images)[0], dtype="int32")[:, None, None] * (height * width)
    corner = first + ops.cast(top * width + left, "int32")
    right = ops.cast(left < width - 1, "int32")
    below = ops.cast(top < height - 1, "int32") * width
    pixels = ops.reshape(images, (-1, 3))
    upper = _between(ops, pixels, corner, corner + right, share_x)
    lower = _between(ops, pixels, corner + below, corner + below + right, share_x)
    return upper + share_y * (lower - upper)


def _between(ops: Any, pixels: Any, first: Any, second: Any, share: Any) -> Any:
    start = ops.take(pixels, first, axis=0)
    return start + share * (ops.take(pixels, second, axis=0) - start)


def _mirrored(ops: Any, place: Any, size: int) -> Any:
    """Places outside 0..size-1 as if the photo were mirrored at its edges: dcba|abcd|dcba."""
    turned = ops.mod(place + 0.5, 2.0 * size)
    return ops.clip(ops.minimum(turned, 2.0 * size - turned) - 0.5, 0.0, size - 1.0)
