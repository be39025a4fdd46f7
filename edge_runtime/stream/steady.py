"""Which label stands: answers smoothed over time, with a hysteresis against flicker.

Each answer brings the (calibrated) scores of all classes. They are smoothed over a span of *time*,
not of frames, so that a camera of 30 frames a second and one of 2 behave alike, and so that a frame
that was dropped changes nothing:

- ``exponential``: the mean of all answers, each weighted by exp(-age/tau), the exponential moving
  average for unevenly spaced observations (Zumbach and Müller 2001, "Operators on Inhomogeneous Time
  Series"; Eckner 2012, "Algorithms for Unevenly Spaced Time Series"), divided by the sum of the
  weights, which removes the pull towards the first answer (as Kingma and Ba 2015 correct Adam's).
  tau is half the window: the answers are then on average as old as in a plain window of that length.
- ``majority``: the share of answers for each class within the window, the classical vote.
- ``none``: the last answer.

The state changes as a Schmitt trigger does (Schmitt 1938), on two thresholds: another label has to
lead by a margin, and "unknown" is left at a higher score than it is entered at. It also has to do so
in several answers in a row ("hold", as a debounced key), whatever the time between them: one odd
frame of a slow camera is still one frame.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np

from .results import FrameResult, Steady

if TYPE_CHECKING:
    from ..manifest import ModelInfo
    from ..sources.base import Frame

#: What answers are smoothed by.
METHODS = ("exponential", "majority", "none")

#: Of a recorded source without times, pictures in a folder: seconds between two.
_PERIOD = 0.2

#: Stands for "unknown" among class indices.
_UNKNOWN = -1


@dataclass(frozen=True)
class Smoothing:
    """How answers are smoothed.

    Attributes:
        method: One of :data:`METHODS`.
        window: Seconds that the vote looks back; the exponential mean's weights fall to 1/e in
            half of it.
        hold: Answers in a row in which another state has to be ahead before it takes over.
        margin: By how much another label's smoothed score (the majority's share of votes) has to
            lead that of the one that stands, as a fraction of the two together: 0.1 is 55 to 45,
            and it is no harder among a thousand classes, whose scores are all small. And "unknown"
            is left at the threshold plus this, but at most half-way from the threshold to 1.
    """

    method: str = "exponential"
    window: float = 1.0
    hold: int = 3
    margin: float = 0.1


class SteadyLabel:
    """The state of one stream."""

    def __init__(
        self,
        smoothing: Smoothing,
        info: ModelInfo,
        threshold: float | None,
        live: bool = True,
    ) -> None:
        """Begin without a label.

        Args:
            smoothing: How.
            info: The model's classes.
            threshold: Smoothed (calibrated) score under which the state is unknown; None for never.
            live: Whether time is that of arrival; else it is the place in the recording, so that
                two runs decide alike, however fast they are.
        """
        self._smoothing, self._live = smoothing, live
        self._names, self._threshold = info.class_names, threshold
        self._memory = _memory_of(smoothing)
        self._steady: Steady | None = None
        self._begun = 0.0  # of the state, on the stream's clock
        self._rival: int | None = None
        self._led = 0  # answers in a row that the rival was ahead

    def update(self, result: FrameResult) -> Steady:
        """The state after one more answer; ``changed`` says whether it is a new one.

        Args:
            result: Its prediction carries ``scores``.
        """
        scores, frame, now = result.prediction.scores, result.frame, self._clock(result)
        if scores is None:
            raise ValueError("a prediction without its scores cannot be smoothed")
        votes, means = self._memory.add(scores, now)
        ahead = self._ahead(votes, means)
        standing = self._state
        if ahead == standing:
            self._rival, self._led = None, 0
        elif ahead == self._rival:
            self._led += 1
        else:
            self._rival, self._led = ahead, 1
        if ahead != standing and self._led >= self._smoothing.hold:
            return self._take_over(ahead, _score(means, ahead), now, frame)
        score = _score(means, standing)
        if self._steady is None or standing is None:
            return Steady(None, None, False, score, frame.time, frame.number)
        self._steady = replace(self._steady, score=score, changed=False)
        return self._steady

    @property
    def standing(self) -> Steady | None:
        """The state as it is; None before the first answer that was smoothed."""
        return None if self._steady is None else replace(self._steady, changed=False)

    def interrupt(self) -> None:
        """No frame came for a while, or frames of another kind will: forget what was smoothed.

        The label stands until answers say otherwise, ``hold`` of them in a row.
        """
        self._memory = _memory_of(self._smoothing)
        self._rival, self._led = None, 0

    def follow(self, info: ModelInfo, threshold: float | None) -> None:
        """Go on with another model: its classes, its threshold.

        A label that it does not know stands no longer; the next one that takes over says that it
        did before.
        """
        self.interrupt()
        self._threshold = threshold
        if info.class_names == self._names:
            return
        self._names = info.class_names
        if self._steady is not None and self._steady.label is not None:
            known = self._steady.label in self._names
            index = self._names.index(self._steady.label) if known else None
            self._steady = replace(self._steady, index=index)

    @property
    def _state(self) -> int | None:
        if self._steady is None:
            return None
        return _UNKNOWN if self._steady.unknown else self._steady.index

    def _clock(self, result: FrameResult) -> float:
        frame = result.frame
        if self._live:
            return frame.captured
        return frame.number * _PERIOD if frame.seconds is None else frame.seconds

    def _ahead(self, votes: np.ndarray, means: np.ndarray) -> int:
        """The state that this answer speaks for: a class index or :data:`_UNKNOWN`."""
        standing, threshold = self._state, self._threshold
        best = int(votes.argmax())
        if votes is not means:  # of as many votes, the surer
            tied = np.flatnonzero(votes == votes[best])
            best = int(tied[means[tied].argmax()])
        if standing is None or standing == _UNKNOWN:
            needed = threshold
            if threshold is not None and standing == _UNKNOWN:
                needed = threshold + min(self._smoothing.margin, (1 - threshold) / 2)
            return best if needed is None or means[best] >= needed else _UNKNOWN
        sure = threshold is None or means[best] >= threshold
        if best != standing and sure and _lead(votes, best, standing) >= self._smoothing.margin:
            return best
        return _UNKNOWN if threshold is not None and means[standing] < threshold else standing

    def _take_over(self, ahead: int, score: float, now: float, frame: Frame) -> Steady:
        before, unknown = self._steady, ahead == _UNKNOWN
        self._steady = Steady(
            label=None if unknown else self._names[ahead],
            index=None if unknown else ahead,
            unknown=unknown,
            score=score,
            since=frame.time,
            frame=frame.number,
            changed=True,
            previous=None if before is None else before.state,
            stood_s=None if before is None else max(now - self._begun, 0.0),
        )
        self._begun = now
        self._rival, self._led = None, 0
        return self._steady


class _Memory(Protocol):
    def add(self, scores: np.ndarray, now: float) -> tuple[np.ndarray, np.ndarray]:
        """Take one more answer in; what leads is seen in the first, how sure it is in the second.

        Args:
            scores: float (classes,).
            now: Seconds on the stream's clock.

        Returns:
            Evidence for each class, and its smoothed score, float (classes,), 0..1.
        """


class _Last:
    def add(self, scores: np.ndarray, now: float) -> tuple[np.ndarray, np.ndarray]:
        del now
        return scores, scores


class _Exponential:
    def __init__(self, tau: float) -> None:
        self._tau, self._before = tau, float("-inf")
        self._sum, self._weight = np.zeros(1), 0.0

    def add(self, scores: np.ndarray, now: float) -> tuple[np.ndarray, np.ndarray]:
        # A clock that went back, a video begun anew: what was before says nothing.
        passed = now - self._before if now >= self._before else math.inf
        decay = math.exp(-passed / self._tau)
        self._sum = self._sum * decay + scores
        self._weight = self._weight * decay + 1.0
        self._before = now
        means = self._sum / self._weight
        return means, means


class _Majority:
    def __init__(self, window: float) -> None:
        self._window = window
        self._answers: deque[tuple[float, int, np.ndarray]] = deque()
        self._sum = np.zeros(1)
        self._votes = np.zeros(1)

    def add(self, scores: np.ndarray, now: float) -> tuple[np.ndarray, np.ndarray]:
        if not self._answers or now < self._answers[-1][0]:
            self._answers.clear()
            self._sum, self._votes = np.zeros(len(scores)), np.zeros(len(scores))
        best = int(scores.argmax())
        self._answers.append((now, best, scores))
        self._sum += scores
        self._votes[best] += 1
        while now - self._answers[0][0] > self._window:
            _, index, old = self._answers.popleft()
            self._sum -= old
            self._votes[index] -= 1
        return self._votes / len(self._answers), self._sum / len(self._answers)


def _memory_of(smoothing: Smoothing) -> _Memory:
    if smoothing.method == "exponential":
        return _Exponential(smoothing.window / 2)
    if smoothing.method == "majority":
        return _Majority(smoothing.window)
    return _Last()


def _lead(votes: np.ndarray, index: int, other: int) -> float:
    """How far one class is ahead of another, of what the two have together, -1..1."""
    both = float(votes[index] + votes[other])
    return float(votes[index] - votes[other]) / both if both > 0 else 0.0


def _score(means: np.ndarray, state: int | None) -> float:
    known = state is not None and state != _UNKNOWN
    return float(means[state] if known else means.max())
