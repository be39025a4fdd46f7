"""A page's own files, packaged beside its module, read once and kept in memory."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from starlette.responses import Response

from .. import pages

#: What all pages have: colours and buttons, score bars, the icon.
_SHARED = Path(__file__).parent / "page"

_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".js": "text/javascript; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True)
class Asset:
    """One file.

    Attributes:
        body: Its bytes.
        content_type: Of HTTP.
    """

    body: bytes
    content_type: str

    def response(self, known: str | None) -> Response:
        """What answers a browser.

        Args:
            known: Its ``If-None-Match``: entity tags of what it has already.
        """
        tag = f'"{hashlib.sha256(self.body).hexdigest()[:24]}"'
        # Kept, and asked for again each time: an update is seen at once.
        headers = {"etag": tag, "cache-control": "no-cache"}
        if known is not None and tag in [part.strip() for part in known.split(",")]:
            return Response(status_code=304, headers=headers)
        return Response(self.body, headers=headers, media_type=self.content_type)


def read_assets(folder: Path) -> dict[str, Asset]:
    """All files of a folder that a browser may ask for, by their names.

    Args:
        folder: Of the package; only files of known types count.
    """
    return {
        file.name: Asset(file.read_bytes(), _TYPES[file.suffix])
        for file in sorted(folder.iterdir())
        if file.suffix in _TYPES
    }


def page_assets(folder: Path) -> dict[str, Asset]:
    """The files of a page, and with them those that all pages share.

    Args:
        folder: Of the package, with ``index.html`` and ``page.css``.

    Returns:
        By their names; ``page.css`` holds what is common to all pages, too.
    """
    found = read_assets(_SHARED) | read_assets(folder)
    del found["parts.css"]
    style = pages.style(_SHARED / "parts.css").encode() + found["page.css"].body
    return found | {"page.css": Asset(style, _TYPES[".css"])}
