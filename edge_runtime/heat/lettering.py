"""Text on pictures: a font that has the characters, and lines that fit.

Pillow brings one font, for Latin letters. Other scripts take a font of the system, found by its
usual name, or the one that the environment variable EDGE_CLASSIFY_FONT names.
"""

from __future__ import annotations

import functools
import logging
import os
import unicodedata
from typing import Any

from PIL import ImageFont

_log = logging.getLogger("edge_runtime")

#: Names the font file to be used before all others.
FONT_VARIABLE = "EDGE_CLASSIFY_FONT"

#: Fonts of many scripts, as Debian, macOS and Windows name them; Pillow knows the folders.
_SYSTEM_FONTS = (
    "DejaVuSans.ttf", "NotoSans-Regular.ttf", "NotoSansCJK-Regular.ttc", "NotoSerifCJK-Regular.ttc",
    "NotoSerifCJK-Bold.ttc", "wqy-microhei.ttc", "NotoSansArabic-Regular.ttf",
    "NotoSansDevanagari-Regular.ttf", "Arial Unicode.ttf", "msyh.ttc", "arial.ttf",
)  # fmt: skip

#: Size in pixels at which a font is asked for its glyphs.
_PROBE = 20


def drawable(text: str, otherwise: str) -> tuple[str, str | None]:
    """A text that can be drawn, and the font for it.

    Args:
        text: Any text; line breaks and control characters become blanks.
        otherwise: What stands for a text that no font of this system can draw.

    Returns:
        The text, without its accents where no font has them, and the font's file; None for the
        font that comes with Pillow.
    """
    clean = "".join(c if c.isprintable() else " " for c in text)
    clean = " ".join(clean.split())
    bare = "".join(c for c in unicodedata.normalize("NFKD", clean) if not unicodedata.combining(c))
    for candidate in (unicodedata.normalize("NFC", clean), bare):
        characters = frozenset(c for c in candidate if not c.isspace())
        found, file = _font_with(characters, os.environ.get(FONT_VARIABLE))
        if found:
            return candidate, file
    _say_once()
    return otherwise, None


def font(file: str | None, size: int) -> Any:
    """A font in a size in pixels; None for the one that comes with Pillow."""
    if file is not None:
        return ImageFont.truetype(file, size)
    try:
        return ImageFont.load_default(size)
    except (TypeError, ImportError):  # before Pillow 10.1 (Debian 12) that font has one size
        return _any_of_the_system(size)


def _any_of_the_system(size: int) -> Any:
    """A font of the system; where there is none, Pillow's small one, enlarged."""
    for name in _SYSTEM_FONTS:
        try:
            return ImageFont.truetype(name, size)
        except (OSError, ImportError):  # ImportError: a Pillow without FreeType
            continue
    from .bitmap_font import BitmapFont

    return BitmapFont(size)


def wrap(text: str, face: Any, width: float, lines: int) -> list[str]:
    """Break a text into lines; what does not fit into the last one ends with three dots.

    Args:
        text: The text.
        face: A font of :func:`font`.
        width: Of a line, in pixels.
        lines: How many at most.
    """
    found: list[str] = []
    rest = text
    while rest and len(found) < lines - 1 and face.getlength(rest) > width:
        count = _fitting(rest, face, width, "")
        blank = rest.rfind(" ", 0, count + 1)
        count = blank if blank > 0 else count
        found.append(rest[:count].rstrip())
        rest = rest[count:].lstrip()
    if rest and face.getlength(rest) > width:
        rest = rest[: _fitting(rest, face, width, "...")].rstrip() + "..."
    return [*found, rest] if rest else found


def _fitting(text: str, face: Any, width: float, tail: str) -> int:
    """Characters of a text that fit into a line with a tail; at least one."""
    low, high = 1, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if face.getlength(text[:middle] + tail) <= width:
            low = middle
        else:
            high = middle - 1
    return low


@functools.lru_cache(maxsize=512)
def _font_with(characters: frozenset[str], own: str | None) -> tuple[bool, str | None]:
    """Whether any font has all characters, and its file."""
    for file in (own, None, *_SYSTEM_FONTS) if own else (None, *_SYSTEM_FONTS):
        try:
            face = font(file, _PROBE)
        except OSError:
            if file is not None and file == own:
                _log.warning("%s=%s: not a font that can be read; ignored.", FONT_VARIABLE, own)
            continue
        if _has(face, characters):
            return True, file
    return False, None


def _has(face: Any, characters: frozenset[str]) -> bool:
    """Whether a font has glyphs of its own: those that it lacks look like that of U+10FFFF."""
    missing = _look(face, "\U0010ffff")
    return all(_look(face, c) != missing for c in characters)


def _look(face: Any, character: str) -> tuple[Any, bytes]:
    mask = face.getmask(character)
    return mask.size, bytes(mask)


@functools.lru_cache(maxsize=1)
def _say_once() -> None:
    _log.warning(
        "No font here has the characters of this label, so the picture gives its number. "
        "Install one (Debian: fonts-noto-cjk, fonts-dejavu), or name one in %s.",
        FONT_VARIABLE,
    )
