"""Draw a heat map over the photo that it explains. Plain numpy and Pillow.

A map is enlarged and mixed into the photo a strip of rows at a time, so that drawing needs little
more memory than the decoded photo itself: for 12 megapixels two pictures of 36 MB.
"""

from __future__ import annotations

import functools
import logging
import math
import os
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from .errors import UsageError
from .heat.colormaps import DEFAULT, colorize, table
from .manifest import PreprocessSpec
from .preprocess import Photo, Roi, load_upright, visible_box

__all__ = ["Explanation", "blend", "colorize", "draw_overlay", "normalize", "save_overlay"]

_log = logging.getLogger("edge_runtime")

#: Smaller photos are enlarged by a whole factor to this many pixels on the longer side: a heat
#: map on a thumbnail cannot be read.
_MIN_SIDE = 256

#: Share of the colour where the map is cold, and where it is hottest.
_COLD, _HOT = 0.25, 0.70

#: Share of the photo's own colours that is taken out under the map: a lemon is as yellow as heat.
_FADED = 0.6

#: Brightness that is left of what the network did not see.
_UNSEEN = 0.45

#: Pixels that are worked on at once.
_STRIP = 1 << 20

_JPEG_QUALITY = 90


@dataclass(frozen=True)
class Explanation:
    """Where the network looked in one photo for one class.

    Attributes:
        heatmap: float32 (h', w') of the feature map, >= 0, not normalised.
        index: Class index that was explained.
        label: Its name.
        score: Its probability, 0..1.
    """

    heatmap: np.ndarray
    index: int
    label: str
    score: float


def normalize(heatmap: np.ndarray) -> np.ndarray:
    """Scale a map to 0..1 by its maximum; an all-zero map stays zero.

    Args:
        heatmap: float (h, w), >= 0.
    """
    peak = float(heatmap.max(initial=0.0))
    result: np.ndarray = heatmap / peak if peak > 0 else np.zeros_like(heatmap)
    return result


def seen_box(
    size: tuple[int, int], spec: PreprocessSpec, roi: Roi | None = None
) -> tuple[float, float, float, float]:
    """The part of an upright photo that lies under the map.

    Args:
        size: (width, height) of the photo in pixels.
        spec: The preprocessing that the network saw the photo through.
        roi: The part of the photo that was looked at; None for all of it.

    Returns:
        (left, top, right, bottom) in the photo's pixels; with ``pad`` it reaches beyond them.
    """
    if roi is None:
        return visible_box(size, spec)
    # Whole pixels, as the preprocessing cuts them.
    x0, y0, x1, y1 = _cut_out(size, roi)
    left, top, right, bottom = visible_box((x1 - x0, y1 - y0), spec)
    # With `pad` the frame around the region is black to the network, whatever the photo has there.
    return left + x0, top + y0, right + x0, bottom + y0


def blend(
    photo: Image.Image,
    heatmap: np.ndarray,
    spec: PreprocessSpec,
    roi: Roi | None = None,
    colormap: str = DEFAULT,
) -> Image.Image:
    """The photo with the map over it; what the network did not see is grey and dim.

    Args:
        photo: Upright RGB photo.
        heatmap: float (h', w'), >= 0.
        spec: The preprocessing that the network saw the photo through.
        roi: The part of the photo that was looked at; None for all of it.
        colormap: One of :data:`edge_runtime.heat.colormaps.COLORMAPS`.

    Returns:
        RGB picture of the photo's size.
    """
    picture = photo.copy()
    _mix(picture, photo.size, heatmap, spec, roi, colormap)
    return picture


def draw_overlay(
    photo: Image.Image,
    explanation: Explanation,
    spec: PreprocessSpec,
    *,
    roi: Roi | None = None,
    caption: str | None = None,
    colormap: str = DEFAULT,
) -> Image.Image:
    """The photo under its heat map in its own resolution, and a legend below.

    Args:
        photo: Upright RGB photo.
        explanation: Map, label and score.
        spec: The preprocessing that the network saw the photo through.
        roi: The part of the photo that was looked at; None for all of it.
        caption: One more line of the legend, e.g. the model.
        colormap: One of :data:`edge_runtime.heat.colormaps.COLORMAPS`.

    Returns:
        RGB picture: the photo's pixels in the upper left corner (enlarged by a whole factor where
        its longer side is under 256), and below them the legend, at least 320 wide.
    """
    from .heat.legend import MIN_WIDTH, font_size, legend

    factor = max(1, math.ceil(_MIN_SIDE / max(photo.size)))
    size = (photo.width * factor, photo.height * factor)
    width = max(size[0], MIN_WIDTH)
    strip = legend(
        width,
        font_size(size, width),
        explanation.label,
        explanation.index,
        explanation.score,
        caption,
        not explanation.heatmap.any(),
        colormap,
    )
    sheet = Image.new("RGB", (width, size[1] + strip.height), "white")
    sheet.paste(enlarged(photo, factor), (0, 0))
    _mix(sheet, size, explanation.heatmap, spec, roi, colormap)
    sheet.paste(strip, (0, size[1]))
    return sheet


def save_overlay(
    photo: Photo,
    explanation: Explanation,
    spec: PreprocessSpec,
    file: str | os.PathLike[str],
    *,
    roi: Roi | None = None,
    caption: str | None = None,
    colormap: str = DEFAULT,
    overwrite: bool = False,
) -> None:
    """Write :func:`draw_overlay` of a photo, which is decoded in full for it.

    Args:
        photo: The photo, as for :func:`edge_runtime.preprocess.preprocess`.
        explanation: Map, label and score.
        spec: The preprocessing that the network saw the photo through.
        file: Name that ends in ``.png``, ``.jpg`` or ``.jpeg``; its folder has to be there.
        roi: The part of the photo that was looked at; None for all of it.
        caption: One more line of the legend, e.g. the model.
        colormap: One of :data:`edge_runtime.heat.colormaps.COLORMAPS`.
        overwrite: Whether an existing file is replaced.

    Raises:
        UsageError: The name ends otherwise.
        OutputExists: The file exists and ``overwrite`` is false.
        ImageError: The photo cannot be read.
    """
    check_picture_name(file)
    _warn_of_one_place(explanation.heatmap.shape)
    picture = draw_overlay(
        load_upright(photo), explanation, spec, roi=roi, caption=caption, colormap=colormap
    )
    save_picture(picture, file, overwrite)


@functools.cache
def _warn_of_one_place(shape: tuple[int, int]) -> None:
    """Once a process: the whole photo in one colour looks like a fault."""
    if max(shape) == 1:
        _log.warning(
            "the network's last feature map is 1 x 1, so the heat map is one colour: it takes too "
            "few pixels to tell where it looked. Train it with a larger --image-size."
        )


def check_picture_name(file: str | os.PathLike[str]) -> None:
    """Raise UsageError unless a file's name says that it is a PNG or a JPEG."""
    if not os.fspath(file).lower().endswith((".png", ".jpg", ".jpeg")):
        raise UsageError(f"{os.fspath(file)}: a name that ends in .png or .jpg was expected.")


def save_picture(picture: Image.Image, file: str | os.PathLike[str], overwrite: bool) -> None:
    """Write a picture as PNG or JPEG, whichever its name asks for, whole or not at all."""
    from .files import atomic_file

    check_picture_name(file)
    options: dict[str, Any] = {"format": "JPEG", "quality": _JPEG_QUALITY}
    if os.fspath(file).lower().endswith(".png"):
        options = {"format": "PNG", "compress_level": 1}  # a fifth of the time, a tenth more bytes
    with atomic_file(file, overwrite) as temporary:
        picture.save(temporary, **options)


def enlarged(photo: Image.Image, factor: int) -> Image.Image:
    """A photo each of whose pixels is a square of ``factor`` pixels; for people to look at."""
    if factor <= 1:
        return photo
    return photo.resize((photo.width * factor, photo.height * factor), Image.Resampling.NEAREST)


def _mix(
    picture: Image.Image,
    size: tuple[int, int],
    heatmap: np.ndarray,
    spec: PreprocessSpec,
    roi: Roi | None,
    colormap: str,
) -> None:
    """Mix a map into the upper left part of a picture, which is the photo, in place."""
    box = seen_box(size, spec, roi)
    edges = (0, 0, *size) if roi is None else _cut_out(size, roi)
    left, top = max(edges[0], round(box[0])), max(edges[1], round(box[1]))
    right, bottom = min(edges[2], round(box[2])), min(edges[3], round(box[3]))
    right, bottom = max(right, left + 1), max(bottom, top + 1)  # of photos a pixel wide
    for outside in (
        (0, 0, size[0], top), (0, bottom, *size), (0, top, left, bottom), (right, top, size[0], bottom)
    ):  # fmt: skip
        for part in _strips(outside):
            grey = picture.crop(part).convert("L").point(lambda value: value * _UNSEEN)
            picture.paste(grey.convert("RGB"), part)
    # In float: 8-bit resizing clips between its passes, which shows as seams between strips.
    levels = Image.fromarray((normalize(heatmap) * 255 + 0.5).astype(np.float32))
    palette = table(colormap).tobytes()
    strength = [round(255 * _COLD + (_HOT - _COLD) * level) for level in range(256)]
    for part in _strips((left, top, right, bottom)):
        heat = _enlarged(levels, box, part)
        mask = heat.point(strength)
        heat.putpalette(palette)
        seen = picture.crop(part)
        seen = Image.blend(seen, seen.convert("L").convert("RGB"), _FADED)
        seen.paste(heat.convert("RGB"), (0, 0), mask)
        picture.paste(seen, part)
    if (left, top, right, bottom) != (0, 0, *size):
        _outline(picture, (left, top, right, bottom), size)


def _enlarged(
    levels: Image.Image, box: tuple[float, float, float, float], part: tuple[int, int, int, int]
) -> Image.Image:
    """The map under a part of the photo; neighbouring parts fit without a seam."""
    across, down = levels.width / (box[2] - box[0]), levels.height / (box[3] - box[1])
    source = (
        max(0.0, (part[0] - box[0]) * across),
        max(0.0, (part[1] - box[1]) * down),
        min(float(levels.width), (part[2] - box[0]) * across),
        min(float(levels.height), (part[3] - box[1]) * down),
    )
    size = (part[2] - part[0], part[3] - part[1])
    return levels.resize(size, Image.Resampling.BICUBIC, box=source).convert("L")


def _strips(box: tuple[int, int, int, int]) -> list[tuple[int, int, int, int]]:
    left, top, right, bottom = box
    if right <= left:
        return []
    rows = max(1, _STRIP // (right - left))
    return [(left, y, right, min(y + rows, bottom)) for y in range(top, bottom, rows)]


def _cut_out(size: tuple[int, int], roi: Roi) -> tuple[int, int, int, int]:
    width, height = size
    return (
        math.floor(roi[0] * width),
        math.floor(roi[1] * height),
        math.ceil(roi[2] * width),
        math.ceil(roi[3] * height),
    )


def _outline(picture: Image.Image, box: tuple[int, int, int, int], size: tuple[int, int]) -> None:
    """A line around what the network saw, where that is not the edge of the photo."""
    line = max(1, round((size[0] * size[1]) ** 0.5 / 400))
    left, top, right, bottom = box
    draw = ImageDraw.Draw(picture)
    for edge, wanted in (
        ((left - line, top, left - 1, bottom - 1), left > 0),
        ((right, top, right + line - 1, bottom - 1), right < size[0]),
        ((left, top - line, right - 1, top - 1), top > 0),
        ((left, bottom, right - 1, bottom + line - 1), bottom < size[1]),
    ):
        if wanted:
            draw.rectangle(edge, fill="white")
