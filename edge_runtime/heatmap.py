"""Draw a heat map over the photo that it explains. Plain numpy and Pillow."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from .manifest import PreprocessSpec
from .preprocess import visible_box

#: Anchors of the colour scale from cold to hot (RGB), of matplotlib's "inferno".
_ANCHORS = np.array(
    [
        [0, 0, 4],
        [40, 11, 84],
        [101, 21, 110],
        [159, 42, 99],
        [212, 72, 66],
        [245, 125, 21],
        [250, 193, 39],
        [252, 255, 164],
    ],
    np.float32,
)

#: Pictures are enlarged to at least this many pixels on the longer side, so that the map on a
#: thumbnail can be read.
_MIN_SIDE = 384


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


def colorize(heat: np.ndarray) -> np.ndarray:
    """Colours of heat values.

    Args:
        heat: float (h, w), 0..1.

    Returns:
        uint8 (h, w, 3) RGB.
    """
    position = np.clip(heat, 0, 1) * (len(_ANCHORS) - 1)
    stops = np.arange(len(_ANCHORS))
    channels = [np.interp(position, stops, _ANCHORS[:, c]) for c in range(3)]
    colors: np.ndarray = np.stack(channels, axis=-1).round().astype(np.uint8)
    return colors


def normalize(heatmap: np.ndarray) -> np.ndarray:
    """Scale a map to 0..1 by its maximum; an all-zero map stays zero.

    Args:
        heatmap: float (h, w), >= 0.
    """
    peak = float(heatmap.max(initial=0.0))
    result: np.ndarray = heatmap / peak if peak > 0 else np.zeros_like(heatmap)
    return result


def spread(heatmap: np.ndarray, size: tuple[int, int], spec: PreprocessSpec) -> np.ndarray:
    """Lay a map over the part of the photo that the network saw; the rest stays cold.

    Args:
        heatmap: float (h', w'), any range.
        size: (width, height) of the upright photo in pixels.
        spec: The preprocessing that the network saw the photo through.

    Returns:
        float32 (height, width), 0..1.
    """
    left, top, right, bottom = (round(edge) for edge in visible_box(size, spec))
    inner = Image.fromarray(normalize(heatmap).astype(np.float32))
    inner = inner.resize((max(1, right - left), max(1, bottom - top)), Image.Resampling.BICUBIC)
    canvas = Image.new("F", size)
    canvas.paste(inner, (left, top))
    values: np.ndarray = np.clip(np.asarray(canvas), 0.0, 1.0)
    return values


def blend(photo: Image.Image, heatmap: np.ndarray, spec: PreprocessSpec) -> Image.Image:
    """The photo with the map over it.

    Args:
        photo: Upright RGB photo.
        heatmap: float (h', w'), >= 0.
        spec: The preprocessing that the network saw the photo through.

    Returns:
        RGB picture of the photo's size.
    """
    heat = spread(heatmap, photo.size, spec)
    strength = (0.2 + 0.6 * heat)[..., None]  # the photo stays visible, coldest parts darkened
    mixed = np.asarray(photo) * (1 - strength) + colorize(heat) * strength
    return Image.fromarray(mixed.round().astype(np.uint8))


def overlay(
    photo: Image.Image, heatmap: np.ndarray, spec: PreprocessSpec, caption: str
) -> Image.Image:
    """The photo beside itself with the map over it, a caption and a colour scale below.

    Args:
        photo: Upright RGB photo.
        heatmap: float (h', w'), >= 0.
        spec: The preprocessing that the network saw the photo through.
        caption: Line of text, e.g. label and score.

    Returns:
        RGB picture of twice the photo's width; thumbnails are enlarged first.
    """
    factor = max(1.0, _MIN_SIDE / max(photo.size))
    size = (max(1, round(photo.width * factor)), max(1, round(photo.height * factor)))
    base = photo.resize(size, Image.Resampling.BICUBIC) if size != photo.size else photo
    font_size = max(14, size[0] // 28)
    bar = 3 * font_size
    sheet = Image.new("RGB", (2 * size[0], size[1] + bar), "white")
    sheet.paste(base, (0, 0))
    sheet.paste(blend(base, heatmap, spec), (size[0], 0))
    _legend(sheet, size, bar, font_size, caption)
    return sheet


def _legend(
    sheet: Image.Image, size: tuple[int, int], bar: int, font_size: int, caption: str
) -> None:
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(font_size)
    middle = size[1] + bar // 2
    while font_size > 8 and draw.textlength(caption, font=font) > size[0] - font_size:
        font_size -= 1
        font = ImageFont.load_default(font_size)
    draw.text((font_size // 2, middle), caption, fill="black", font=font, anchor="lm")
    margin = round(draw.textlength("less", font=font)) + font_size
    width, height = max(1, size[0] - 2 * margin), font_size
    scale = np.tile(np.linspace(0, 1, width, dtype=np.float32), (height, 1))
    corner = (size[0] + margin, middle - height // 2)
    sheet.paste(Image.fromarray(colorize(scale)), corner)
    left, right = corner[0] - font_size // 2, corner[0] + width + font_size // 2
    draw.text((left, middle), "less", fill="black", font=font, anchor="rm")
    draw.text((right, middle), "more", fill="black", font=font, anchor="lm")
