"""The output behind ``--preview``: encodes what somebody looks at, once for all who do."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...errors import EdgeError
from ...web.server import WebServer
from ..outputs.base import Output
from .app import make_app
from .hub import Hub
from .pictures import encode

if TYPE_CHECKING:
    import socket

    from ...web.protocol import Limits
    from ...web.token import Token
    from ..results import Event, FrameResult
    from ..status import Status

_log = logging.getLogger("edge_runtime")


@dataclass(frozen=True)
class PreviewSettings:
    """How pictures are sent.

    Attributes:
        fps: Pictures a second at most.
        width: Their width in pixels at most.
    """

    fps: float = 10.0
    width: int = 960


class Preview(Output):
    """Serves the page from when it is made until it is closed."""

    name = "preview"
    capacity = 4

    def __init__(
        self,
        listener: socket.socket,
        token: Token | None,
        status: Status,
        try_heatmap: Callable[[], object],
        settings: PreviewSettings | None = None,
        limits: Limits | None = None,
    ) -> None:
        """Start the server.

        Args:
            listener: A listening socket, which is the preview's from now on.
            token: Who knows it is let in; None on loopback only, where everybody is.
            status: What the run counts.
            try_heatmap: Raises EdgeError where the model gives no heat map; called once, on a
                thread of its own, before the first one is asked for.
            settings: How pictures are sent.
            limits: What the server puts up with.

        Raises:
            EdgeError: The server did not start.
        """
        self._settings = settings or PreviewSettings()
        self._due, self._encoding = 0.0, False
        self._try_heatmap = try_heatmap
        self._heatmap: str | None = None  # why there is none; empty: there is one; None: not tried
        self._trying = threading.Lock()
        self._hub = Hub(status, self._on_wanted)
        port = listener.getsockname()[1]
        app = make_app(self._hub, token, f"edge_classify_preview_{port}", self.no_heatmap)
        self._server = WebServer(app, listener, limits, self._hub.close, "preview")
        self._server.start()

    # What the loop asks before each frame: nothing is put into the queue that would be thrown away.

    @property
    def wants_results(self) -> bool:  # type: ignore[override]  # changes with time
        """Whether somebody looks, and the next picture is due."""
        return bool(self._hub.wanted) and not self._encoding and time.monotonic() >= self._due

    def result(self, result: FrameResult) -> None:
        """Encode a frame for all who look."""
        wanted = set(self._hub.wanted)
        if not wanted:
            return
        self._encoding = True
        try:
            period, now = 1 / self._settings.fps, time.monotonic()
            # Counted from when it was due, else a camera's own rhythm would make each one late.
            self._due = (self._due if now - self._due < period else now) + period
            self._server.call(self._hub.show, encode(result, self._settings.width, wanted))
        finally:
            self._encoding = False

    def event(self, event: Event) -> None:
        """Add it to the history."""
        if event.kind == "reload":
            with self._trying:
                self._heatmap = None
        self._server.call(self._hub.tell, event)

    def close(self) -> None:
        """Send everybody away and stop the server."""
        if not self._server.stop():
            _log.warning("preview: the web server did not end in time.")

    def no_heatmap(self) -> str:
        """Why the model gives no heat map; empty where it does. Takes its time when first asked."""
        with self._trying:
            if self._heatmap is None:
                try:
                    self._try_heatmap()
                    self._heatmap = ""
                except EdgeError as error:
                    self._heatmap = str(error)
            return self._heatmap

    def _on_wanted(self, wanted: frozenset[bool]) -> None:
        self.wants_heatmaps = True in wanted
