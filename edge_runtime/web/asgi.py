"""What the layers around an application share (ASGI 3, https://asgi.readthedocs.io)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]


def header(scope: Scope, name: bytes) -> bytes | None:
    """The first header of a request with a name in lower case; None if there is none."""
    found: Headers = scope["headers"]
    return next((value for key, value in found if key == name), None)


async def respond(
    scope: Scope,
    send: Send,
    status: int,
    body: str,
    headers: Headers | None = None,
    kind: str = "plain",
) -> None:
    """Answer a request with a short text, or refuse a WebSocket.

    Args:
        scope: The request.
        send: As of ASGI.
        status: Of HTTP.
        body: The text.
        headers: Beside its type and length.
        kind: ``plain`` or ``html``.
    """
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})  # "policy violation"; HTTP 403
        return
    data = body.encode()
    sent = [
        (b"content-type", f"text/{kind}; charset=utf-8".encode()),
        (b"content-length", str(len(data)).encode()),
        (b"cache-control", b"no-store"),
        *(headers or []),
    ]
    await send({"type": "http.response.start", "status": status, "headers": sent})
    await send({"type": "http.response.body", "body": data})


async def gone(receive: Receive) -> None:
    """Return when the client has left."""
    while (await receive())["type"] != "http.disconnect":
        pass
