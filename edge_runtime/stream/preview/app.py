"""What can be asked for over HTTP.

===================  ==============================================================
``/``                the page; its files are below ``assets/``
``picture.mjpg``     pictures without end, ``multipart/x-mixed-replace``
``picture.jpg``      the next picture
``events``           what is so and what happens, server-sent events
``state``            what is so, as JSON
``heatmap``          whether the model gives heat maps, and if not, why
===================  ==============================================================

``?heatmap=1`` asks for pictures with the heat map, ``?viewer=NAME`` tells ``events`` whose pictures
to watch over. Nothing that can be asked for changes anything but what the asker gets.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

from fastapi import FastAPI, Header, Query
from starlette.responses import JSONResponse, PlainTextResponse, Response

from ...web.asgi import App
from ...web.assets import page_assets
from ...web.guards import HostGuard, OriginGuard, TokenGuard
from ...web.headers import SecurityHeaders
from ...web.live import LiveResponse
from ...web.token import Token
from .hub import BOUNDARY, Hub

_PAGE = Path(__file__).parent / "page"

#: Seconds that ``picture.jpg`` waits for a picture.
_PATIENCE = 5.0

#: Name that a page gives itself.
_Viewer = Annotated[str, Query(max_length=64)]

_Known = Annotated[str | None, Header()]


def make_app(hub: Hub, token: Token | None, cookie: str, no_heatmap: Callable[[], str]) -> App:
    """The application with its guards.

    Args:
        hub: Hands out pictures and facts.
        token: Who knows it is let in; None for everybody who asks for this machine's loopback.
        cookie: Name of the cookie that stands for the token.
        no_heatmap: Why the model gives no heat map, or an empty text; may take a second.
    """
    app: App = _routes(hub, no_heatmap)
    app = OriginGuard(app)
    app = HostGuard(app) if token is None else TokenGuard(app, token, cookie)
    return SecurityHeaders(app)


def _routes(hub: Hub, no_heatmap: Callable[[], str]) -> FastAPI:
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
    assets = page_assets(_PAGE)
    page = assets.pop("index.html")

    async def why_no_heatmap() -> str:
        return await asyncio.get_running_loop().run_in_executor(None, no_heatmap)

    @app.api_route("/", methods=["GET", "HEAD"])
    async def root(if_none_match: _Known = None) -> Response:
        return page.response(if_none_match)

    @app.api_route("/assets/{name}", methods=["GET", "HEAD"])
    async def asset(name: str, if_none_match: _Known = None) -> Response:
        if name not in assets:
            return PlainTextResponse("Not found.\n", 404)
        return assets[name].response(if_none_match)

    @app.get("/state")
    async def state() -> Response:
        return Response(hub.state(), media_type="application/json")

    @app.get("/heatmap")
    async def heatmap_or_why_not() -> Response:
        why = await why_no_heatmap()
        return JSONResponse({"possible": not why, "why": why or None})

    @app.get("/events")
    async def events(viewer: _Viewer = "") -> Response:
        if not hub.listen():
            return _full()
        return LiveResponse(hub.facts(viewer), "text/event-stream", hub.listen_away)

    @app.get("/picture.mjpg")
    async def pictures(heatmap: bool = False, viewer: _Viewer = "") -> Response:
        if heatmap and (why := await why_no_heatmap()):
            return PlainTextResponse(f"{why}\n", 409)
        if not hub.look(heatmap, viewer):
            return _full()
        return LiveResponse(
            hub.stream(heatmap),
            f"multipart/x-mixed-replace; boundary={BOUNDARY}",
            lambda: hub.look_away(heatmap, viewer),
        )

    @app.get("/picture.jpg")
    async def picture(heatmap: bool = False) -> Response:
        if heatmap and (why := await why_no_heatmap()):
            return PlainTextResponse(f"{why}\n", 409)
        if not hub.look(heatmap, ""):
            return _full()
        try:
            jpeg = await hub.picture(heatmap, _PATIENCE)
        finally:
            hub.look_away(heatmap, "")
        if jpeg is None:
            return PlainTextResponse("No picture came.\n", 503, {"retry-after": "5"})
        return Response(jpeg, media_type="image/jpeg")

    return app


def _full() -> Response:
    return PlainTextResponse("Too many look already.\n", 503, {"retry-after": "5"})
