"""One readable line a photo."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .plain import visible

if TYPE_CHECKING:
    from ..prediction import Prediction
    from . import Extra

#: Decimals of a score, and as many as are tried where rounding would make two scores equal.
_DECIMALS, _MOST_DECIMALS = 3, 6


class Lines:
    """``path: label score (calibrated score)  [the next classes]``, or the error."""

    def __init__(self, threshold: float | None) -> None:
        """Remember the threshold that ``unknown`` was decided by."""
        self._threshold = threshold

    def head(self) -> str:
        """Nothing."""
        return ""

    def row(self, prediction: Prediction, extra: Extra) -> str:
        """One line; control characters in names are shown, not sent to the terminal."""
        path = prediction.path
        if prediction.error is not None:
            text = f"error: {prediction.error.removeprefix(f'{path}: ')}"
        else:
            text = format_answer(prediction, self._threshold)
        done = "".join(f" -> {place}" for place in extra.values() if place is not None)
        return f"{visible(f'{path}: {text}{done}')}\n"


def format_answer(prediction: Prediction, threshold: float | None = None) -> str:
    """Label and scores, then the runners-up in brackets.

    An answer that is "unknown" begins with that word: the raw score of its label may be high all
    the same, and a person who reads only the beginning of the line must not take it for sure.

    Args:
        prediction: Without an error.
        threshold: What ``unknown`` was decided by, to be named.
    """
    others = ", ".join(f"{label} {score:.3f}" for label, _, score in prediction.top[1:])
    tail = f"  [{others}]" if others else ""
    answer = f"{prediction.label} {prediction.score:.3f}"
    sure = prediction.calibrated_score
    if prediction.unknown:
        return f"unknown ({answer}{_why(prediction, threshold)}){tail}"
    return answer + ("" if sure is None else f" (calibrated {sure:.3f})") + tail


def _why(prediction: Prediction, threshold: float | None) -> str:
    sure = prediction.calibrated_score
    if threshold is None:
        return "" if sure is None else f"; calibrated {sure:.3f}"
    if sure is None:
        _, limit = _apart(prediction.score or 0.0, threshold)
        return f", under {limit}"
    low, limit = _apart(sure, threshold)
    return f"; calibrated {low}, under {limit}"


def _apart(low: float, high: float) -> tuple[str, str]:
    """Two scores with as many decimals as it takes to tell them apart, and to name the higher."""
    decimals = _DECIMALS
    while decimals < _MOST_DECIMALS and not (
        round(high, decimals) == high and round(low, decimals) < high
    ):
        decimals += 1
    return f"{low:.{decimals}f}", f"{high:.{decimals}f}"
