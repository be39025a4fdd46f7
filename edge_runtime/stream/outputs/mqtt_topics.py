"""The topics of a stream below its prefix."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Topics:
    """Names of topics.

    Attributes:
        prefix: In front of all.
    """

    prefix: str

    @property
    def availability(self) -> str:
        """``online`` or ``offline``, retained; the broker says the latter for a stream that died."""
        return f"{self.prefix}/availability"

    @property
    def state(self) -> str:
        """What stands, retained: JSON."""
        return f"{self.prefix}/state"

    @property
    def event(self) -> str:
        """Each event, not retained: JSON."""
        return f"{self.prefix}/event"

    @property
    def result(self) -> str:
        """Answers of frames, by option, not retained: JSON."""
        return f"{self.prefix}/result"
