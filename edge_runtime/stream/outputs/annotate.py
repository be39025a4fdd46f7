"""What a frame's answer looks like on the frame: label, score, state and age, and the heat map.

A band of fixed darkness lies under the text, so that it can be read on a bright picture as on a
dark one; its size follows the picture's.
"""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Any

from PIL import Image, ImageDraw

from ...heat.lettering import drawable, font, wrap
from ..results import FrameResult

if TYPE_CHECKING:
    from ...manifest import PreprocessSpec
    from ...preprocess import Roi

#: Smallest text that can be read on a picture of its own size, pixels.
_MIN_TEXT = 12

#: Text height as a share of the square root of the picture's area.
_SHARE = 0.032

#: Brightness that is left of the picture under the text.
_DIMMED = 0.3

#: Of a label that stands, of an unknown one, and of none yet; of the second line.
_CERTAIN, _UNKNOWN, _NONE = (124, 232, 150), (255, 196, 84), (200, 200, 200)
_SECOND = (225, 225, 225)


def annotated(
    result: FrameResult,
    heatmap: bool = False,
    *,
    spec: PreprocessSpec | None = None,
    roi: Roi | None = None,
) -> Image.Image:
    """The frame of a result with its answer written on it.

    Args:
        result: With or without a steady label; without one the frame's own answer is written.
        heatmap: Whether the heat map is drawn over the frame, where the result has one.
        spec: The preprocessing that the network saw the frame through, which says where the map
            lies; None for the result's own, or the whole frame.
        roi: The part of the frame that was looked at; None for the result's own, or all of it.

    Returns:
        RGB picture of the frame's size.
    """
    picture = Image.fromarray(result.frame.pixels)
    explanation = result.prediction.explanation
    if heatmap and explanation is not None:
        from ...heatmap import blend

        spec, roi = spec or result.spec, roi or result.roi
        picture = blend(picture, explanation.heatmap, spec or _whole(), roi)
    else:
        picture = picture.copy()  # several outputs share the frame's pixels
    _write(picture, result)
    return picture


def headline(result: FrameResult) -> tuple[str, float | None, tuple[int, int, int]]:
    """What is said first of a result: the state that stands, its score, its colour (RGB)."""
    steady, answer = result.steady, result.prediction
    if answer.error is not None:
        return "not readable", None, _UNKNOWN
    if steady is None:
        unknown = bool(answer.unknown)
        return "unknown" if unknown else answer.label or "", answer.score, _color(unknown)
    if steady.state is None:
        return "undecided", None, _NONE
    return steady.state, steady.score, _color(steady.unknown)


def second_line(result: FrameResult) -> str:
    """What is said below: this frame's own answer where another one stands, and its age."""
    answer, said = result.prediction, []
    if result.steady is not None and answer.label is not None:
        score = answer.score if answer.calibrated_score is None else answer.calibrated_score
        said.append(f"now {answer.label}" + ("" if score is None else f" {score:.2f}"))
    said.append(f"age {result.age_ms:.0f} ms")
    return ", ".join(said)


def _color(unknown: bool) -> tuple[int, int, int]:
    return _UNKNOWN if unknown else _CERTAIN


def _write(picture: Image.Image, result: FrameResult) -> None:
    width, height = picture.size
    size = round(_SHARE * math.sqrt(width * height))
    size = max(_MIN_TEXT, min(size, width // 14))
    small = max(_MIN_TEXT - 1, round(size * 0.7))
    margin, line = max(2, size // 2), max(2, size // 6)
    label, score, color = headline(result)
    said = "" if score is None else f"  {score:.2f}"
    number = result.prediction.index
    name, face = _lettered(label, f"class {number}" if number is not None else "?", size)
    below, face_below = _lettered(second_line(result), f"age {result.age_ms:.0f} ms", small)
    room = width - 2 * margin
    # The score is never cut: it is what tells two frames of one label apart.
    first = "".join(wrap(name, face, max(1, room - face.getlength(said)), 1)) + said
    second = "".join(wrap(below, face_below, max(1, room), 1))
    first_height, second_height = sum(face.getmetrics()), sum(face_below.getmetrics())
    needed = line + margin // 2 + first_height + second_height + margin // 2
    if needed > height // 2:  # a thumbnail: what it shows matters more
        second, needed = "", line + first_height
    top = max(0, height - needed)
    band = picture.crop((0, top, width, height)).point(lambda value: value * _DIMMED)
    picture.paste(band, (0, top))
    draw = ImageDraw.Draw(picture)
    if score is not None:
        filled = round(width * min(1.0, max(0.0, score)))
        draw.rectangle((0, top, max(0, filled - 1), top + line - 1), fill=color)
    y = top + line + (margin // 2 if second else 0)
    draw.text((margin, y), first, fill=color, font=face)
    if second:
        draw.text((margin, y + first_height), second, fill=_SECOND, font=face_below)


@functools.lru_cache(maxsize=64)
def _lettered(text: str, otherwise: str, size: int) -> tuple[str, Any]:
    """A text that can be drawn and its font; labels repeat from frame to frame."""
    name, file = drawable(text, otherwise)
    return name, _font(file, size)


@functools.lru_cache(maxsize=16)
def _font(file: str | None, size: int) -> Any:
    return font(file, size)


@functools.cache
def _whole() -> PreprocessSpec:
    """A preprocessing that sees the whole picture."""
    from ...manifest import PreprocessSpec

    return PreprocessSpec(1, 1, fit="stretch")
