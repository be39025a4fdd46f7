"""Random changes of training photos: drawn on the host, applied on the accelerator.

A photo's changes are numbers, drawn with numpy from (seed, epoch, photo); the layer that applies
them has no state. So a training that was stopped and goes on, runs on several devices or on
another Keras backend sees the same changes. Crop, zoom, flip, rotation, shear and shift are one
warp, so each pixel is interpolated once; brightness, contrast, saturation and hue are one matrix.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from edge_runtime.backends.full_model import import_keras, import_tensorflow

from ..config.schema import AugmentConfig
from ..devices import TENSORFLOW, backend
from .color import Color
from .erasing import Erasing
from .filters import Sharpness, Tones
from .mixing import Mixing, draw_partners, partner_shares
from .numbers import Numbers
from .randaugment import draw_strengths
from .warp import Warp


class Augmentation:
    """The changes that a configuration asks for.

    Attributes:
        width: Parameters a photo.
    """

    def __init__(self, config: AugmentConfig) -> None:
        """Choose the changes; those that the configuration leaves out cost nothing."""
        self._config = config
        self._changes: list[Sharpness | Warp | Color | Tones | Erasing] = []
        if config.randaugment_ops:
            self._changes.append(Sharpness())
        if config.randaugment_ops or _has_warp(config):
            self._changes.append(Warp(config))
        if config.randaugment_ops or _has_color(config):
            self._changes.append(Color(config))
        if config.randaugment_ops:
            self._changes.append(Tones())
        if config.erasing:
            self._changes.append(Erasing(config))
        self._mixing = Mixing(config) if config.mixup or config.cutmix else None
        used = sum(change.width for change in self._changes)
        # Keras takes no input without a column.
        self.width = max(1, used + (self._mixing.width if self._mixing else 0))
        self._mixed_from = used

    def draw(
        self, seed: int, epoch: int, step: int, photos: np.ndarray, groups: int = 1
    ) -> np.ndarray:
        """Parameters of the changes of a batch.

        Args:
            seed: Of the training, 0 to 2**63 - 1.
            epoch: Counted from 0.
            step: Of the epoch; only which photos are mixed depends on it.
            photos: int (b,), indices of the photos. A photo's own changes depend on seed, epoch
                and its index alone, not on the batch or the place in it.
            groups: Equal parts of the batch; a photo is mixed with one of its part. Each part is
                what the layer is called with: one for each replica, or the batch as a whole.

        Returns:
            float32 (b, width).
        """
        numbers = Numbers((seed, epoch), photos)
        strengths = draw_strengths(self._config, numbers) if self._config.randaugment_ops else {}
        parts = [change.draw(numbers, strengths) for change in self._changes]
        if self._mixing:
            partners = draw_partners((seed, epoch, step), len(photos), groups)
            parts.append(self._mixing.draw(numbers, partners))
        if not parts:
            return np.zeros((len(photos), self.width), np.float32)
        return np.concatenate(parts, 1).astype(np.float32)

    def targets(self, one_hot: np.ndarray, parameters: np.ndarray, groups: int = 1) -> np.ndarray:
        """The labels of the changed photos.

        Args:
            one_hot: float32 (b, classes).
            parameters: Of :meth:`draw`.
            groups: As in :meth:`draw`.

        Returns:
            float32 (b, classes). A mixed photo's classes have the shares of its pixels.
        """
        if not self._mixing:
            return one_hot
        own = parameters[:, self._mixed_from :].astype(np.float64)
        size = len(one_hot) // groups
        partners = own[:, 0].astype(np.int64) + np.arange(len(one_hot)) // size * size
        shares = partner_shares(own)[:, None]
        mixed = (1 - shares) * one_hot + shares * one_hot[partners]
        found: np.ndarray = mixed.astype(one_hot.dtype)
        return found

    def layer(self) -> Any:
        """The Keras layer that applies the parameters.

        Returns:
            Layer of [photos, uint8 or float32 (b, h, w, 3), RGB 0..255, and parameters, float32
            (b, width)] to float32 (b, h, w, 3), 0..255; float32 whatever the dtype policy.
        """
        change = _compiled(self._apply) if self._changes or self._mixing else self._apply

        class Changes(import_keras().layers.Layer):  # type: ignore[misc]  # Keras is untyped
            def __init__(self) -> None:
                super().__init__(dtype="float32", autocast=False, name="augmentation")

            def call(self, inputs: Any) -> Any:
                return change(*inputs)

            def compute_output_shape(self, shapes: Any) -> Any:
                return shapes[0]

        return Changes()

    def _apply(self, images: Any, parameters: Any) -> Any:
        ops = import_keras().ops
        images = ops.cast(images, "float32")
        parameters, start = ops.cast(parameters, "float32"), 0
        for change in (*self._changes, *([self._mixing] if self._mixing else [])):
            images = change.apply(ops, images, parameters[:, start : start + change.width])
            start += change.width
        return images


def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function as one XLA kernel; TensorFlow runs it several times as fast on a CPU."""
    if backend() != TENSORFLOW:
        return function  # JAX compiles the whole step
    found: Callable[..., Any] = import_tensorflow().function(
        function, jit_compile=True, autograph=False
    )
    return found


def _has_warp(config: AugmentConfig) -> bool:
    ranges = (config.area, config.ratio)
    return any(tuple(r) != (1, 1) for r in ranges) or bool(
        config.rotation or config.shift or config.flip
    )


def _has_color(config: AugmentConfig) -> bool:
    return bool(config.brightness or config.contrast or config.saturation or config.hue)
