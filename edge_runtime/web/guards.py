"""Who is let in: who has the token, asks for this machine, and comes from the page itself."""

from __future__ import annotations

from http.cookies import CookieError, SimpleCookie
from urllib.parse import unquote_to_bytes, urlsplit

from .address import host_of, is_loopback
from .asgi import App, Headers, Receive, Scope, Send, header, respond
from .token import Token

#: Seconds that a browser remembers: thirty days.
_REMEMBERED = 30 * 24 * 3600

_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")

_SIGN_IN = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Token needed</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"></head>
<body><main><h1>Token needed</h1>
<p>Open the address with <code>?token=</code> and the token behind it, or type the token.</p>
<form method="get" action=""><p><label>Token <input name="token" type="password" autocomplete="current-password"
required></label> <button>Open</button></p></form>
<p>You typed it here before? <a href="">Try again</a>: a browser keeps it back when it comes from the
page of somebody else.</p></main></body></html>
"""

_WELCOME = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Opening</title>
<meta http-equiv="refresh" content="0; url={place}"><meta name="color-scheme" content="light dark"></head>
<body><main><h1>Opening</h1><p><a href="{place}">Go on</a></p></main></body></html>
"""


class TokenGuard:
    """Answers 401 to whoever does not have the token, whatever is asked for.

    It is taken from ``Authorization: Bearer``, from ``?token=`` on a first visit, which puts it
    into a cookie and out of the address, and from that cookie.
    """

    def __init__(self, app: App, token: Token, cookie: str) -> None:
        """Wrap an application.

        Args:
            app: What answers whoever is let in.
            token: The secret.
            cookie: Name of the cookie. Browsers share cookies between the ports of a host, so it
                should differ from server to server.
        """
        self._app, self._token, self._cookie = app, token, cookie

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, set the cookie, or refuse."""
        typed, rest = _taken_out(scope["query_string"])
        if self._knows(scope):
            if typed is None or scope["type"] != "http" or scope["method"] not in _SAFE_METHODS:
                await self._app(scope, receive, send)
            else:
                await self._welcome(scope, send, rest, [])
        elif typed is not None and scope["type"] == "http" and self._token.is_token(typed):
            await self._welcome(scope, send, rest, [(b"set-cookie", self._made(scope))])
        else:
            await respond(
                scope,
                send,
                401,
                _SIGN_IN,
                [(b"www-authenticate", b'Bearer realm="edge-classify"')],
                "html",
            )

    def _knows(self, scope: Scope) -> bool:
        scheme, _, given = (header(scope, b"authorization") or b"").partition(b" ")
        if scheme.lower() == b"bearer" and self._token.is_token(given.strip()):
            return True
        return any(self._token.is_cookie(value) for value in _cookies(scope, self._cookie))

    async def _welcome(self, scope: Scope, send: Send, rest: bytes, headers: Headers) -> None:
        """Send a browser to the same place without the token, relative to it for proxies' sake."""
        last = scope["raw_path"].rpartition(b"/")[2].decode("ascii", "replace")
        place = f"./{last}" + (f"?{rest.decode('ascii', 'replace')}" if rest else "")
        if header(scope, b"sec-fetch-site") in (b"cross-site", b"same-site"):
            # The link was on somebody else's page: a redirect would go without the strict cookie.
            import html

            await respond(
                scope, send, 200, _WELCOME.format(place=html.escape(place)), headers, "html"
            )
            return
        await respond(scope, send, 303, "", [(b"location", place.encode()), *headers])

    def _made(self, scope: Scope) -> bytes:
        """Without ``Path``, so that two servers behind one proxy keep theirs apart."""
        parts = [
            f"{self._cookie}={self._token.cookie}",
            f"Max-Age={_REMEMBERED}",
            "HttpOnly",
            "SameSite=Strict",
        ]
        if b"https" in (scope["scheme"].encode(), header(scope, b"x-forwarded-proto")):
            parts.append("Secure")
        return "; ".join(parts).encode()


class HostGuard:
    """Answers 403 unless the ``Host`` asked for is this machine's loopback.

    Without it a page of anybody could have its own name point to 127.0.0.1 and read what is here
    (DNS rebinding). For servers on loopback without a token.
    """

    def __init__(self, app: App) -> None:
        """Wrap an application."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on or refuse it."""
        host = host_of((header(scope, b"host") or b"").decode("latin-1"))
        if is_loopback(host):
            await self._app(scope, receive, send)
            return
        text = "Open it as localhost or 127.0.0.1. Behind a proxy with another name it needs a token.\n"
        await respond(scope, send, 403, text)


class OriginGuard:
    """Answers 403 to what the page of another origin asks for, but for following a link.

    Browsers say where a request comes from in ``Sec-Fetch-Site`` (Fetch Metadata) and, of those
    that change something, in ``Origin``; other programs say nothing and are let in.
    """

    def __init__(self, app: App) -> None:
        """Wrap an application."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on or refuse it."""
        if _is_foreign(scope):
            await respond(scope, send, 403, "Asked for by the page of another site.\n")
        else:
            await self._app(scope, receive, send)


def _is_foreign(scope: Scope) -> bool:
    safe = scope["type"] == "http" and scope["method"] in _SAFE_METHODS
    site = header(scope, b"sec-fetch-site")
    if site is not None:
        link = header(scope, b"sec-fetch-mode") == b"navigate" and (
            header(scope, b"sec-fetch-dest") == b"document"
        )
        return site in (b"cross-site", b"same-site") and not (safe and link)
    origin = header(scope, b"origin")
    if origin is None or safe:
        return False
    asked = {header(scope, b"host"), header(scope, b"x-forwarded-host")}
    try:
        return urlsplit(origin).netloc not in asked
    except ValueError:
        return True


def _taken_out(query: bytes) -> tuple[bytes | None, bytes]:
    """The token of a query string, and the rest of it; a plus is a plus."""
    found, rest = None, []
    for part in query.split(b"&"):
        name, _, value = part.partition(b"=")
        if name == b"token":
            found = unquote_to_bytes(value)
        elif part:
            rest.append(part)
    return found, b"&".join(rest)


def _cookies(scope: Scope, name: str) -> list[bytes]:
    """Every cookie of that name: one for each folder of an address may have been set."""
    found = []
    for key, value in scope["headers"]:
        if key != b"cookie":
            continue
        for part in value.split(b";"):
            try:
                jar: SimpleCookie = SimpleCookie(part.decode("latin-1").strip())
            except CookieError:
                continue
            found += [m.value.encode() for k, m in jar.items() if k == name]
    return found
