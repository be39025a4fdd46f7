"""Errors as RFC 9457 tells them ("Problem Details for HTTP APIs"), whoever refuses a request."""

from __future__ import annotations

import json
import logging
import re
from http import HTTPStatus
from typing import Any

from starlette.responses import Response

from ..web.asgi import App, Headers, Message, Receive, Scope, Send, header

_log = logging.getLogger("edge_runtime")

#: Media type of RFC 9457.
MEDIA_TYPE = "application/problem+json"

#: Bytes of another layer's text that become the detail.
_LONGEST = 2000

#: An absolute path inside a text; an address (https://host/path) is none. No separator is part of a
#: name, nor does a path begin behind one: a text can be read in one way only, in linear time.
_PATH = re.compile(
    r"(?<![\w:/\\.~])(?:~?/|[A-Za-z]:\\)(?:[^\s'\"<>|:/\\]*[/\\])*([^\s'\"<>|:/\\]+)"
)

#: What this program's own refusals say, in words that are of use to a program.
_DETAILS = {
    401: "This server asks for its token: send the header Authorization: Bearer TOKEN.",
    404: "There is nothing at this address. GET /openapi.json lists what there is.",
    405: "This address does not take this method; see the header Allow.",
}


class Problem(Exception):
    """A request that is refused, and why.

    Attributes:
        status: Of HTTP.
        detail: What was expected, what was found, what to do; no path, no token.
        headers: Beside the type.
    """

    def __init__(self, status: int, detail: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.detail, self.headers = status, detail, headers or {}

    def response(self, path: str) -> Response:
        """The answer to a request of an address."""
        body = problem_body(self.status, self.detail, path)
        return Response(body, self.status, self.headers, MEDIA_TYPE)


class ClientGone(Exception):
    """Nobody is there any more to be answered."""


def busy(detail: str, seconds: int = 1) -> Problem:
    """503 with ``Retry-After`` (RFC 9110, 10.2.3)."""
    return Problem(503, detail, {"retry-after": str(max(1, seconds))})


def problem_body(status: int, detail: str, path: str) -> bytes:
    """The JSON object: ``type``, ``title``, ``status``, ``detail``.

    Args:
        status: Of HTTP.
        detail: What went wrong.
        path: What was asked for: of the Open Inference Protocol, whose clients read ``error``, that
            is there as well.
    """
    found = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
    }
    if f"{path}/".startswith("/v2/"):
        found["error"] = detail
    return json.dumps(found).encode()


def without_paths(text: str) -> str:
    """A text with absolute paths cut to their last names.

    Where a model lies on this machine is nobody's business who asks it.
    """
    return _PATH.sub(r"\1", text)


class Problems:
    """Turns what the layers below raise or refuse in their own words into problems.

    A browser that asks for a page keeps the page on which it can type the token.
    """

    def __init__(self, app: App) -> None:
        """Wrap an application."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and see what becomes of it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        sender = _Sender(scope, send)
        try:
            await self._app(scope, receive, sender)
        except Problem as problem:
            await _answer(problem, scope, receive, sender)
        except ClientGone:
            return
        except Exception as error:  # the last resort: nobody meets a traceback
            _log.error("a request failed: %s: %s", type(error).__name__, error)
            _log.debug("its traceback:", exc_info=error)
            if sender.started:
                raise
            text = "The server failed at this request; its log says why."
            await _answer(Problem(500, text), scope, receive, sender)


async def _answer(problem: Problem, scope: Scope, receive: Receive, sender: _Sender) -> None:
    if sender.started:
        raise problem
    await problem.response(scope["path"])(scope, receive, sender)


class _Sender:
    """Passes an answer on; an error of another type is held back and translated."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self._scope, self._send = scope, send
        self.started = False
        self._held: Message | None = None
        self._text = b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            if self._foreign(message):
                self._held = message
                return
        elif self._held is not None:
            self._text += message.get("body", b"")[:_LONGEST]
            if not message.get("more_body", False):
                await self._translate(self._held)
            return
        await self._send(message)

    def _foreign(self, message: Message) -> bool:
        if message["status"] < 400:
            return False
        kind = _content_type(message)
        if kind.startswith(b"text/html") and message["status"] == 401:
            return b"text/html" not in (header(self._scope, b"accept") or b"")
        return not kind.startswith(MEDIA_TYPE.encode())

    async def _translate(self, start: Message) -> None:
        status = start["status"]
        detail = _DETAILS.get(status) or self._text.decode("utf-8", "replace").strip()
        body = problem_body(status, detail or HTTPStatus(status).phrase, self._scope["path"])
        kept: Headers = [
            (key, value)
            for key, value in start.get("headers", [])
            if key.lower() not in (b"content-type", b"content-length")
        ]
        kept += [
            (b"content-type", MEDIA_TYPE.encode()),
            (b"content-length", str(len(body)).encode()),
        ]
        await self._send({"type": "http.response.start", "status": status, "headers": kept})
        await self._send({"type": "http.response.body", "body": body})


def _content_type(message: Message) -> bytes:
    found: list[tuple[bytes, bytes]] = list(message.get("headers", []))
    return next((value for key, value in found if key.lower() == b"content-type"), b"")


def detail_of(error: Any) -> str:
    """An error's message, for whoever asks from elsewhere."""
    return without_paths(str(error))
