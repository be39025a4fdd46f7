"""What the user says of a model that does not say it itself."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ModelSettings:
    """Each field None where the model's own description, or the usual, is right."""

    #: Class names in index order.
    labels: tuple[str, ...] | None = None
    #: Subtracted from pixel values 0..255, one number or one a channel, in the model's own order.
    mean: tuple[float, ...] | None = None
    #: What the difference is divided by.
    std: tuple[float, ...] | None = None
    layout: str | None = None  #: ``NHWC`` or ``NCHW``
    color: str | None = None  #: ``RGB`` or ``BGR``
    fit: str | None = None  #: ``crop``, ``stretch`` or ``pad``
    kernel: str | None = None  #: ``bilinear`` or ``bicubic``
    output: str | None = None  #: ``probabilities`` or ``logits``
    size: tuple[int, int] | None = None  #: (width, height) where the model takes any
