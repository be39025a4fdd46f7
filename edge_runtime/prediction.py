"""The answer for one photo."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .heatmap import Explanation


@dataclass(frozen=True)
class Prediction:
    """The answer for one photo; ``label`` and what belongs to it are None when ``error`` is set.

    Attributes:
        path: The photo as the caller named it.
        label: Class name of the raw top-1.
        index: Its class index.
        score: Its probability, 0..1.
        top: The best classes as (label, index, score), best first.
        calibrated_score: Temperature-scaled probability of ``index``; None without a temperature.
        unknown: Whether it is under the unknown-threshold; None without a threshold.
        ms: Milliseconds of ``decode`` (photo to pixels), ``infer`` and ``total``.
        error: Why the photo could not be classified.
        explanation: Where the network looked for ``index``; None unless it was asked for. Not in
            the JSON.
    """

    path: str
    label: str | None = None
    index: int | None = None
    score: float | None = None
    top: tuple[tuple[str, int, float], ...] = ()
    calibrated_score: float | None = None
    unknown: bool | None = None
    ms: dict[str, float] | None = None
    error: str | None = None
    explanation: Explanation | None = None

    def to_dict(self) -> dict[str, Any]:
        """The JSON object that ``--json`` prints."""
        return {
            "path": self.path,
            "label": self.label,
            "index": self.index,
            "score": self.score,
            "calibrated_score": self.calibrated_score,
            "unknown": self.unknown,
            "top": [{"label": n, "index": i, "score": s} for n, i, s in self.top],
            "ms": self.ms,
            "error": self.error,
        }
