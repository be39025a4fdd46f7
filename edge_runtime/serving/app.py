"""The application: routes, and what guards them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route, Router

from ..backends.base import default_threads
from ..web.asgi import App, Receive, Scope, Send
from ..web.assets import page_assets
from ..web.guards import HostGuard, TokenGuard
from ..web.headers import SecurityHeaders
from ..web.token import Token
from . import docs_page, openapi
from .body import Budget
from .classify import Classify
from .cors import Cors
from .metrics import ROUTE, Measured, Metrics
from .open_inference import OpenInference
from .problems import Problem, busy
from .served import Registry
from .settings import ServeSettings

_PAGE = Path(__file__).parent / "page"

#: A webcam's picture and a photo that was chosen are shown before they are sent.
_HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src "
    "'self' data: blob:; media-src 'self' blob:; connect-src 'self'; manifest-src 'self'; base-uri "
    "'none'; form-action 'self'; frame-ancestors 'none'",
    "permissions-policy": "camera=(self), microphone=(), geolocation=(), payment=(), usb=()",
}

#: What a balancer asks, which has no token and calls the server by its number.
_OPEN = ("/healthz", "/readyz", "/v2/health/live", "/v2/health/ready")

Endpoint = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True)
class Access:
    """Who is let in.

    Attributes:
        token: Who knows it; None for everybody.
        cookie: Name of the cookie that stands for it.
        any_host: Whether, without a token, any ``Host`` may be asked for.
        origins: Of pages that may ask from elsewhere.
    """

    token: Token | None = None
    cookie: str = "edge_classify_serve"
    any_host: bool = False
    origins: tuple[str, ...] = ()


class Serving:
    """The application with what it is made of.

    Attributes:
        app: ASGI.
        metrics: What it counts.
        stopping: Whether no new request is taken any more.
    """

    def __init__(self, registry: Registry, settings: ServeSettings, access: Access) -> None:
        """Make it.

        Args:
            registry: The models.
            settings: Limits.
            access: Who is let in.
        """
        self.stopping = False
        workers = settings.workers or default_threads()
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="decode")
        self._registry, self._settings = registry, settings
        budget = Budget(settings.max_held)
        self.metrics = Metrics(registry, budget)
        document = openapi.document(settings, access.token is not None)
        self._document, self._docs = JSONResponse(document).body, docs_page.page(document)
        classify = Classify(registry, settings, self._pool, budget)
        inference = OpenInference(registry, settings, self._pool, budget)
        router = Router(self._routes(classify, inference), redirect_slashes=False)
        guarded: App = self._gate(router)
        if access.token is not None:
            guarded = TokenGuard(guarded, access.token, access.cookie)
        elif not access.any_host:
            guarded = HostGuard(guarded)
        app: App = Cors(_apart(router, guarded), access.origins)
        self.app: App = SecurityHeaders(Measured(app, self.metrics), _HEADERS)

    def close(self) -> None:
        """Let go of the threads; what they have not begun is left."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _gate(self, app: App) -> App:
        async def gate(scope: Scope, receive: Receive, send: Send) -> None:
            if self.stopping:
                raise busy("The server is stopping.", 5)
            await app(scope, receive, send)

        return gate

    def _routes(self, classify: Classify, inference: OpenInference) -> list[Route]:
        model = "/v2/models/{name}"
        version = f"{model}/versions/{{version}}"
        found: list[tuple[str, Endpoint, str]] = [
            ("/v1/classify", classify.__call__, "POST"),
            ("/v1/models", self._models, "GET"),
            ("/v1/models/{name}", self._card, "GET"),
            ("/v2", inference.server, "GET"),
            ("/v2/", inference.server, "GET"),
            ("/v2/health/live", self._live, "GET"),
            ("/v2/health/ready", self._ready, "GET"),
            ("/healthz", self._live, "GET"),
            ("/readyz", self._ready, "GET"),
            ("/metrics", self._metrics, "GET"),
            ("/openapi.json", self._openapi, "GET"),
            ("/docs", self._documentation, "GET"),
        ]
        for prefix in (model, version):
            found += [
                (prefix, inference.model, "GET"),
                (f"{prefix}/ready", inference.ready, "GET"),
                (f"{prefix}/infer", inference.infer, "POST"),
            ]
        return [_route(*one) for one in [*found, *_page_routes()]]

    async def _models(self, _: Request) -> Response:
        models = list(self._registry.models.values())
        found = [
            {
                "name": model.name,
                "format": model.classifier.format,
                "classes": len(model.classifier.info.class_names),
                "default": model is models[0],
            }
            for model in models
        ]
        return JSONResponse({"models": found})

    async def _card(self, request: Request) -> Response:
        return JSONResponse(self._registry.get(request.path_params["name"]).card)

    async def _live(self, _: Request) -> Response:
        return JSONResponse({"live": True})

    async def _ready(self, _: Request) -> Response:
        stuck = [m.name for m in self._registry.models.values() if m.is_stuck()]
        if stuck:
            raise busy(f"The interpreter of {', '.join(stuck)} does not come back.", 5)
        if self.stopping:
            raise busy("The server is stopping.", 5)
        return JSONResponse({"ready": True})

    async def _metrics(self, _: Request) -> Response:
        kind = "text/plain; version=0.0.4; charset=utf-8"
        return Response(self.metrics.exposition(), headers={"content-type": kind})

    async def _openapi(self, _: Request) -> Response:
        return Response(self._document, media_type="application/json")

    async def _documentation(self, _: Request) -> Response:
        return HTMLResponse(self._docs, headers={"content-security-policy": docs_page.POLICY})


def _route(path: str, endpoint: Endpoint, method: str) -> Route:
    async def marked(request: Request) -> Response:
        request.scope[ROUTE] = path
        return await endpoint(request)

    return Route(path, marked, methods=[method])


def _apart(router: App, guarded: App) -> App:
    """Health is told to everybody; the rest stands behind the guards."""

    async def chosen(scope: Scope, receive: Receive, send: Send) -> None:
        is_open = scope["type"] == "http" and scope["path"] in _OPEN
        await (router if is_open else guarded)(scope, receive, send)

    return chosen


def _page_routes() -> list[tuple[str, Endpoint, str]]:
    """The page at ``/`` and its files."""
    assets = page_assets(_PAGE)
    index = assets.pop("index.html")

    async def root(request: Request) -> Response:
        return index.response(request.headers.get("if-none-match"))

    async def asset(request: Request) -> Response:
        found = assets.get(request.path_params["name"])
        if found is None:
            raise Problem(404, "There is no such file.")
        return found.response(request.headers.get("if-none-match"))

    return [("/", root, "GET"), ("/assets/{name}", asset, "GET")]
