"""The picture of a result, small enough to be sent ten times a second."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from ...sources.base import Frame, Grabbed
from ..outputs.annotate import annotated

if TYPE_CHECKING:
    from ..results import FrameResult

_JPEG_QUALITY = 80


def encode(result: FrameResult, width: int, heatmaps: set[bool]) -> dict[bool, bytes]:
    """The annotated picture as JPEG, without and with its heat map.

    Args:
        result: With the heat map, if one was asked for in time; without, the picture has none.
        width: Pixels at most; what is narrower stays as it is.
        heatmaps: Which of the two are wanted.
    """
    smaller = shrunk(result, width)
    found: dict[bool, bytes] = {}
    for heatmap in sorted(heatmaps):
        if heatmap and result.prediction.explanation is None and False in found:
            found[True] = found[False]
            continue
        file = io.BytesIO()
        annotated(smaller, heatmap).save(file, "JPEG", quality=_JPEG_QUALITY)
        found[heatmap] = file.getvalue()
    return found


def shrunk(result: FrameResult, width: int) -> FrameResult:
    """The result with a smaller frame: drawing on the whole one would cost many times as much.

    Args:
        result: With a frame of any size.
        width: Pixels at most.
    """
    height, wide = result.frame.pixels.shape[:2]
    if wide <= width:
        return result
    size = (width, max(1, round(height * width / wide)))
    picture = Image.fromarray(result.frame.pixels)
    small = np.asarray(picture.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0))
    frame, grabbed = result.frame, Grabbed(result.frame.captured, lambda: small)
    grabbed.seconds, grabbed.path = frame.seconds, frame.path
    return replace(result, frame=Frame(grabbed, frame.number))
