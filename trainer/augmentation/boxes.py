"""Boxes in a photo, in shares of its sides."""

from __future__ import annotations

from typing import Any


def box_mask(ops: Any, box: Any, height: int, width: int) -> Any:
    """How much of each pixel lies in a box.

    A pixel on the edge counts in part, so that the mean of the mask is the box's area exactly,
    whatever the size of the photo.

    Args:
        ops: ``keras.ops``.
        box: float32 (b, 4): top, left, bottom, right, 0..1.
        height: Of the photos, pixels.
        width: Of the photos, pixels.

    Returns:
        float32 (b, height, width, 1), 0..1.
    """
    rows = _cover(ops, box[:, 0, None], box[:, 2, None], height)
    columns = _cover(ops, box[:, 1, None], box[:, 3, None], width)
    return (rows[:, :, None] * columns[:, None, :])[..., None]


def _cover(ops: Any, low: Any, high: Any, size: int) -> Any:
    """Share of each of ``size`` pixels between two places, (b, size)."""
    start = ops.arange(size, dtype="float32")[None]
    return ops.clip(high * size - start, 0.0, 1.0) - ops.clip(low * size - start, 0.0, 1.0)
