"""MixUp and CutMix: two photos and their labels in one (Zhang et al. 2018, Yun et al. 2019)."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..config.schema import AugmentConfig
from ..packages import import_module
from .boxes import box_mask
from .numbers import Numbers


class Mixing:
    """A photo mixed with another one of its batch: all over, or in a box.

    A photo's parameters are the other's place in the group, the other's share all over (MixUp),
    and the box in which the other is seen (CutMix: top, left, bottom, right, in shares). One of
    the two is 0; where both are wanted, each photo gets one of them, half and half.
    """

    width = 6

    def __init__(self, config: AugmentConfig) -> None:
        """Keep the ranges."""
        self._config = config

    def draw(self, numbers: Numbers, partners: np.ndarray) -> np.ndarray:
        """Parameters, float64 (b, 6); ``partners`` from :func:`draw_partners`."""
        config, count = self._config, len(numbers)
        chance = 0.5 if config.mixup and config.cutmix else 1.0 if config.mixup else 0.0
        blended = numbers("mix kind") < chance
        share, box = np.zeros(count), np.zeros((count, 4))
        uniform = numbers("mix share")
        if config.mixup:
            share[blended] = _beta(config.mixup, uniform[blended])
        if config.cutmix:
            side = np.sqrt(_beta(config.cutmix, uniform)) / 2
            y, x = numbers("mix down"), numbers("mix left")
            # The middle is anywhere in the photo, so a box may be cut off: its share shrinks.
            whole = np.clip(np.stack([y - side, x - side, y + side, x + side], 1), 0, 1)
            box[~blended] = whole[~blended]
        return np.concatenate([partners[:, None], share[:, None], box], 1)

    def apply(self, ops: Any, images: Any, parameters: Any) -> Any:
        """Mix float32 (b, h, w, 3)."""
        height, width = images.shape[1:3]
        others = ops.take(images, ops.cast(parameters[:, 0], "int32"), axis=0)
        seen = parameters[:, 1, None, None, None]
        seen = seen + box_mask(ops, parameters[:, 2:], height, width)
        return images + seen * (others - images)


def draw_partners(key: tuple[int, ...], count: int, groups: int) -> np.ndarray:
    """Which photo of its group each photo is mixed with.

    Args:
        key: What decides it: seed, epoch and step.
        count: Photos in the batch.
        groups: Equal parts into which the batch is cut.

    Returns:
        int64 (count,), places in the group. No photo is its own partner, unless it is alone.
    """
    size = count // groups
    keys = Numbers(key, np.arange(count))("order").reshape(groups, size)
    order = keys.argsort(1)
    found = np.empty_like(order)
    np.put_along_axis(found, order, np.roll(order, -1, axis=1), axis=1)
    return found.reshape(-1)


def partner_shares(parameters: np.ndarray) -> np.ndarray:
    """The share of each photo's pixels that is its partner's, (b,), from :class:`Mixing`'s."""
    _, share, top, left, bottom, right = parameters.T
    found: np.ndarray = share + (bottom - top) * (right - left)
    return found


def _beta(alpha: float, uniform: np.ndarray) -> np.ndarray:
    """Beta(alpha, alpha) distributed numbers out of uniform ones."""
    special = import_module("scipy.special", "scipy", "mix photos (augment.mixup, augment.cutmix)")
    return np.asarray(special.betaincinv(alpha, alpha, uniform))
