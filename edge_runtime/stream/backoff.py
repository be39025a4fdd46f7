"""How long to wait before the next attempt, and how often to say the same thing."""

from __future__ import annotations

import random

#: Seconds between two messages of one kind: the first gap, doubling, and the longest.
_GAP, _LONGEST_GAP = 2.0, 600.0


class Backoff:
    """Exponential back-off with full jitter (Brooker, "Exponential Backoff And Jitter", 2015).

    Attributes:
        attempts: In a row, since the last :meth:`reset`.
    """

    def __init__(self, first: float, longest: float) -> None:
        """Set the limits.

        Args:
            first: Seconds of the first wait, at most; doubles at each.
            longest: Seconds that a wait never exceeds.
        """
        self._first, self._longest = first, longest
        self.attempts = 0

    def next(self) -> float:
        """Seconds to wait before one more attempt: evenly random, from 0 to the limit."""
        limit = min(self._longest, self._first * 2.0 ** min(self.attempts, 60))
        self.attempts += 1
        return random.uniform(0.0, limit)  # noqa: S311 - no secret

    def reset(self) -> None:
        """All is well again."""
        self.attempts = 0


class Pacer:
    """Lets the first message of a kind through, then one after ever longer gaps."""

    def __init__(self) -> None:
        """Nothing was said yet."""
        self._gap, self._next, self._held = _GAP, float("-inf"), 0

    def held_back(self, now: float) -> int | None:
        """Whether to say something now.

        Args:
            now: ``time.monotonic()`` in seconds.

        Returns:
            How many were held back since the last one that was said; None to hold this one back.
        """
        if now < self._next:
            self._held += 1
            return None
        if now > self._next + _LONGEST_GAP:
            self._gap = _GAP  # it had been quiet
        self._next, self._gap = now + self._gap, min(self._gap * 2, _LONGEST_GAP)
        held, self._held = self._held, 0
        return held
