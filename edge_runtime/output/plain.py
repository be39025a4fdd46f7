"""Text for people: characters that would move the cursor shown, columns that line up."""

from __future__ import annotations

import functools

#: C0 and C1 controls, line and paragraph separators, and the marks that turn the writing direction
#: (Unicode UAX 9), by which a name could pretend to be another.
_UNSAFE = ((0, 0x20), (0x7F, 0xA0), (0x2028, 0x202F), (0x2066, 0x206A))

_ELLIPSIS = "…"


def visible(text: str) -> str:
    """The text with control characters as Python's escapes, such as that of a line feed."""
    return text if text.isprintable() else text.translate(_shown())


@functools.cache
def _shown() -> dict[int, str]:
    codes = [code for first, end in _UNSAFE for code in range(first, end)]
    return {code: chr(code).encode("unicode_escape").decode() for code in codes}


def columns(text: str) -> int:
    """Columns of a terminal that a text takes: East Asian wide characters two, marks none.

    Unicode UAX 11; ambiguous characters count as narrow, as they are outside East Asian locales.
    """
    return len(text) if text.isascii() else sum(map(_columns, text))


def _columns(character: str) -> int:
    import unicodedata

    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def fitted(text: str, width: int, keep_end: bool = False) -> str:
    """A text in exactly so many columns: filled with blanks, or cut with an ellipsis.

    Args:
        text: Printable.
        width: At least 1.
        keep_end: Cut the beginning, which of a path says least.
    """
    room = width - columns(text)
    if room >= 0:
        return text + " " * room
    kept, left = [], width - 1
    for character in reversed(text) if keep_end else text:
        left -= _columns(character)
        if left < 0:
            left += _columns(character)
            break
        kept.append(character)
    inner = "".join(reversed(kept) if keep_end else kept)
    return (_ELLIPSIS + inner if keep_end else inner + _ELLIPSIS) + " " * left
