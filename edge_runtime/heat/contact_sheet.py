"""Many heat maps in one picture: a grid of small overlays, each with its label and file."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from ..errors import UsageError
from ..heatmap import Explanation, blend, enlarged
from ..manifest import PreprocessSpec
from ..pictures import thumbnail
from ..preprocess import Photo, Roi
from .colormaps import DEFAULT, table
from .lettering import drawable, font, wrap

#: Longer side of a photo in the sheet, pixels, and the longest side of the sheet, which bounds it.
_SIDE, _WIDEST = 320, 6000

#: More pictures than this are too small to be read.
MOST_CELLS = 400

_TEXT, _SMALL, _GAP, _BAR = 15, 12, 10, 18
_GREY = (96, 96, 96)


@dataclass(frozen=True)
class Cell:
    """One photo of a sheet.

    Attributes:
        picture: The small photo under its map.
        label: What was explained, and its score.
        name: The photo's name.
    """

    picture: Image.Image
    label: str
    name: str


def check_count(count: int) -> None:
    """Raise UsageError for more pictures than a sheet can show."""
    if count > MOST_CELLS:
        raise UsageError(
            f"{count} pictures do not fit into one contact sheet, {MOST_CELLS} do. "
            "Name fewer photos, or a folder for one file each."
        )


def cell(
    photo: Photo,
    name: str,
    explanation: Explanation,
    spec: PreprocessSpec,
    *,
    count: int = 1,
    roi: Roi | None = None,
    colormap: str = DEFAULT,
) -> Cell:
    """The small overlay of a photo.

    Args:
        photo: The photo.
        name: What it is called below.
        explanation: Map, label and score.
        spec: The preprocessing that the network saw the photo through.
        count: How many cells the sheet will have: many are drawn smaller.
        roi: The part of the photo that was looked at; None for all of it.
        colormap: One of :data:`edge_runtime.heat.colormaps.COLORMAPS`.

    Raises:
        ImageError: The photo cannot be read.
    """
    small = thumbnail(photo, _side(count))
    small = enlarged(small, _side(count) // max(small.size))
    label, _ = drawable(explanation.label, f"class {explanation.index}")
    return Cell(
        blend(small, explanation.heatmap, spec, roi, colormap),
        f"{label} {explanation.score:.3f}",
        os.path.basename(name),
    )


def contact_sheet(cells: list[Cell], caption: str, colormap: str = DEFAULT) -> Image.Image:
    """Draw the grid.

    Args:
        cells: At least one.
        caption: One line below it, e.g. model and method.
        colormap: The one that the cells were drawn with.

    Returns:
        RGB picture, its sides at most about 6000 pixels.
    """
    check_count(len(cells))
    side, columns = _side(len(cells)), _columns(len(cells))
    rows = math.ceil(len(cells) / columns)
    step = (side + _GAP, side + _GAP + 2 * _TEXT + 2 * _SMALL)
    width = max(columns * step[0] + _GAP, _SIDE + 2 * _GAP)
    sheet = Image.new("RGB", (width, rows * step[1] + 2 * _GAP + 3 * _BAR), "white")
    draw = ImageDraw.Draw(sheet)
    for number, item in enumerate(cells):
        x, y = _GAP + number % columns * step[0], _GAP + number // columns * step[1]
        # At the bottom of its square, next to its caption.
        corner = (x + (side - item.picture.width) // 2, y + side - item.picture.height)
        sheet.paste(item.picture, corner)
        y += side + 3
        for text, size, color in ((item.label, _TEXT, "black"), (item.name, _SMALL, _GREY)):
            shown, file = drawable(text, "?")
            face = font(file, size)
            for line in wrap(shown, face, side, 1):
                draw.text((x, y), line, fill=color, font=face)
            y += size + 4
    _footer(sheet, draw, rows * step[1] + _GAP, caption, colormap)
    return sheet


def _footer(
    sheet: Image.Image, draw: ImageDraw.ImageDraw, y: int, caption: str, colormap: str
) -> None:
    face = font(None, _SMALL)
    bar = Image.fromarray(np.repeat(table(colormap)[None, ::2], _BAR // 2, axis=0))
    draw.text((_GAP, y), "0", fill=_GREY, font=face)
    sheet.paste(bar, (_GAP + 14, y + 3))
    draw.text((_GAP + 150, y), "strongest, of each photo", fill=_GREY, font=face)
    shown, file = drawable(caption, "")
    face = font(file, _SMALL)
    for line in wrap(shown, face, sheet.width - 2 * _GAP, 2):
        y += _BAR
        draw.text((_GAP, y), line, fill=_GREY, font=face)


def _columns(count: int) -> int:
    return math.ceil(math.sqrt(count))


def _side(count: int) -> int:
    return max(96, min(_SIDE, _WIDEST // _columns(count) - _GAP))
