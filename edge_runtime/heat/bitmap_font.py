"""Pillow's oldest font, for systems that have no other: 11 pixels high, Latin letters, no sizes."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

#: Pixels from top to bottom.
_HEIGHT = 11

#: Stands for what the font has no bitmap of.
_MISSING = "\x7f"


class BitmapFont:
    """It, enlarged by a whole factor; what :mod:`.lettering` and ``ImageDraw.text`` ask of a font."""

    def __init__(self, size: int) -> None:
        """Take the largest factor that stays within ``size`` pixels, at least 1."""
        self._font = _plain()
        self._factor = max(1, size // _HEIGHT)

    def getlength(self, text: str, *args: Any, **options: Any) -> float:
        """Width of a text, pixels."""
        return float(self._font.getlength(_latin(text)) * self._factor)

    def getbbox(self, text: str, *args: Any, **options: Any) -> tuple[int, int, int, int]:
        """(left, top, right, bottom) of a text, pixels."""
        return 0, 0, round(self.getlength(text)), _HEIGHT * self._factor

    def getmetrics(self) -> tuple[int, int]:
        """Pixels above and below the baseline."""
        below = 2 * self._factor
        return _HEIGHT * self._factor - below, below

    def getmask(self, text: str, mode: str = "", *args: Any, **options: Any) -> Any:
        """Pillow's own kind of picture of a text, mode L."""
        width = max(1, int(self._font.getlength(_latin(text))))
        picture = Image.new("L", (width, _HEIGHT))
        ImageDraw.Draw(picture).text((0, 0), _latin(text), fill=255, font=self._font)
        blocks = np.ones((self._factor, self._factor), np.uint8)
        return Image.fromarray(np.kron(np.asarray(picture), blocks)).im

    def getmask2(
        self, text: str, mode: str = "", *args: Any, anchor: str | None = None, **options: Any
    ) -> tuple[Any, tuple[int, int]]:
        """The same, and where it goes: of the anchors ``l`` and ``r``, and ``a`` and ``m``."""
        mask = self.getmask(text)
        width, height = mask.size
        left, top = (anchor or "la")[:1], (anchor or "la")[1:]
        return mask, (-width if left == "r" else 0, -height // 2 if top == "m" else 0)


def _plain() -> Any:
    load = getattr(ImageFont, "load_default_imagefont", ImageFont.load_default)
    return load()


def _latin(text: str) -> str:
    return "".join(c if " " <= c <= "~" or "\xa1" <= c <= "\xff" else _MISSING for c in text)
