"""The operations of RandAugment that are neither a warp nor a colour matrix, as Pillow has them."""

from __future__ import annotations

from typing import Any

import numpy as np

from .numbers import Numbers
from .randaugment import Strengths


class Sharpness:
    """Away from a smooth version of the photo, or towards it.

    A photo's parameter is the factor of its sharpness - 1. This comes before the warp: XLA would
    put the interpolation into it and do that anew for each of the nine neighbours.
    """

    width = 1

    def draw(self, numbers: Numbers, strengths: Strengths) -> np.ndarray:
        """Parameters, float64 (b, 1)."""
        return strengths["sharpness"][:, None]

    def apply(self, ops: Any, images: Any, parameters: Any) -> Any:
        """Change float32 (b, h, w, 3), 0..255; pixels at the edge stay."""
        rows = images[:, :-2] + images[:, 1:-1] + images[:, 2:]
        box = rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:]
        inner = images[:, 1:-1, 1:-1]
        # 3x3 with the pixel itself five times: ImageFilter.SMOOTH.
        detail = inner - (box + 4.0 * inner) / 13.0
        detail = ops.pad(detail, ((0, 0), (1, 1), (1, 1), (0, 0)))
        return ops.clip(images + parameters[:, :, None, None] * detail, 0.0, 255.0)


class Tones:
    """Autocontrast, Solarize and Posterize.

    A photo's parameters are whether the contrast is stretched (0 or 1), the value from which
    colours are inverted (256: none is), and the step between the values that remain (0: all do).
    """

    width = 3

    def draw(self, numbers: Numbers, strengths: Strengths) -> np.ndarray:
        """Parameters, float64 (b, 3)."""
        bits = np.round(strengths["posterize"])
        step = np.where(bits > 0, 2.0**bits, 0)
        return np.stack([strengths["autocontrast"], 256 - strengths["solarize"], step], 1)

    def apply(self, ops: Any, images: Any, parameters: Any) -> Any:
        """Change float32 (b, h, w, 3), 0..255."""
        stretch, threshold, step = (parameters[:, i, None, None, None] for i in range(3))
        images = _autocontrast(ops, images, stretch)
        images = ops.where(images < threshold, images, 255.0 - images)
        size = ops.maximum(step, 1.0)  # a power of two, so that its inverse is exact
        return ops.where(step > 0, ops.floor(images * (1.0 / size)) * size, images)


def _autocontrast(ops: Any, images: Any, stretch: Any) -> Any:
    """Each channel stretched to 0..255, where it has more than one value."""
    low = ops.min(images, axis=(1, 2), keepdims=True)
    high = ops.max(images, axis=(1, 2), keepdims=True)
    wanted = ops.logical_and(stretch > 0, high > low)
    scale = 255.0 / ops.where(wanted, high - low, 255.0)
    return ops.where(wanted, ops.clip((images - low) * scale, 0.0, 255.0), images)
