"""A request's body, read within limits: none of them trusts what the client says of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..web.asgi import Receive, Scope, header
from .problems import ClientGone, Problem, busy


class Budget:
    """Bytes of all bodies that are held at once; used by the event loop alone."""

    def __init__(self, total: int) -> None:
        """Nothing is held yet."""
        self._total = total
        self.held = 0

    @contextmanager
    def share(self) -> Iterator[_Share]:
        """A share for one request, given back at the end."""
        share = _Share(self)
        try:
            yield share
        finally:
            self.held -= share.taken

    def take(self, count: int) -> None:
        """Take bytes, or refuse the request with 503."""
        if self.held + count > self._total:
            raise busy("Too much is being sent to this server at once. Try again.")
        self.held += count


class _Share:
    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self.taken = 0

    def take(self, count: int) -> None:
        self._budget.take(count)
        self.taken += count


def check_head(scope: Scope, limit: int) -> None:
    """Refuse a body by what its headers say, before any of it is read.

    Raises:
        Problem: 413 for one that says that it is too long, 415 for a compressed one: how much it
            unpacks to is not known before.
    """
    coding = header(scope, b"content-encoding")
    if coding is not None and coding.strip().lower() not in (b"", b"identity"):
        raise Problem(
            415,
            "Compressed bodies (Content-Encoding) are not taken. Send it as it is: photos are "
            "compressed already.",
            {"accept-encoding": "identity"},
        )
    stated = header(scope, b"content-length")
    if stated is not None and stated.isdigit() and int(stated) > limit:
        raise _too_long(limit)


async def read_body(receive: Receive, limit: int, share: _Share) -> bytearray:
    """All of it.

    Args:
        receive: As of ASGI.
        limit: Bytes at most, whatever Content-Length said.
        share: Of the bytes that are held at once.

    Raises:
        Problem: 413 for one that is too long, 503 where too much is held already.
        ClientGone: The client left before its end.
    """
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        chunk = message.get("body", b"")
        if len(body) + len(chunk) > limit:
            raise _too_long(limit)
        share.take(len(chunk))
        body += chunk
        if not message.get("more_body", False):
            return body


def _too_long(limit: int) -> Problem:
    return Problem(
        413,
        f"The body is longer than the {limit / (1 << 20):g} MiB that this server takes "
        "(--max-body-mb). Send smaller photos, or fewer at once.",
    )
