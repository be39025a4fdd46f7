"""The strip below a heat map: label, score, and what the colours mean."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from .colormaps import table
from .lettering import drawable, font, wrap

#: Narrowest strip whose text can be read, pixels.
MIN_WIDTH = 320

_MIN_FONT, _GREY = 13, (96, 96, 96)


def font_size(size: tuple[int, int], width: int) -> int:
    """Pixels of the text below a picture: legible where the picture fills a screen.

    Args:
        size: (width, height) of the picture.
        width: Of the strip.
    """
    by_area = round(0.026 * math.sqrt(size[0] * size[1]))
    return max(_MIN_FONT, min(by_area, width // 22))


def legend(
    width: int,
    text_size: int,
    label: str,
    index: int,
    score: float,
    caption: str | None,
    empty: bool,
    colormap: str,
) -> Image.Image:
    """Draw the strip.

    Args:
        width: Pixels, at least :data:`MIN_WIDTH`.
        text_size: Pixels.
        label: Name of the explained class; two lines at most.
        index: Its index, which stands for a name that cannot be drawn.
        score: Its probability, 0..1.
        caption: One more line, e.g. the model; None for none.
        empty: Whether the map is zero everywhere.
        colormap: One of :data:`edge_runtime.heat.colormaps.COLORMAPS`.

    Returns:
        RGB picture of that width, as high as its text needs.
    """
    margin, small = text_size * 2 // 3, max(_MIN_FONT - 2, round(text_size * 0.75))
    inner = width - 2 * margin
    name, file = drawable(label, f"class {index}")
    face, plain = font(file, text_size), font(None, small)
    rows = _label_rows(name, f"  {score:.3f}", face, inner)
    note, note_face = "", plain
    if caption:
        note, note_file = drawable(caption, "")
        note_face = font(note_file, small)
    notes = wrap(note, note_face, inner, 2)
    line = max(round(text_size * 1.35), sum(face.getmetrics()))  # some fonts are taller than wide
    small_line = max(round(small * 1.4), sum(note_face.getmetrics()))
    meaning = wrap(
        "no part of the photo speaks for this class"
        if empty
        else "how strongly each part speaks for this class",
        plain,
        inner,
        2,
    )
    height = 2 * margin + len(rows) * line + line + (len(meaning) + len(notes)) * small_line
    strip = Image.new("RGB", (width, height), "white")
    draw, y = ImageDraw.Draw(strip), margin
    for row in rows:
        draw.text((margin, y), row, fill="black", font=face)
        y += line
    _scale(strip, draw, (margin, y, width - margin, y + text_size), plain, colormap)
    y += line
    for row in meaning:
        draw.text((margin, y), row, fill=_GREY, font=plain)
        y += small_line
    for row in notes:
        draw.text((margin, y), row, fill=_GREY, font=note_face)
        y += small_line
    return strip


def _label_rows(name: str, score: str, face: Any, width: float) -> list[str]:
    """The label in two rows at most, with the score behind it in any case."""
    rows = wrap(name + score, face, width, 2)
    if rows and rows[-1].endswith(score.strip()):
        return rows
    room = width - face.getlength(score)
    rows = wrap(name, face, room, 2)
    return [*rows[:-1], (rows[-1] if rows else "") + score]


def _scale(
    strip: Image.Image,
    draw: ImageDraw.ImageDraw,
    box: tuple[int, int, int, int],
    face: Any,
    colormap: str,
) -> None:
    """A bar of all colours between its ends' names."""
    left, top, right, bottom = box
    cold, hot = "0", "strongest"
    gap = (bottom - top) // 2
    start = left + round(draw.textlength(cold, font=face)) + gap
    end = right - round(draw.textlength(hot, font=face)) - gap
    colors = table(colormap)[np.linspace(0, 255, max(1, end - start)).round().astype(int)]
    bar = Image.fromarray(np.broadcast_to(colors, (bottom - top, *colors.shape)).copy())
    strip.paste(bar, (start, top))
    middle = (top + bottom) // 2
    draw.text((left, middle), cold, fill=_GREY, font=face, anchor="lm")
    draw.text((right, middle), hot, fill=_GREY, font=face, anchor="rm")
