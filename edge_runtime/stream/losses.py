"""Losses of a source: how long to wait after each, when to give up, and who is told."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from ..sources.base import SourceLost, SourceStalled
from .backoff import Backoff, Pacer
from .results import Event
from .status import Status

_log = logging.getLogger("edge_runtime")


@dataclass(frozen=True)
class Patience:
    """How long a source is waited for; all in seconds.

    Attributes:
        first_wait: Before the first new attempt, at most; doubles at each.
        longest_wait: That a wait never exceeds.
        well_after: Of whole frames after which a source counts as well, and attempts from 0.
        opening: That opening a source may take before it counts as hung; OpenCV alone may need a
            minute to be loaded from a slow card.
        grace: Beyond its time before a reader counts as hung.
        closing: That closing a source is waited for.
        max_hung: Readers that hang at the same time before no other is opened.
    """

    first_wait: float = 0.5
    longest_wait: float = 30.0
    well_after: float = 10.0
    opening: float = 90.0
    grace: float = 5.0
    closing: float = 2.0
    max_hung: int = 8


class Losses:
    """What a live source went through since it was well."""

    def __init__(
        self,
        name: str,
        most: int | None,
        patience: Patience,
        status: Status,
        notify: Callable[[Event], None],
    ) -> None:
        """Begin with a source that was not opened yet.

        Args:
            name: Of the source, for messages.
            most: Attempts in a row to open it again; None for ever.
            patience: How long is waited.
            status: Where stalls are counted.
            notify: Told of each loss.
        """
        self._name, self._most, self._patience = name, most, patience
        self._status, self._notify = status, notify
        self._backoff = Backoff(patience.first_wait, patience.longest_wait)
        self._pacer = Pacer()
        self._since: float | None = None
        self._said = False

    def gave_frame(self, seconds: float, damaged: bool) -> None:
        """It has given a frame.

        Args:
            seconds: Since it was opened.
            damaged: Whether those before it could not be decoded.
        """
        if self._since is not None:
            if self._said:
                _log.info(
                    "%s: gives frames again after %.0f s (attempt %d).",
                    self._name,
                    time.monotonic() - self._since,
                    self._backoff.attempts,
                )
            self._since, self._said = None, False
        if seconds > self._patience.well_after and not damaged:
            self._backoff.reset()

    def add(self, trouble: SourceLost) -> float:
        """It was lost; tell of it.

        Returns:
            Seconds to wait before it is opened again.

        Raises:
            SourceLost: That was tried as often as wished.
        """
        state = "stalled" if isinstance(trouble, SourceStalled) else "lost"
        if state == "stalled":
            self._status.count("stalls")
        now = time.monotonic()
        if self._since is None:
            self._since = now
        reason, attempts = self._reason(trouble), self._backoff.attempts
        data: dict[str, object] = {"state": state, "reason": reason}
        if self._most is not None and attempts >= self._most:
            self._notify(Event("source", data | {"attempt": attempts, "retry_in_s": None}))
            raise SourceLost(
                f"{self._name}: given up after {attempts} attempts in a row to open it again, "
                f"{now - self._since:.0f} s without a frame. {reason}"
            ) from trouble
        wait = self._backoff.next()
        self._notify(
            Event("source", data | {"attempt": attempts + 1, "retry_in_s": round(wait, 3)})
        )
        self._say(state, reason, wait, now)
        return wait

    def _say(self, state: str, reason: str, wait: float, now: float) -> None:
        held = self._pacer.held_back(now)
        self._said = self._said or held is not None
        if held is not None:
            _log.warning(
                "%s: %s: %s Opening it again in %.1f s (attempt %d%s).",
                self._name,
                state,
                reason,
                wait,
                self._backoff.attempts,
                f"; {held} losses before were not told of" if held else "",
            )

    def _reason(self, trouble: SourceLost) -> str:
        text = str(trouble).removeprefix(f"{self._name}: ")
        return text if text.endswith((".", "?", "!")) else f"{text}."
