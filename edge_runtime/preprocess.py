"""The one place where a photo becomes a tensor.

Training cache, validation, calibration, parity, benchmarks and the device all call
:func:`preprocess`; no other code resizes a picture for the network. Steps, in order:

1. read and decode (:mod:`.photos.decoding`), by content and not by extension; a large JPEG at
   reduced scale; turned by the EXIF orientation;
2. convert to 8-bit sRGB (:mod:`.photos.color`): palettes expanded, transparency laid over
   white, 16-bit reduced to its high byte, ICC profiles converted;
3. cut and resize in one anti-aliased pass, as :class:`~edge_runtime.manifest.PreprocessSpec` says.
"""

from __future__ import annotations

import math

import numpy as np
from PIL import Image

from .errors import UsageError
from .manifest import PreprocessSpec
from .photos.decoding import Decoded, decode, pixel_box
from .photos.decoding import Photo as Photo
from .photos.decoding import Roi as Roi
from .photos.decoding import contradicting_format as contradicting_format
from .photos.decoding import describe as describe
from .photos.decoding import load_upright as load_upright

_KERNELS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}

#: (left, top, right, bottom) in pixels.
_Box = tuple[float, float, float, float]

#: A JPEG is decoded at the smallest of 1/1, 1/2, 1/4, 1/8 that is still this many times the
#: target size; the anti-aliased kernel does the rest. Measured on 12-megapixel photos at 224
#: pixels: 2 costs 0.18 grey levels on average for a quarter of the time, 1 costs 0.6.
_DRAFT_MARGIN = 2

_WHOLE = (0.0, 0.0, 1.0, 1.0)


def preprocess(photo: Photo, spec: PreprocessSpec, roi: Roi | None = None) -> np.ndarray:
    """Turn a photo into the network's input pixels.

    Args:
        photo: A path, the bytes of an image file, a PIL image, or an array: uint8 or
            uint16, (h, w) grey, (h, w, 3) RGB or (h, w, 4) RGBA. A PIL image is turned by its
            EXIF orientation as a file is; an array is upright.
        spec: Target size and rule.
        roi: The part that is looked at, as if the rest had been cut off at the nearest pixels of
            the upright photo (at least one); None for all of it.

    Returns:
        uint8 array of shape (spec.height, spec.width, 3), sRGB, 0..255.

    Raises:
        ImageError: The photo cannot be read; the message names it.
        UsageError: The region is empty or reaches beyond the photo.
    """
    if roi is None or tuple(roi) == _WHOLE:
        return fitted(decoded(photo, spec), spec)
    left, top, right, bottom = roi
    if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
        raise UsageError(
            f"region of interest {roi}: expected left < right and top < bottom, 0 to 1."
        )
    region, part = _cut(decode(photo, _at_least(spec), roi), roi)
    return np.asarray(_fit(region, spec, part))


def decoded(photo: Photo, spec: PreprocessSpec) -> Image.Image:
    """The first half of :func:`preprocess`: read, decode and turn a photo.

    Args:
        photo: As for :func:`preprocess`.
        spec: Target size and rule; a large JPEG is decoded no larger than they need.

    Raises:
        ImageError: The photo cannot be read; the message names it.
    """
    return load_upright(photo, _at_least(spec))


def fitted(image: Image.Image, spec: PreprocessSpec) -> np.ndarray:
    """The second half: cut and resize what :func:`decoded` gave to the network's input pixels."""
    return np.asarray(_fit(image, spec))


def _at_least(spec: PreprocessSpec) -> tuple[int, int]:
    return spec.width * _DRAFT_MARGIN, spec.height * _DRAFT_MARGIN


def visible_box(size: tuple[float, float], spec: PreprocessSpec) -> _Box:
    """The part of an upright photo that the network sees.

    Args:
        size: (width, height) of the photo in pixels.
        spec: Target size and rule.

    Returns:
        (left, top, right, bottom) in the photo's pixels; with ``pad`` it reaches beyond the photo.
    """
    width, height = size
    if spec.fit == "stretch":
        return 0.0, 0.0, float(width), float(height)
    choose = max if spec.fit == "pad" else min
    scale = choose(width / spec.width, height / spec.height)
    seen_width, seen_height = spec.width * scale, spec.height * scale
    left, top = (width - seen_width) / 2, (height - seen_height) / 2
    return left, top, left + seen_width, top + seen_height


def _fit(image: Image.Image, spec: PreprocessSpec, part: _Box | None = None) -> Image.Image:
    """Resize a picture, or the ``part`` of it, by the rule."""
    size, kernel = (spec.width, spec.height), _KERNELS[spec.kernel]
    whole = (0.0, 0.0, float(image.width), float(image.height))
    part = part or whole
    if image.size == size and part == whole:
        return image
    width, height = part[2] - part[0], part[3] - part[1]
    left, top, right, bottom = visible_box((width, height), spec)
    if spec.fit == "pad":
        scale = spec.width / (right - left)
        inner = (max(1, round(width * scale)), max(1, round(height * scale)))
        canvas = Image.new("RGB", size)
        corner = ((spec.width - inner[0]) // 2, (spec.height - inner[1]) // 2)
        canvas.paste(image.resize(inner, kernel, box=part), corner)
        return canvas
    box = (
        max(part[0] + left, part[0]),
        max(part[1] + top, part[1]),
        min(part[0] + right, part[2]),
        min(part[1] + bottom, part[3]),
    )
    return image.resize(size, kernel, box=box)


def _cut(photo: Decoded, roi: Roi) -> tuple[Image.Image, _Box]:
    """A picture of the region, and the part of it that is the region.

    At reduced scale a region begins and ends inside of pixels.
    """
    left, top, right, bottom = photo.covered
    across, down = (right - left) / photo.size[0], (bottom - top) / photo.size[1]
    box = pixel_box(photo.size, roi)
    edges = (
        left + box[0] * across, top + box[1] * down, left + box[2] * across, top + box[3] * down,
    )  # fmt: skip
    outer = (
        math.floor(edges[0]), math.floor(edges[1]), math.ceil(edges[2]), math.ceil(edges[3]),
    )  # fmt: skip
    x, y = outer[:2]
    return photo.image.crop(outer), (edges[0] - x, edges[1] - y, edges[2] - x, edges[3] - y)
