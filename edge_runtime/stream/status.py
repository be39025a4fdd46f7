"""What a running stream counts, for its outputs, its state file and its metrics."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from .figures import Histogram, Rate
from .results import Event, FrameResult, iso_time

#: Counters that are there from the beginning, as 0.
_COUNTERS = (
    "frames", "results", "dropped", "skipped", "corrupt", "stalls", "reconnects", "abandoned",
    "inference_failures",
)  # fmt: skip

#: States of a source in which frames come, or will come no more because all have come.
_FLOWING = ("open", "ended")

#: Seconds for which what the board says of itself is not asked again.
_BOARD = 5.0


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
        self._started_at = time.time()
        self._counts: Counter[str] = Counter(dict.fromkeys(_COUNTERS, 0))
        self._drops: Counter[str] = Counter()
        self._failures: Counter[str] = Counter()
        self._times = {name: Histogram() for name in ("infer", "total", "age")}
        self._rate = Rate()
        self._last: FrameResult | None = None
        self._last_at: float | None = None
        self._source_state, self._source_since = "opening", self.started
        self._phase = "starting"
        self._ran_from: float | None = None
        self._ran_until: float | None = None
        self._watchers: list[Callable[[], None]] = []
        self._queues: dict[str, Callable[[], int]] = {}
        self._board: dict[str, Any] = {"temperature": [], "throttling": None}
        self._board_until = float("-inf")

    def count(self, what: str, by: int = 1) -> None:
        """Add to a counter: ``frames`` (grabbed), ``dropped``, ``corrupt``, ``reconnects``..."""
        with self._lock:
            self._counts[what] += by

    def dropped_by(self, output: str, by: int = 1) -> None:
        """An output could not take something in time."""
        with self._lock:
            self._drops[output] += by

    def failed_by(self, output: str) -> None:
        """An output raised an exception."""
        with self._lock:
            self._failures[output] += 1

    def watch_queue(self, output: str, length: Callable[[], int]) -> None:
        """Know of an output's queue; ``length`` must return at once."""
        with self._lock:
            self._queues[output] = length

    def result(self, result: FrameResult) -> None:
        """A frame was answered, or its inference failed; that took no time that would tell anything."""
        ms = result.prediction.ms
        with self._lock:
            self._counts["results"] += 1
            self._last, self._last_at = result, time.monotonic()
            self._rate.add()
            if ms is not None:
                self._times["infer"].add(ms.get("infer", 0.0))
                self._times["total"].add(ms.get("total", 0.0))
            self._times["age"].add(result.age_ms)

    def event(self, event: Event) -> None:
        """Something happened."""
        with self._lock:
            self._counts[f"events_{event.kind}"] += 1
            if event.kind == "source" and event.data["state"] != self._source_state:
                self._source_state, self._source_since = event.data["state"], time.monotonic()
        self._wake()

    def enter(self, phase: str) -> None:
        """Say what the run is at: ``starting``, ``running`` or ``stopped``."""
        with self._lock:
            self._phase, now = phase, time.monotonic()
            if phase == "running" and self._ran_from is None:
                self._ran_from = now
            if phase == "stopped" and self._ran_until is None:
                self._ran_until = now
        self._wake()

    def watch(self, watcher: Callable[[], None]) -> None:
        """Have a function called after each event; it must return at once."""
        self._watchers.append(watcher)

    @property
    def state(self) -> str:
        """``starting``, ``running``, ``waiting for source`` or ``stopped``."""
        with self._lock:
            return self._state()

    def brief(self) -> tuple[str, str | None, float]:
        """The state, the steady label (or "unknown"; None without), and results a second now."""
        with self._lock:
            steady = None if self._last is None else self._last.steady
            label = None if steady is None else steady.state
            return self._state(), label, self._rate.value()

    def summary(self) -> dict[str, Any]:
        """What the run comes to, for its end; keys as in :meth:`snapshot`."""
        with self._lock:
            p95 = self._times["age"].quantile(0.95)
            return {
                **{name: self._counts[name] for name in _COUNTERS},
                "output_drops": dict(self._drops),
                "output_failures": dict(self._failures),
                "seconds": round(self._ran(), 3),
                "mean_fps": self._mean_fps(),
                "age_p95_ms": None if p95 is None else round(p95, 3),
            }

    def snapshot(self) -> dict[str, Any]:
        """All of it as JSON values, at one moment.

        Returns:
            JSON object:

            - ``pid``, ``started``, ``updated`` (RFC 3339), ``uptime_s``; ``source``, ``model``;
            - ``state`` (see :attr:`state`), ``source_state`` (of the last "source" event,
              ``opening`` before) and ``source_state_s``, seconds since it began;
            - counters since the start: ``frames`` (grabbed), ``results``, ``dropped`` (by a live
              source for newer ones), ``skipped`` (by --every and --max-fps), ``corrupt``, ``stalls``,
              ``reconnects``, ``abandoned`` (readers that hung), ``inference_failures``,
              ``events_KIND``;
            - ``output_drops`` and ``output_failures``: counts by the output's name, and
              ``output_queues``: what waits in front of each;
            - ``fps`` (results a second over the last five seconds) and ``mean_fps`` (since the loop began);
            - ``histograms``: ``infer_ms``, ``total_ms``, ``age_ms``, each as
              :meth:`Histogram.to_dict <edge_runtime.stream.figures.Histogram.to_dict>` says;
            - ``steady`` (the label that stands, null without), ``last`` (the last result, null
              before the first), ``last_result_s`` (seconds since);
            - ``temperature`` and ``throttling`` as ``edge-classify doctor`` has them.
        """
        board = self._ask_board()
        with self._lock:
            now, last = time.monotonic(), self._last
            uptime = now - self.started
            steady = None if last is None else last.steady
            return {
                "pid": os.getpid(),
                "started": iso_time(self._started_at),
                "updated": iso_time(time.time()),
                "uptime_s": round(uptime, 3),
                "state": self._state(),
                "source": self.source,
                "source_state": self._source_state,
                "source_state_s": round(now - self._source_since, 3),
                "model": self.model,
                **self._counts,
                "output_drops": dict(self._drops),
                "output_failures": dict(self._failures),
                "output_queues": {name: length() for name, length in self._queues.items()},
                "fps": round(self._rate.value(), 3),
                "mean_fps": self._mean_fps(),
                "histograms": {f"{n}_ms": times.to_dict() for n, times in self._times.items()},
                "steady": None if steady is None else steady.to_dict(),
                "last": None if last is None else last.to_dict(),
                "last_result_s": None if self._last_at is None else round(now - self._last_at, 3),
                **board,
            }

    def _ran(self) -> float:
        """Seconds since the loop began, until it ended."""
        if self._ran_from is None:
            return 0.0
        return (self._ran_until or time.monotonic()) - self._ran_from

    def _mean_fps(self) -> float:
        ran = self._ran()
        return round(self._counts["results"] / ran, 3) if ran > 0 else 0.0

    def _state(self) -> str:
        if self._phase != "running":
            return self._phase
        return "running" if self._source_state in _FLOWING else "waiting for source"

    def _wake(self) -> None:
        for watcher in self._watchers:
            watcher()

    def _ask_board(self) -> dict[str, Any]:
        """Temperature and throttling; outside the lock, since a program may have to be asked."""
        with self._lock:
            now = time.monotonic()
            if now < self._board_until:
                return self._board
            self._board_until = now + _BOARD
        from ..thermal import temperatures, throttling

        board = {"temperature": temperatures(), "throttling": throttling()}
        with self._lock:
            self._board = board
        return board
