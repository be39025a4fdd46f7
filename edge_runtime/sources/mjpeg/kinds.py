"""What a URL gives, by its headers, and by its first bytes where those say nothing."""

from __future__ import annotations

import re
from collections.abc import Callable

from ..base import SourceLost
from .answer import Answer
from .jpeg import OPENING
from .parts import Parts, Pictures

#: Types of a body that is JPEGs, one or several one behind the other.
_JPEG = {"image/jpeg", "image/jpg", "image/pjpeg", "video/x-motion-jpeg", "video/x-mjpeg",
         "video/mjpeg", "video/x-jpeg", "image/x-jpeg"}  # fmt: skip

#: Types that say nothing.
_VAGUE = {"", "application/octet-stream", "binary/octet-stream", "application/x-unknown"}

#: Types of what is no stream of any kind.
_PAGE = {"text/html", "text/plain", "text/xml", "application/json", "application/xml",
         "application/xhtml+xml"}  # fmt: skip

_BOUNDARY = re.compile(r";\s*boundary\s*=\s*(?:\"((?:[^\"\\]|\\.)*)\"|([^;\s]+))", re.IGNORECASE)
_FIRST_LINE = re.compile(rb"\s*--([^\s-][^\r\n]{0,69})\r?\n")


def splitter_of(answer: Answer, more: Callable[[], bytes]) -> tuple[Pictures, bool] | None:
    """How pictures are cut out of a body.

    Args:
        answer: Its headers, and what of the body has arrived.
        more: Waits for more bytes of the connection; nothing at its end.

    Returns:
        What cuts, and whether the body may be a single picture that wants to be asked for again;
        None for a body that is neither MJPEG nor JPEGs.

    Raises:
        SourceLost: It is a page.
    """
    text = answer.header("content-type")
    kind = text.partition(";")[0].strip().lower()
    if kind in _PAGE:
        raise SourceLost(
            f"the URL gives a page ({kind}) and no picture. Name the path of the camera's stream; "
            "its manual says which."
        )
    if kind.startswith("multipart/"):
        return _parts(_boundary(text)), False
    if kind in _JPEG:
        return Pictures(), True
    if kind not in _VAGUE:
        return None
    first = answer.body.decode(answer.rest)
    while len(first) < 80 and not answer.body.ended:
        data = more()
        if not data:
            break
        first += answer.body.decode(data)
    answer.rest = b""
    line = _FIRST_LINE.match(first)
    if line is not None:
        return _begun(_parts(line[1].decode("latin-1")), first), False
    if first.startswith(OPENING):
        return _begun(Pictures(), first), True
    return None


def _begun(splitter: Pictures, first: bytes) -> Pictures:
    splitter.push_back(first)
    return splitter


def _parts(boundary: str) -> Pictures:
    """Without a boundary, pictures are told apart by their own markers."""
    return Parts(boundary) if boundary.strip("-") else Pictures()


def _boundary(text: str) -> str:
    found = _BOUNDARY.search(text)
    if found is None:
        return ""
    return found[2] or re.sub(r"\\(.)", r"\1", found[1] or "")
