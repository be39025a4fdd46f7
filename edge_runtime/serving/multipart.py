"""``multipart/form-data`` (RFC 7578 on RFC 2046), of a body that is in memory and short enough.

Parts are views of the body: nothing is copied, and nothing is written to a disk.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from .problems import Problem

#: Bytes of a part's headers.
_MAX_HEADERS = 4096

#: Fields beside the photos: there are not that many names.
_MAX_FIELDS = 16

#: RFC 2046, 5.1.1: a boundary has 1 to 70 of these characters.
_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]\Z")

#: A parameter of a header: a token, or a quoted string.
_PARAMETER = re.compile(r';\s*([A-Za-z0-9!#$&+.^_`|~*-]+)\s*=\s*(?:"((?:\\.|[^"\\])*)"|([^\s;"]*))')

#: What a browser writes for what a quoted string of a form cannot hold (HTML, 4.10.21.8).
_ESCAPED = {"%22": '"', "%0D": "\r", "%0A": "\n"}


@dataclass(frozen=True)
class Part:
    """One field of a form.

    Attributes:
        name: Of the field.
        filename: Of the file, as the client calls it; None for a plain value.
        content: Its bytes.
    """

    name: str
    filename: str | None
    content: memoryview


def parameters(value: str) -> tuple[str, dict[str, str]]:
    """A header's value in lower case, and its parameters; of one that stands twice the first."""
    main, _, rest = value.partition(";")
    found: dict[str, str] = {}
    for name, quoted, token in _PARAMETER.findall(f";{rest}"):
        found.setdefault(name.lower(), re.sub(r"\\(.)", r"\1", quoted) if quoted else token)
    return main.strip().lower(), found


def parse(body: bytearray, boundary: str | None, max_photos: int) -> list[Part]:
    """The fields of a form, in their order.

    Args:
        body: All of it.
        boundary: The parameter of its type.
        max_photos: Parts with a file at most.

    Raises:
        Problem: 400 for what is no such form, 413 for too many parts.
    """
    if boundary is None or not _BOUNDARY.match(boundary):
        raise _broken("its Content-Type has no boundary of 1 to 70 characters")
    delimiter = b"--" + boundary.encode()
    view, photos = memoryview(body), 0
    parts: list[Part] = []
    at = 0 if body.startswith(delimiter) else body.find(b"\r\n" + delimiter) + 2
    if at == 1:
        raise _broken("the boundary of its Content-Type is not in it")
    while True:
        at += len(delimiter)
        if body[at : at + 2] == b"--":
            return parts
        line = body.find(b"\r\n", at, at + 256)
        if line < 0 or body[at:line].strip(b" \t"):
            raise _broken("a boundary's line does not end")
        if body.startswith(b"\r\n", line + 2):  # no headers at all
            raise _broken("a part has no Content-Disposition")
        end = body.find(b"\r\n\r\n", line, line + _MAX_HEADERS)
        if end < 0:
            raise _broken(f"a part's headers do not end within {_MAX_HEADERS} bytes")
        at = body.find(b"\r\n" + delimiter, end + 2)
        if at < 0:
            raise _broken("it ends inside a part")
        name, filename = _head(bytes(body[line + 2 : end]))
        photos += filename is not None
        if photos > max_photos:
            raise too_many(max_photos)
        if len(parts) - photos >= _MAX_FIELDS:
            raise Problem(413, f"The form has more than {_MAX_FIELDS} fields beside its photos.")
        parts.append(Part(name, filename, view[end + 4 : max(at, end + 4)]))
        at += 2


def too_many(limit: int) -> Problem:
    """413 for more photos than a request may have."""
    return Problem(
        413, f"More than the {limit} photos that a request may have (--max-photos). Send several."
    )


def _head(lines: bytes) -> tuple[str, str | None]:
    """Name of the field, and of the file."""
    found: dict[str, str] = {}
    for line in lines.decode("utf-8", "replace").split("\r\n"):
        key, colon, value = line.partition(":")
        if not colon or not key.strip():
            raise _broken("a part has a header line without a colon")
        found.setdefault(key.strip().lower(), value.strip())
    coding = found.get("content-transfer-encoding", "binary").lower()
    if coding not in ("binary", "8bit", "7bit"):
        raise _broken("a part has a Content-Transfer-Encoding; RFC 7578 has none")
    kind, named = parameters(found.get("content-disposition", ""))
    if kind != "form-data" or "name" not in named:
        raise _broken("a part has no Content-Disposition: form-data with a name")
    extended = named.get("filename*")
    if extended is not None and extended.lower().startswith("utf-8''"):  # RFC 8187
        return named["name"], unquote_to_bytes(extended[7:]).decode("utf-8", "replace")
    filename = named.get("filename")
    if filename is not None:
        for escaped, plain in _ESCAPED.items():
            filename = filename.replace(escaped, plain)
    return named["name"], filename


def _broken(what: str) -> Problem:
    return Problem(400, f"The body is no multipart/form-data: {what}.")
