"""A page's own files, packaged beside its module, read once and kept in memory."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from .asgi import Receive, Scope, Send, header

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
    """One file, as a response of ASGI.

    Attributes:
        body: Its bytes.
        content_type: Of HTTP.
    """

    body: bytes
    content_type: str

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it, unless the browser has it already."""
        tag = b'"' + hashlib.sha256(self.body).hexdigest()[:24].encode() + b'"'
        known = [part.strip() for part in (header(scope, b"if-none-match") or b"").split(b",")]
        headers = [
            (b"content-type", self.content_type.encode()),
            (b"etag", tag),
            (b"cache-control", b"no-cache"),  # kept, and asked for again: an update is seen at once
        ]
        if tag in known:
            await send({"type": "http.response.start", "status": 304, "headers": headers})
            await send({"type": "http.response.body", "body": b""})
            return
        headers.append((b"content-length", str(len(self.body)).encode()))
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": self.body})


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
