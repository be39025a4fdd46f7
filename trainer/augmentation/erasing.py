"""Random erasing: a box of a photo is hidden (Zhong et al. 2020)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..config.schema import AugmentConfig
from .boxes import box_mask
from .numbers import Numbers
from .randaugment import Strengths

#: Values of the noise: multiples of 1/4096, with which float32 reckons without rounding.
_LEVELS = 4096


class Erasing:
    """A box filled with noise, or with the photo's mean colour.

    A photo's parameters are the box (top, left, bottom, right, in shares; all 0: none), and two
    numbers that make its noise another one than the next photo's.
    """

    width = 6

    def __init__(self, config: AugmentConfig) -> None:
        """Keep the ranges."""
        self._config = config

    def draw(self, numbers: Numbers, strengths: Strengths) -> np.ndarray:
        """Parameters, float64 (b, 6)."""
        config = self._config
        area = numbers("erase area", *config.erasing_area)
        # The ratios at which a box of this area fits, so that none has to be drawn again.
        fits = -np.log(area)
        low = np.clip(math.log(config.erasing_ratio[0]), -fits, fits)
        high = np.clip(math.log(config.erasing_ratio[1]), -fits, fits)
        ratio = np.exp(low + (high - low) * numbers("erase ratio"))
        high, wide = np.minimum(np.sqrt(area / ratio), 1), np.minimum(np.sqrt(area * ratio), 1)
        top, left = (1 - high) * numbers("erase down"), (1 - wide) * numbers("erase left")
        box = np.stack([top, left, top + high, left + wide], 1)
        box[numbers("erase") >= config.erasing] = 0
        noise = [np.floor(numbers(name, 0, 512)) for name in ("noise", "noise offset")]
        return np.concatenate([box, np.stack(noise, 1)], 1)

    def apply(self, ops: Any, images: Any, parameters: Any) -> Any:
        """Erase in float32 (b, h, w, 3), 0..255."""
        height, width = images.shape[1:3]
        if self._config.erasing_fill == "mean":
            fill = ops.mean(images, axis=(1, 2), keepdims=True)
        else:
            fill = _noise(ops, parameters[:, 4:], height, width)
        return images + box_mask(ops, parameters, height, width) * (fill - images)


def _noise(ops: Any, keys: Any, height: int, width: int) -> Any:
    """Evenly distributed values, 0..255, the same for the same keys on every device.

    Two fixed patterns, the second so many times as the key says, modulo 1: each key gives
    another pattern, and any two of them look independent.
    """
    random = np.random.RandomState(0)
    first, second = random.randint(0, _LEVELS, (2, 1, height, width, 3)) / np.float32(_LEVELS)
    times, offset = (keys[:, i, None, None, None] for i in range(2))
    value = first + times * second + offset / 512.0
    return (value - ops.floor(value)) * 255.0
