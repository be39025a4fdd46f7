"""Brightness, contrast, saturation and hue as one 3x4 colour matrix a photo."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..config.schema import AugmentConfig
from .numbers import Numbers
from .randaugment import Strengths

#: RGB to YIQ (NTSC 1953): grey, and two colour axes whose angle is the hue.
_YIQ = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
_RGB = np.linalg.inv(_YIQ)


class Color:
    """A linear change of colours.

    A photo's parameters are the 3x3 matrix, row by row, and the share of the photo's mean grey
    that is added to each channel.
    """

    width = 10

    def __init__(self, config: AugmentConfig) -> None:
        """Keep the ranges."""
        self._config = config

    def draw(self, numbers: Numbers, strengths: Strengths) -> np.ndarray:
        """Parameters, float64 (b, 10)."""
        config = self._config
        bright, contrast, saturation = (
            numbers(name, 1 - most, 1 + most) * (1 + strengths.get(operation, 0.0))
            for name, most, operation in (
                ("brightness", config.brightness, "brightness"),
                ("contrast", config.contrast, "contrast"),
                ("saturation", config.saturation, "color"),
            )
        )
        hue = numbers("hue", -config.hue, config.hue) * (2 * math.pi)
        turn = np.zeros((len(numbers), 3, 3))
        turn[:, 0, 0] = 1
        turn[:, 1, 1] = turn[:, 2, 2] = saturation * np.cos(hue)
        turn[:, 2, 1] = saturation * np.sin(hue)
        turn[:, 1, 2] = -turn[:, 2, 1]
        matrix = (_RGB @ turn @ _YIQ) * (bright * contrast)[:, None, None]
        # Contrast is about the mean grey of the photo, which is known on the accelerator only.
        offset = bright * (1 - contrast)
        return np.concatenate([matrix.reshape(-1, 9), offset[:, None]], 1)

    def apply(self, ops: Any, images: Any, parameters: Any) -> Any:
        """Recolour float32 (b, h, w, 3), 0..255."""
        mean = ops.mean(images, axis=(1, 2))
        grey = sum(float(_YIQ[0, i]) * mean[:, i] for i in range(3))
        changed = (grey * parameters[:, 9])[:, None, None, None]
        for i in range(3):  # a matrix product would keep XLA from making one loop of it
            column = ops.stack([parameters[:, row + i] for row in (0, 3, 6)], axis=-1)
            changed = changed + images[..., i : i + 1] * column[:, None, None]
        return ops.clip(changed, 0.0, 255.0)
