"""Cross-origin requests (Fetch standard, 3.2): refused, but from the origins that were named."""

from __future__ import annotations

from ..web.asgi import App, Headers, Message, Receive, Scope, Send, header
from ..web.guards import OriginGuard
from .problems import Problems

#: What a page of another origin may send and read.
_ALLOWED = "GET, HEAD, POST"
_HEADERS = "authorization, content-type, inference-header-content-length"
_EXPOSED = "retry-after, inference-header-content-length"

#: Seconds that a browser remembers a preflight's answer.
_MAX_AGE = "600"


class Cors:
    """Lets pages of named origins in; the token is asked of them all the same.

    What is raised or refused below becomes a :class:`.problems.Problem` here.
    """

    def __init__(self, app: App, origins: tuple[str, ...]) -> None:
        """Wrap an application.

        Args:
            app: What answers.
            origins: Exactly as browsers send them: ``https://example.org``.
        """
        # What is refused below is an answer too: without these headers a page could not read it.
        self._app, self._guarded = Problems(app), Problems(OriginGuard(app))
        self._origins = {origin.encode() for origin in origins}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a preflight, or pass a request on."""
        origin = header(scope, b"origin") if scope["type"] == "http" else None
        if origin not in self._origins or origin is None:
            await self._guarded(scope, receive, send)
            return
        own: Headers = [
            (b"access-control-allow-origin", origin),
            (b"access-control-expose-headers", _EXPOSED.encode()),
            (b"vary", b"origin"),
        ]
        if scope["method"] == "OPTIONS" and header(scope, b"access-control-request-method"):
            own += [
                (b"access-control-allow-methods", _ALLOWED.encode()),
                (b"access-control-allow-headers", _HEADERS.encode()),
                (b"access-control-max-age", _MAX_AGE.encode()),
            ]
            await send({"type": "http.response.start", "status": 204, "headers": own})
            await send({"type": "http.response.body", "body": b""})
            return

        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *own]
            await send(message)

        await self._app(scope, receive, marked)
