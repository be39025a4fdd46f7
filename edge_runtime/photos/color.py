"""Any colour mode of a picture to 8-bit sRGB.

Palettes are expanded, transparency is laid over white, 16-bit samples are reduced to their high
byte, embedded ICC profiles converted (:mod:`.icc`), CMYK and YCbCr without a profile by
Pillow's rules. Each step looks at single pixels, so a large picture is done in strips: that bounds
the memory at the picture itself and the result.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from PIL import Image

from ..errors import ImageError

#: Pixels that are converted at a time.
_STRIP = 1 << 22

_ALPHA_MODES = ("RGBA", "LA", "PA", "RGBa", "La")

#: TIFF 6.0: bits a sample, and what its smallest value means (0: white).
_BITS_PER_SAMPLE, _PHOTOMETRIC = 258, 262


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert a picture of 8 bits a sample to sRGB; transparency is laid over white.

    Args:
        image: What :func:`eight_bit` gave; its profile is ``info["icc_profile"]``.

    Returns:
        A picture of mode RGB.
    """
    return _in_strips(image, "RGB", _convert)


def eight_bit(image: Image.Image) -> Image.Image:
    """A picture with at most 8 bits a sample: of 16 bits their high byte.

    Raises:
        ImageError: Samples without a defined range (32-bit float, integers beyond 16 bits).
    """
    if image.mode == "F":
        raise ImageError("32-bit float pixels have no defined range. Convert it to 8 or 16 bits.")
    if not image.mode.startswith("I"):
        return image
    tags = getattr(image, "tag_v2", {})
    bits = 12 if tags.get(_BITS_PER_SAMPLE) == (12,) else 16
    negative = tags.get(_PHOTOMETRIC) == 0
    clear = image.info.get("transparency")
    mode = "LA" if isinstance(clear, int) else "L"

    def reduce(strip: Image.Image) -> Image.Image:
        values = np.asarray(strip)
        if strip.mode == "I" and (values.min() < 0 or values.max() > 0xFFFF):
            raise ImageError("32-bit pixels have no defined range. Convert it to 8 or 16 bits.")
        high = (values >> (bits - 8)).astype(np.uint8)
        grey = Image.fromarray(255 - high if negative else high)
        if mode == "LA":
            grey.putalpha(Image.fromarray(np.where(values == clear, 0, 255).astype(np.uint8)))
        return grey

    made = _in_strips(image, mode, reduce)
    made.info = {key: value for key, value in image.info.items() if key == "icc_profile"}
    return made


def _in_strips(
    image: Image.Image, mode: str, convert: Callable[[Image.Image], Image.Image]
) -> Image.Image:
    if image.width * image.height <= _STRIP:
        return convert(image)
    made = Image.new(mode, image.size)
    for top, strip in _strips(image):
        made.paste(convert(strip), (0, top))
    return made


def _strips(image: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    width, height = image.size
    rows = max(1, _STRIP // width)
    for top in range(0, height, rows):
        yield top, image.crop((0, top, width, min(height, top + rows)))


def _convert(image: Image.Image) -> Image.Image:
    if image.mode in ("RGBa", "La"):
        image = image.convert("RGBA" if image.mode == "RGBa" else "LA")
    if image.mode == "LAB" or image.info.get("icc_profile"):
        from .icc import to_srgb

        image = to_srgb(image)
    if image.mode in _ALPHA_MODES or "transparency" in image.info:
        rgba = _with_reduced_key(image).convert("RGBA")
        canvas = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
        return Image.alpha_composite(canvas, rgba).convert("RGB")
    return image.convert("RGB")


def _with_reduced_key(image: Image.Image) -> Image.Image:
    """With the transparent colour of a 16-bit RGB PNG as Pillow has reduced its pixels."""
    clear = image.info.get("transparency")
    if image.mode == "RGB" and isinstance(clear, tuple) and max(clear) > 0xFF:
        image = image.copy()
        image.info["transparency"] = tuple(value >> 8 for value in clear)
    return image
