"""Why a frame is worth labelling: decisions on answers alone."""

from __future__ import annotations

import itertools
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ...prediction import Prediction
    from ..results import FrameResult

UNKNOWN, MARGIN, FLICKER, DRIFT = "unknown", "margin", "flicker", "drift"

#: All reasons, in the order in which the first frames of a run are shared out.
REASONS = (UNKNOWN, MARGIN, FLICKER, DRIFT)

#: Results among which changes of the raw label are counted.
WINDOW = 20

#: Results within which a steady label that comes back counts as flicker: five windows, since the
#: hysteresis of a steady label spends a part of each on every change.
_RETURN = 5 * WINDOW


def margin(answer: Prediction, temperature: float | None) -> float | None:
    """Distance of the two best calibrated scores, 0..1.

    A softmax at temperature T turns the ratio r of two scores into r^(1/T) (Guo et al. 2017), so
    that the second calibrated score follows from the first and both raw ones.

    Args:
        answer: Of a frame.
        temperature: Of the model; None for raw scores.

    Returns:
        None where only one class is listed.
    """
    if len(answer.top) < 2 or answer.error is not None:
        return None
    first, second = answer.top[0][2], answer.top[1][2]
    if temperature is None or answer.calibrated_score is None:
        return first - second
    ratio = second / first if first > 0 else 1.0
    return float(answer.calibrated_score * (1.0 - ratio ** (1.0 / temperature)))


class Flicker:
    """Whether labels come and go faster than what the camera sees can."""

    def __init__(self, limit: int) -> None:
        """Begin.

        Args:
            limit: Changes of the raw label among :data:`WINDOW` results that count.
        """
        self._limit, self._count = limit, 0
        self._labels: deque[int | None] = deque(maxlen=WINDOW)
        self._states: deque[tuple[str | None, int]] = deque(maxlen=3)

    def update(self, result: FrameResult) -> int:
        """Look at one more result.

        Returns:
            Changes of the raw label among the latest results, if they are too many while the
            steady label stands; :data:`WINDOW` if the steady label itself came back to what it
            was; else 0.
        """
        self._count += 1
        self._labels.append(result.prediction.index)
        steady = result.steady
        if steady is not None and (not self._states or self._states[-1][0] != steady.state):
            self._states.append((steady.state, self._count))
            if self._came_back():
                return WINDOW
        stands = not self._states or self._count - self._states[-1][1] >= len(self._labels) - 1
        labels = list(self._labels)
        changes = sum(a != b for a, b in itertools.pairwise(labels))
        return changes if stands and changes >= self._limit else 0

    def _came_back(self) -> bool:
        if len(self._states) < 3:
            return False
        first, _, last = self._states
        return first[0] == last[0] is not None and last[1] - first[1] <= _RETURN
