"""Headers that tell a browser how little a page may do."""

from __future__ import annotations

from .asgi import App, Message, Receive, Scope, Send

#: Nothing from elsewhere, nothing inline, in nobody's frame (Content Security Policy Level 3).
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)

#: What every response carries unless it says otherwise itself.
SECURITY_HEADERS = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",  # an address with a token in it is nobody's business
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
    "cache-control": "no-store",
}


class SecurityHeaders:
    """Adds them to every response."""

    def __init__(self, app: App, headers: dict[str, str] | None = None) -> None:
        """Wrap an application.

        Args:
            app: What answers.
            headers: In place of some of :data:`SECURITY_HEADERS`, or beside them.
        """
        self._app = app
        merged = SECURITY_HEADERS | (headers or {})
        self._headers = [(key.encode(), value.encode()) for key, value in merged.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on and complete its answer."""

        async def complete(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = list(message.get("headers", []))
                names = {key.lower() for key, _ in given}
                message["headers"] = given + [h for h in self._headers if h[0] not in names]
            await send(message)

        await self._app(scope, receive, complete)
