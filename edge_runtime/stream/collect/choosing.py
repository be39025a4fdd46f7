"""Which of the frames that are worth labelling are kept, when not all of them may be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .reasons import REASONS

if TYPE_CHECKING:
    from ..results import FrameResult

#: Seconds after which another frame is looked at when none of those at hand was new.
PAUSE = 1.0


@dataclass(frozen=True)
class Candidate:
    """A frame that is worth labelling.

    Attributes:
        result: Its answer.
        reason: Why it would be kept.
        reasons: All that speaks for it, with how strongly it does: larger is stronger.
    """

    result: FrameResult
    reason: str
    reasons: Mapping[str, float]


class Chooser:
    """Holds the strongest frame of each reason until one may be kept, and is fair among reasons.

    A reason that is rare is not crowded out by one that every frame has: of the reasons at hand the
    one that was served longest ago comes first. At most one frame a reason is held.
    """

    def __init__(self, every: float) -> None:
        """Begin; at least ``every`` seconds lie between two frames that are kept."""
        self._every = every
        self._waiting: dict[str, Candidate] = {}
        self._served = {reason: float(place) for place, reason in enumerate(REASONS)}
        self._turn = float(len(REASONS))
        self._next: float | None = None

    def offer(self, result: FrameResult, reasons: Mapping[str, float]) -> None:
        """Hold a frame if it is the strongest for one of its reasons; of equal ones the newest."""
        for reason, strength in reasons.items():
            held = self._waiting.get(reason)
            if held is None or strength >= held.reasons[reason]:
                self._waiting[reason] = Candidate(result, reason, dict(reasons))

    def take(self, moment: float) -> Candidate | None:
        """The next frame to look at, in turn; None if it is too early or there is none.

        Args:
            moment: Seconds, of the clock that :meth:`kept` and :meth:`passed_over` are told.
        """
        if self._next is not None and self._next - self._every > moment:
            self._next = None  # a clock that went back: a video from its beginning
        if not self._waiting or (self._next is not None and moment < self._next):
            return None
        reason = min(self._waiting, key=lambda name: self._served[name])
        chosen = self._waiting.pop(reason)
        for other in [name for name, c in self._waiting.items() if c.result is chosen.result]:
            del self._waiting[other]
        return chosen

    def kept(self, candidate: Candidate, moment: float) -> None:
        """A frame was kept (or could not be, and trying at once again would be no use)."""
        self._served[candidate.reason] = self._turn
        self._turn += 1
        self._next = moment + self._every

    def passed_over(self, moment: float) -> None:
        """None of those at hand was new; looking at every frame would cost more than it gives."""
        self._next = moment + min(PAUSE, self._every)
