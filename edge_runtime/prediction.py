"""The answer for one photo."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from .postprocess import calibrated, probabilities, top_k
from .records import dataclass

if TYPE_CHECKING:
    import numpy as np

    from .heatmap import Explanation
    from .manifest import ModelInfo


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
        ms: Milliseconds of work on this photo: ``decode`` (photo to input tensor), ``infer`` (of
            photos that shared a run, each its share) and ``total``. Waiting, where photos are
            decoded ahead, is in none.
        error: Why the photo could not be classified.
        explanation: Where the network looked for ``index``; None unless it was asked for. Not in
            the JSON.
        scores: What ``unknown`` is decided by, of all classes, float32 (classes,): calibrated where
            there is a temperature, else raw; None unless asked for. Not in the JSON.
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
    scores: np.ndarray | None = None

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


def predict(
    path: str,
    raw: np.ndarray,
    maps: np.ndarray | None,
    info: ModelInfo,
    step: float,
    k: int,
    decoding: float,
    inference: float,
    keep: bool = False,
) -> Prediction:
    """From what the network gave to the answer.

    Args:
        path: Name of the photo.
        raw: Its scores as the file gives them, float32 (classes,).
        maps: Where the best score comes from, float32 (h, w, 1); None without an explanation.
        info: What they mean.
        step: Distance of two neighbouring scores where the output is quantised, else 0.
        k: How many of the best classes ``top`` lists.
        decoding: Seconds from photo to input tensor.
        inference: Seconds of the run, or its share of them.
        keep: Whether the answer carries the ``scores`` of all classes.
    """
    start = time.perf_counter()
    output, names = info.output, info.class_names
    scores = probabilities(raw, output)
    best = top_k(scores, max(k, 1))
    index, score = best[0], float(scores[best[0]])
    tempered = calibrated(raw, output, step)
    confidence = None if tempered is None else float(tempered[index])
    threshold = output.unknown_threshold
    certain = score if confidence is None else confidence
    explanation = None
    if maps is not None:
        from .heatmap import Explanation

        explanation = Explanation(
            heatmap=maps[..., 0], index=index, label=names[index], score=score
        )
    return Prediction(
        path=path,
        label=names[index],
        index=index,
        score=score,
        top=tuple((names[i], i, float(scores[i])) for i in best[:k]),
        calibrated_score=confidence,
        unknown=None if threshold is None else certain < threshold,
        ms={
            "decode": _ms(decoding),
            "infer": _ms(inference),
            "total": _ms(decoding + inference + time.perf_counter() - start),
        },
        explanation=explanation,
        scores=None if not keep else scores if tempered is None else tempered,
    )


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)
