"""Heat maps as an answer carries them."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from ..heatmap import Explanation
    from ..manifest import PreprocessSpec
    from ..preprocess import Roi

#: Pixels of the longer side of an overlay; it is for people, and goes through JSON.
_SIDE = 1024

_JPEG_QUALITY = 85


def overlay(
    photo: memoryview, explanation: Explanation, spec: PreprocessSpec, roi: Roi | None
) -> dict[str, Any]:
    """The photo under its map, as ``edge-classify image --heatmap`` draws it.

    Returns:
        ``kind``: ``overlay``, and ``picture``: a ``data:`` address of a JPEG.
    """
    from ..heatmap import draw_overlay
    from ..preprocess import load_upright

    picture = load_upright(photo, (_SIDE, _SIDE))
    picture.thumbnail((_SIDE, _SIDE), Image.Resampling.BILINEAR)
    drawn = draw_overlay(picture, explanation, spec, roi=roi)
    return {"kind": "overlay", "picture": _address(drawn, "JPEG")}


def raw_map(
    photo: memoryview, explanation: Explanation, spec: PreprocessSpec, roi: Roi | None
) -> dict[str, Any]:
    """The map itself, for who draws it over the photo himself.

    Returns:
        ``kind``: ``map``; ``width`` and ``height`` of the map; ``values``: its rows, 0 and above;
        ``peak``: the largest; ``box``: left, top, right, bottom of what lies under it, as fractions
        of the upright photo (with ``pad`` beyond it); ``picture``: a ``data:`` address of its
        colours, a PNG of that many pixels.
    """
    from ..heat.colormaps import colorize
    from ..heatmap import normalize, seen_box
    from ..photos.decoding import decode

    heat = explanation.heatmap
    size = decode(photo, (64, 64)).size
    left, top, right, bottom = seen_box(size, spec, roi)
    colors = Image.fromarray(colorize(normalize(heat)))
    return {
        "kind": "map",
        "width": heat.shape[1],
        "height": heat.shape[0],
        "values": np.round(heat.astype(np.float64), 7).tolist(),
        "peak": float(heat.max(initial=0.0)),
        "box": [left / size[0], top / size[1], right / size[0], bottom / size[1]],
        "picture": _address(colors, "PNG"),
    }


def _address(picture: Image.Image, kind: str) -> str:
    file = io.BytesIO()
    options: dict[str, Any] = {"quality": _JPEG_QUALITY} if kind == "JPEG" else {}
    picture.save(file, kind, **options)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(file.getvalue()).decode()}"
