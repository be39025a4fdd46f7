"""Small pictures for pages: photos, and photos under their heat maps, as data URIs."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass

import numpy as np
from PIL import Image

from .heatmap import blend
from .manifest import PreprocessSpec
from .preprocess import Photo, load_upright, preprocess

#: Longer side, pixels.
SIDE = 208

#: JPEG quality of the pictures: 4 to 12 kB each.
_QUALITY = 80


@dataclass(frozen=True)
class Picture:
    """A picture in a page."""

    uri: str  #: ``data:image/jpeg;base64,...``
    alt: str  #: what it shows
    caption: str  #: short text below it
    width: int  #: pixels
    height: int  #: pixels


def thumbnail(photo: Photo, side: int = SIDE) -> Image.Image:
    """An upright RGB picture of a photo; a small photo is not enlarged.

    Args:
        photo: The photo.
        side: Longest side of the picture, pixels.

    Raises:
        ImageError: It cannot be read.
    """
    image = load_upright(photo, (side, side))
    factor = min(1.0, side / max(image.size))
    width, height = (max(1, round(length * factor)) for length in image.size)
    return Image.fromarray(preprocess(image, PreprocessSpec(width, height, fit="stretch")))


def picture(image: Image.Image, alt: str, caption: str) -> Picture:
    """A picture of an image that has its final size."""
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=_QUALITY, optimize=True)
    uri = "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode("ascii")
    return Picture(uri, alt, caption, *image.size)


def covered(
    image: Image.Image, heat: np.ndarray | None, spec: PreprocessSpec, alt: str, caption: str
) -> Picture | None:
    """A picture under a heat map; None without a map."""
    return None if heat is None else picture(blend(image, heat, spec), alt, caption)
