"""Each file's own temperature and "unknown" threshold."""

from __future__ import annotations

import numpy as np
import pytest

from edge_runtime.manifest import OutputSpec
from edge_runtime.postprocess import softmax
from exporter.fitting import fit_output

STEP = 1 / 256


def drawn(n: int, sharpness: float) -> tuple[np.ndarray, np.ndarray]:
    """Labels drawn from softmax(logits), and logits that are too sharp by a factor."""
    random = np.random.default_rng(1)
    logits = random.normal(0, 2, (n, 4))
    labels = (softmax(logits).cumsum(axis=1) > random.random((n, 1))).argmax(axis=1)
    return labels, (logits * sharpness).astype(np.float32)


def test_logits_and_probabilities_say_the_same() -> None:
    labels, logits = drawn(1000, 2.0)
    by_logits, first = fit_output(labels, logits, OutputSpec(kind="logits"), 0.0, 0.05)
    by_scores, second = fit_output(labels, softmax(logits), OutputSpec(), 0.0, 0.05)
    assert by_logits.temperature == pytest.approx(2.0, rel=0.1)  # 1000 photos
    # Scores under 1e-7 are clipped, which those of this sharpness reach on a few photos.
    assert by_scores.temperature == pytest.approx(by_logits.temperature, rel=1e-3)
    assert by_scores.unknown_threshold == pytest.approx(by_logits.unknown_threshold, abs=1e-3)
    assert first["ece_after"] < first["ece_before"]
    assert first["notes"] == second["notes"] == []


def test_a_quantised_softmax_with_zeros() -> None:
    labels, logits = drawn(1000, 2.0)
    rounded = np.round(softmax(logits) / STEP) * STEP
    assert (rounded == 0).any()
    output, figures = fit_output(labels, rounded, OutputSpec(), STEP, 0.05)
    assert output.temperature is not None and 1.2 < output.temperature < 2.2
    assert figures["ece_after"] < figures["ece_before"]


def test_the_threshold_loses_the_runs_share_of_right_answers() -> None:
    labels, logits = drawn(1000, 1.0)
    right = logits.argmax(axis=1) == labels
    for share in (0.0, 0.05, 0.2):
        output, figures = fit_output(labels, softmax(logits), OutputSpec(), 0.0, share)
        surer = softmax(logits / np.float32(output.temperature or 1))
        lost = (surer.max(axis=1)[right] < (output.unknown_threshold or 0)).mean()
        assert lost <= share
        assert lost == pytest.approx(share, abs=2 / right.sum())  # photos with equal scores
        assert figures["unknown_share"] >= lost * right.mean()


def test_few_photos_are_told() -> None:
    labels, logits = drawn(46, 1.0)
    _, figures = fit_output(labels, softmax(logits), OutputSpec(), 0.0, 0.05)
    assert "Only 46 photos" in figures["notes"][-1]


def test_without_a_mistake_the_scores_stay() -> None:
    scores = np.array([[0.9, 0.1], [0.2, 0.8]], np.float32)
    output, figures = fit_output(np.array([0, 1]), scores, OutputSpec(), 0.0, 0.05)
    assert output.temperature == 1
    assert not figures["identifiable"]
