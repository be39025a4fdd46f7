"""The server as the command runs it: until a signal ends it, well."""

from __future__ import annotations

import gc
import logging
import socket
import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, cast

from ..stream.signals import Signals
from ..stream.systemd import Notifier
from ..web.protocol import Limits
from ..web.server import WebServer
from .app import Access, Serving
from .reloading import Reloading
from .served import Registry, ServedModel
from .settings import ServeSettings
from .trimming import trimmer

if TYPE_CHECKING:
    from ..classifier import Classifier
    from ..stream.status import Status

_log = logging.getLogger("edge_runtime")

#: Seconds between looks at whether all is well.
_TICK = 1.0

#: Of gc.set_threshold: Python's own.
_COLLECT = (700, 10, 10)

#: Seconds for the thread of a model, or of the server, to end after all requests have.
_PATIENCE = 5.0


class Server:
    """Models behind HTTP, from when it is made until it is closed."""

    def __init__(
        self,
        openers: Mapping[str, tuple[str, Callable[[], Classifier]]],
        listener: socket.socket,
        settings: ServeSettings | None = None,
        access: Access | None = None,
        tls: tuple[str, str] | None = None,
        watch: float | None = None,
    ) -> None:
        """Load the models and serve them.

        Args:
            openers: By name, where a model lies and how it is opened.
            listener: A listening socket, which is the server's from now on.
            settings: Limits.
            access: Who is let in.
            tls: Files of the certificate chain and of its key.
            watch: Seconds between looks at whether a model's file has changed, which loads it anew;
                None for no looks.

        Raises:
            EdgeError: A model cannot be used, or the server did not start.
        """
        self.settings = settings or ServeSettings()
        self.models = [
            ServedModel(name, path, open_again, self.settings)
            for name, (path, open_again) in openers.items()
        ]
        self.serving = Serving(Registry(self.models), self.settings, access or Access())
        self.reloading = Reloading(self.models, watch)
        limits = Limits(
            connections=self.settings.connections,
            grace_s=self.settings.stop,
            header_bytes=self.settings.max_header,
            body_s=self.settings.timeout,
        )
        self._web = WebServer(self.serving.app, listener, limits, self._stopping, "serve", tls)
        self._turned = time.monotonic()
        self._trim, self._trimmed = trimmer(), 0
        self._web.start()
        self.reloading.start()

    def is_well(self) -> bool:
        """Whether the event loop turns, and no interpreter hangs; asks again for the next time."""
        self._web.call(self._turn)
        late = time.monotonic() - self._turned > self.settings.timeout
        return not late and not any(model.is_stuck() for model in self.models)

    def tidy(self) -> None:
        """Give memory back to the system that requests took; only when none is answered."""
        metrics = self.serving.metrics
        if metrics.in_flight == 0 and metrics.requests != self._trimmed:
            self._trimmed = metrics.requests
            self._trim()

    def close(self) -> bool:
        """Take no more requests, finish those in flight within a bound, and end; whether all did."""
        self.reloading.stop()
        ended = self._web.stop(self.settings.stop + _PATIENCE)
        self.serving.close()
        stopped = [model.worker.stop(_PATIENCE) for model in self.models]
        return ended and all(stopped)

    def _turn(self) -> None:
        self._turned = time.monotonic()

    def _stopping(self) -> None:
        self.serving.stopping = True


def run(make: Callable[[], Server], ready: Callable[[Server], None], signals: Signals) -> None:
    """Serve until SIGINT or SIGTERM; SIGHUP loads the models anew.

    Args:
        make: Loads the models and starts.
        ready: Told once it answers.
        signals: Whose handlers are in place.
    """
    ended = threading.Event()
    server = make()
    signals.stop = lambda _: ended.set()
    signals.reload = server.reloading.ask
    # A photo that cannot be read is in a cycle with its error's traceback. The command line collects
    # seldom, for a short start; what the start has made is left out of every collection from now on.
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_COLLECT)
    notifier = Notifier.from_environment(cast("Status", _Brief(server)))
    ready(server)
    try:
        while not ended.wait(_TICK):
            server.tidy()
            if notifier is not None and server.is_well():
                notifier.pulse()
    finally:
        if notifier is not None:
            notifier.stopping()
        well = server.close()
        if notifier is not None:
            notifier.close()
    if not well:
        _log.warning("stopped; a request or an inference did not end in time.")
    else:
        _log.info("stopped after %d requests.", server.serving.metrics.requests)


class _Brief:
    """What ``systemctl status`` shows."""

    def __init__(self, server: Server) -> None:
        self._server, self._last = server, (time.monotonic(), 0)

    def brief(self) -> tuple[str, str | None, float]:
        """State, label, answers a second since the last look."""
        now, count = time.monotonic(), self._server.serving.metrics.requests
        before, known = self._last
        self._last = (now, count)
        rate = (count - known) / max(now - before, 1e-9)
        return "serving", None, rate
