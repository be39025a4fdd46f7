"""What the server counts, in the text format of Prometheus; used by the event loop alone."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Awaitable, Callable

from .. import __version__
from ..stream.outputs.metrics_text import Sample, Text, process
from ..web.asgi import App, Message, Receive, Scope, Send
from .body import Budget
from .served import Registry

#: Upper edges of the histogram, seconds.
BUCKETS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)

#: Key of the scope under which a route leaves its pattern: an address of a client's own would make
#: a family of numbers without end.
ROUTE = "edge_classify.route"


class Metrics:
    """Requests by route, method and status, and how long they took."""

    def __init__(self, registry: Registry, budget: Budget) -> None:
        """Nothing is counted yet."""
        self._registry, self._budget = registry, budget
        self._started = time.time()
        self._requests: Counter[tuple[str, str, int]] = Counter()
        self._histograms: dict[str, list[int]] = {}
        self._sums: dict[str, float] = {}
        self.in_flight = 0

    def count(self, route: str, method: str, status: int, seconds: float) -> None:
        """One request has ended."""
        self._requests[route, method, status] += 1
        counts = self._histograms.setdefault(route, [0] * (len(BUCKETS) + 1))
        counts[bisect_left(BUCKETS, seconds)] += 1
        self._sums[route] = self._sums.get(route, 0.0) + seconds

    @property
    def requests(self) -> int:
        """All of them."""
        return sum(self._requests.values())

    def exposition(self) -> str:
        """The page."""
        text = Text()
        text.gauge("info", "What runs.", 1, version=__version__)
        text.gauge("uptime_seconds", "Time since the start.", time.time() - self._started)
        text.add(
            "http_requests_total",
            "counter",
            "Requests by route, method and status; 499 is a client that left.",
            [
                ("", {"route": route, "method": method, "status": status}, count)
                for (route, method, status), count in sorted(self._requests.items())
            ],
        )
        samples: list[Sample] = []
        for route, counts in sorted(self._histograms.items()):
            samples += self._histogram(route, counts)
        text.add("http_request_seconds", "histogram", "From a request to its answer.", samples)
        text.gauge("http_requests_in_flight", "Requests that are answered now.", self.in_flight)
        text.gauge("http_body_bytes", "Bytes of bodies that are held now.", self._budget.held)
        self._models(text)
        process(text)
        return text.text()

    def _histogram(self, route: str, counts: list[int]) -> list[Sample]:
        found: list[Sample] = []
        total = 0
        for edge, count in zip((*map(str, BUCKETS), "+Inf"), counts, strict=True):
            total += count
            found.append(("_bucket", {"route": route, "le": edge}, total))
        found.append(("_sum", {"route": route}, self._sums[route]))
        found.append(("_count", {"route": route}, total))
        return found

    def _models(self, text: Text) -> None:
        models = list(self._registry.models.values())

        def each(value: Callable[..., float]) -> list[Sample]:
            return [("", {"model": model.name}, value(model)) for model in models]

        text.add(
            "model_info", "gauge", "A model that is served.",
            [("", {"model": m.name, "format": m.classifier.format}, 1) for m in models],
        )  # fmt: skip
        about = "Requests that are answered or wait."
        text.add("model_queue_length", "gauge", about, each(lambda model: model.inside))
        about = "Photos and tensors that wait for the interpreter."
        text.add("model_waiting", "gauge", about, each(lambda model: len(model.worker)))
        about = "Time of the interpreter."
        text.add(
            "model_inference_seconds_total", "counter", about, each(lambda m: m.worker.seconds)
        )
        about = "Runs that failed."
        text.add("model_failures_total", "counter", about, each(lambda m: m.worker.failures))
        text.add(
            "model_runs_total", "counter", "Runs by the number of photos that shared them.",
            [
                ("", {"model": model.name, "photos": size}, count)
                for model in models
                for size, count in sorted(model.worker.batches.items())
            ],
        )  # fmt: skip
        text.add(
            "model_reloads_total", "counter", "Times that a model was to be loaded anew.",
            [
                ("", {"model": model.name, "result": result}, count)
                for model in models
                for result, count in model.reloads.items()
            ],
        )  # fmt: skip


class Measured:
    """Counts every request that passes."""

    def __init__(self, app: App, metrics: Metrics) -> None:
        """Wrap an application."""
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, with its time and status."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status, start = 499, time.perf_counter()

        async def watch(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        self._metrics.in_flight += 1
        try:
            done: Awaitable[None] = self._app(scope, receive, watch)
            await done
        finally:
            self._metrics.in_flight -= 1
            method = scope["method"] if scope["method"] in _METHODS else "other"
            seconds = time.perf_counter() - start
            self._metrics.count(scope.get(ROUTE, "other"), method, status, seconds)


_METHODS = ("GET", "HEAD", "POST", "OPTIONS", "PUT", "DELETE", "PATCH")
