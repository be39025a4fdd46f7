"""RandAugment: a few of thirteen operations for each photo (Cubuk et al. 2020).

As in the paper, apart from this: the operations of a photo are different ones; a strength is drawn
evenly up to the magnitude (the paper's "random magnitude"); geometric operations are folded into
the one warp and colour operations into the one colour matrix, hence in a fixed order; Equalize,
which needs a histogram of each photo, is left out.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..config.schema import AugmentConfig
from .numbers import Numbers

#: Strength of each operation at magnitude 10, from 0, to either side. The parameter is the change:
#: degrees, share of the seen part, factor - 1, bits lost, grey levels below 256, 0 or 1.
OPERATIONS: Mapping[str, float] = {
    "identity": 0.0,
    "rotate": 30.0,
    "shear_x": 0.3,
    "shear_y": 0.3,
    "translate_x": 0.3,
    "translate_y": 0.3,
    "brightness": 0.9,
    "contrast": 0.9,
    "color": 0.9,
    "sharpness": 0.9,
    "posterize": 4.0,
    "solarize": 128.0,
    "autocontrast": 1.0,
}

#: Operations without a second direction.
_ONE_SIDED = ("posterize", "solarize", "autocontrast")

Strengths = Mapping[str, np.ndarray]


def draw_strengths(config: AugmentConfig, numbers: Numbers) -> Strengths:
    """Which operations a photo gets, and how much of each.

    Args:
        config: The number of operations, and the magnitude.
        numbers: Of the photos.

    Returns:
        For each name in :data:`OPERATIONS` float64 (b,), in its units; 0 where a photo does not
        get it.
    """
    keys = np.stack([numbers(f"choose {index}") for index in range(len(OPERATIONS))], 1)
    # The places of the smallest keys are a random choice without repetition.
    chosen = keys.argsort(1).argsort(1) < config.randaugment_ops
    found = {}
    for index, (name, most) in enumerate(OPERATIONS.items()):
        strength = numbers(f"strength {index}", 0.0 if name in _ONE_SIDED else -1.0, 1.0)
        if name == "autocontrast":
            strength = np.ones_like(strength)  # has no strength
        else:
            strength = strength * config.randaugment_magnitude / 10
        found[name] = np.where(chosen[:, index], strength * most, 0.0)
    return found
