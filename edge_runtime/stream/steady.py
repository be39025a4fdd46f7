"""Which label stands: answers smoothed over time, with a hysteresis against flicker."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .results import FrameResult, Steady

if TYPE_CHECKING:
    from ..manifest import ModelInfo


@dataclass(frozen=True)
class Smoothing:
    """How answers are smoothed.

    Attributes:
        method: ``exponential`` (mean of scores, weights halving), ``majority`` (of the answers in
            a window) or ``none``.
        window: Frames of the majority; of the exponential mean, its span (alpha = 2/(window+1)).
        hold: Frames in a row that another state has to lead before it takes over.
        margin: By how much a new label's smoothed score has to lead that of the one that stands.
    """

    method: str = "exponential"
    window: int = 5
    hold: int = 3
    margin: float = 0.1


class SteadyLabel:
    """The state of one stream."""

    def __init__(self, smoothing: Smoothing, info: ModelInfo, threshold: float | None) -> None:
        """Begin without a label.

        Args:
            smoothing: How.
            info: The model's classes.
            threshold: Smoothed (calibrated) score under which the state is unknown; None for never.
        """
        self._smoothing, self._info, self._threshold = smoothing, info, threshold
        self._steady: Steady | None = None

    def update(self, result: FrameResult) -> Steady:
        """The state after one more answer; ``changed`` says whether it is a new one."""
        answer, frame = result.prediction, result.frame
        before = self._steady
        same = before is not None and before.label == answer.label
        since = before.since if same and before is not None else frame.time
        number = before.frame if same and before is not None else frame.number
        self._steady = Steady(
            answer.label, answer.index, False, answer.score or 0.0, since, number, not same
        )
        return self._steady
