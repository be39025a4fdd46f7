"""What a running stream counts, for its outputs, its state file and its metrics."""

from __future__ import annotations

import threading
import time
from collections import Counter
from typing import Any

from .results import Event, FrameResult


class Status:
    """Counts of one run; every method may be called from any thread."""

    def __init__(self, source: str, model: str) -> None:
        """Begin a run.

        Args:
            source: Name of the source, without credentials.
            model: Name of the model.
        """
        self._lock = threading.Lock()
        self.source, self.model = source, model
        self.started = time.monotonic()
        self._counts: Counter[str] = Counter()
        self._drops: Counter[str] = Counter()
        self._last: FrameResult | None = None
        self._source_state = "opening"

    def count(self, what: str, by: int = 1) -> None:
        """Add to a counter: ``frames`` (grabbed), ``dropped``, ``corrupt``, ``reconnects``..."""
        with self._lock:
            self._counts[what] += by

    def dropped_by(self, output: str, by: int = 1) -> None:
        """An output could not take something in time."""
        with self._lock:
            self._drops[output] += by

    def result(self, result: FrameResult) -> None:
        """A frame was answered."""
        with self._lock:
            self._counts["results"] += 1
            self._last = result

    def event(self, event: Event) -> None:
        """Something happened."""
        with self._lock:
            self._counts[f"events_{event.kind}"] += 1
            if event.kind == "source":
                self._source_state = event.data["state"]

    def snapshot(self) -> dict[str, Any]:
        """All of it as JSON values, at one moment."""
        with self._lock:
            last = self._last
            return {
                "source": self.source,
                "source_state": self._source_state,
                "model": self.model,
                "uptime_s": round(time.monotonic() - self.started, 3),
                **self._counts,
                "output_drops": dict(self._drops),
                "last": None if last is None else last.to_dict(),
            }
