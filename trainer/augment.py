"""Random changes of training photos: one warp and one colour matrix for a whole batch.

Crop, zoom, flip, rotation and shift are one projective warp, so each pixel is interpolated once;
brightness, contrast, saturation and hue are one 3x4 matrix a photo. All draws come from a seed
that is passed in, so that a photo's changes depend on nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from edge_runtime.backends.full_model import import_tensorflow

from .config import AugmentConfig

#: RGB to YIQ (NTSC 1953): grey, and two colour axes whose angle is the hue.
_YIQ = np.array(
    [[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]], np.float32
)


def augmenter(config: AugmentConfig) -> Callable[[Any, Any], Any]:
    """A TensorFlow function that changes a batch at random.

    Args:
        config: The ranges.

    Returns:
        A function of images, uint8 or float32 (n, h, w, 3), RGB 0..255, and a seed, int32 (2,),
        to float32 images of the same shape, 0..255.
    """
    tf = import_tensorflow()

    def augment(images: Any, seed: Any) -> Any:
        seeds = tf.random.split(seed, 2)
        return _recolor(
            tf, _warp(tf, tf.cast(images, tf.float32), seeds[0], config), seeds[1], config
        )

    return augment


def _drawer(tf: Any, seed: Any, count: Any) -> Callable[[float, float], Any]:
    """A function of low and high that gives one draw a photo, another one at each call."""
    calls = 0

    def draw(low: float, high: float) -> Any:
        nonlocal calls
        calls += 1
        own = tf.random.fold_in(seed, calls)
        return tf.random.stateless_uniform([count], own, low, high)

    return draw


def _warp(tf: Any, images: Any, seed: Any, config: AugmentConfig) -> Any:
    shape = tf.shape(images)
    height, width = tf.cast(shape[1], tf.float32), tf.cast(shape[2], tf.float32)
    draw = _drawer(tf, seed, shape[0])
    area = draw(*config.area)
    ratio = tf.exp(draw(math.log(config.ratio[0]), math.log(config.ratio[1])))
    # A ratio must not look beyond the photo more than the area does.
    largest = max(1.0, math.sqrt(config.area[1]))
    wide = tf.minimum(tf.sqrt(area * ratio), largest)
    high = tf.minimum(tf.sqrt(area / ratio), largest)
    left = draw(-0.5, 0.5) * tf.abs(1 - wide) + draw(-config.shift, config.shift)
    down = draw(-0.5, 0.5) * tf.abs(1 - high) + draw(-config.shift, config.shift)
    mirror = tf.where(draw(0.0, 1.0) < 0.5, -1.0, 1.0) if config.flip else tf.ones_like(wide)
    angle = draw(-config.rotation, config.rotation) * (math.pi / 180)
    cos, sin = tf.cos(angle), tf.sin(angle)
    # Source pixel = middle + offset + rotation * scale * (target pixel - middle).
    a, b = cos * wide * mirror, -sin * high
    c, d = sin * wide * mirror, cos * high
    x, y = (width - 1) / 2, (height - 1) / 2
    zero = tf.zeros_like(wide)
    rows = [a, b, x + left * width - a * x - b * y, c, d, y + down * height - c * x - d * y]
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=tf.stack([*rows, zero, zero], 1),
        output_shape=shape[1:3],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="REFLECT",
    )


def _recolor(tf: Any, images: Any, seed: Any, config: AugmentConfig) -> Any:
    shape = tf.shape(images)
    draw = _drawer(tf, seed, shape[0])
    bright = draw(1 - config.brightness, 1 + config.brightness)
    contrast = draw(1 - config.contrast, 1 + config.contrast)
    saturation = draw(1 - config.saturation, 1 + config.saturation)
    hue = draw(-config.hue, config.hue) * (2 * math.pi)
    one, zero = tf.ones_like(hue), tf.zeros_like(hue)
    cos, sin = saturation * tf.cos(hue), saturation * tf.sin(hue)
    turn = tf.reshape(tf.stack([one, zero, zero, zero, cos, -sin, zero, sin, cos], 1), [-1, 3, 3])
    matrix = tf.constant(np.linalg.inv(_YIQ)) @ turn @ tf.constant(_YIQ)
    matrix *= (bright * contrast)[:, None, None]
    grey = tf.reduce_mean(tf.tensordot(images, tf.constant(_YIQ[0]), 1), axis=(1, 2))
    offset = (grey * bright * (1 - contrast))[:, None, None]
    flat = tf.reshape(images, [shape[0], -1, 3])
    changed = tf.matmul(flat, matrix, transpose_b=True) + offset
    return tf.clip_by_value(tf.reshape(changed, shape), 0.0, 255.0)
