"""Reliability, temperature and thresholds on answers whose truth is known."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from edge_runtime.confidence import BINS, HIGHEST_TEMPERATURE, unknown_threshold
from edge_runtime.manifest import OutputSpec
from edge_runtime.postprocess import calibrated
from trainer.evaluation.calibration import (
    answers_above,
    class_thresholds,
    fit_temperature,
    known_answers,
    reliability,
    scaled,
)


def drawn(n: int, temperature: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Labels drawn from softmax(logits / temperature), and softmax(logits), which is off by it."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, 2, (n, 4))
    truth = np.exp(logits / temperature)
    truth /= truth.sum(axis=1, keepdims=True)
    labels = (truth.cumsum(axis=1) > random.random((n, 1))).argmax(axis=1)
    given = np.exp(logits)
    return labels, (given / given.sum(axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_the_temperature_that_made_the_labels_is_found(temperature):
    labels, probabilities = drawn(4000, temperature)
    found = fit_temperature(labels, probabilities)
    low, high = found["interval"]
    # 4000 labels determine it to about 3 % (one standard error); the interval has 95 %.
    assert found["value"] == pytest.approx(temperature, rel=0.1)
    assert low < temperature < high
    assert found["identifiable"] and found["note"] is None
    assert found["log_loss_after"] <= found["log_loss_before"]
    before, after = (
        reliability(labels, scaled(probabilities, t))["ece"] for t in (None, found["value"])
    )
    assert after < 0.02
    assert after < before or temperature == 1.0
    assert json.loads(json.dumps(found)) == found


def test_the_interval_is_where_the_likelihood_falls_by_1_92():
    labels, probabilities = drawn(300, 2.0)
    found = fit_temperature(labels, probabilities)
    for end in found["interval"]:
        loss = -np.log(scaled(probabilities.astype(np.float64), end)[np.arange(300), labels]).mean()
        assert 300 * (loss - found["log_loss_after"]) == pytest.approx(1.9207, abs=1e-3)


def test_no_mistake_leaves_the_scores_alone():
    """Without one the log loss falls for ever as the temperature goes to 0."""
    labels = np.array([0, 1, 2, 1])
    probabilities = np.full((4, 3), 0.2, np.float32)
    probabilities[np.arange(4), labels] = 0.6
    found = fit_temperature(labels, probabilities)
    assert (found["value"], found["identifiable"], found["mistakes"]) == (1.0, False, 0)
    assert found["interval"] == [None, None]
    assert "too few mistakes" in found["note"]


def test_answers_that_are_worse_than_chance_end_at_the_bound():
    labels = np.zeros(6, int)
    probabilities = np.tile(np.array([[0.01, 0.98, 0.01]], np.float32), (6, 1))
    found = fit_temperature(labels, probabilities)
    assert (found["value"], found["identifiable"]) == (HIGHEST_TEMPERATURE, False)


def test_saturated_and_few_photos_stay_finite():
    for labels in ([0], [1], [0, 1]):
        probabilities = np.eye(2, dtype=np.float32)[[0] * len(labels)]
        found = fit_temperature(np.array(labels), probabilities)
        assert 0.1 <= found["value"] <= 10
        assert math.isfinite(found["log_loss_after"])


def test_calibrated_scores_are_those_of_the_device():
    _, probabilities = drawn(50, 2.0)
    spec = OutputSpec(temperature=1.7)
    single = np.stack([calibrated(row, spec) for row in probabilities])
    # float32 softmax: a few units in the last place.
    np.testing.assert_allclose(scaled(probabilities, 1.7), single, atol=1e-7)
    assert scaled(probabilities, None) is probabilities


def test_reliability_counted_by_hand():
    """Scores 0.9 (right), 0.9 (wrong) and 0.6 (right)."""
    labels = np.array([0, 1, 1])
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.4, 0.6]])
    found = reliability(labels, probabilities)
    # Two photos 0.4 off and one 0.4 off.
    assert found["ece"] == pytest.approx((2 * 0.4 + 0.4) / 3)
    assert found["brier"] == pytest.approx((2 * 0.01 + 2 * 0.81 + 2 * 0.16) / 3)
    assert found["log_loss"] == pytest.approx(-(math.log(0.9) + math.log(0.1) + math.log(0.6)) / 3)
    assert len(found["bins"]) == BINS == 15
    full = [row for row in found["bins"] if row["n"]]
    assert [(row["n"], row["accuracy"]) for row in full] == [(1, 1.0), (2, 0.5)]
    # 0.6 is the upper edge of the ninth bin and belongs to it.
    assert found["bins"][8]["n"] == 1
    assert found["bins"][8]["score"] == pytest.approx(0.6)
    assert found["bins"][0]["score"] is None


def test_a_sure_score_is_in_the_last_bin():
    assert reliability(np.array([0]), np.array([[1.0, 0.0]]))["bins"][-1]["n"] == 1


def answers(scores: list[float], right: list[bool]) -> tuple[np.ndarray, np.ndarray]:
    """Two classes; the answer is always class 0 with a score above 0.5."""
    probabilities = np.array([[score, 1 - score] for score in scores])
    return np.array([0 if yes else 1 for yes in right]), probabilities


def test_unknown_threshold_loses_the_wanted_share_of_right_answers():
    scores = [0.5 + i / 100 for i in range(1, 41)]  # 0.51 to 0.90
    labels, probabilities = answers(scores, [True] * 40)
    threshold = unknown_threshold(labels, probabilities, 0.05)
    # Two of 40 may go: 0.51 and 0.52.
    assert threshold == pytest.approx(0.53, abs=1e-4)
    found = known_answers(labels, probabilities, threshold)
    assert found == {
        "n": 40, "coverage": 0.95, "accuracy": 1.0, "right_lost": 0.05, "mistakes_caught": None,
    }  # fmt: skip
    assert unknown_threshold(labels, probabilities, 0.0) == pytest.approx(0.51, abs=1e-4)


def test_wrong_answers_do_not_move_the_unknown_threshold():
    labels, probabilities = answers([0.55, 0.6, 0.7, 0.99], [False, True, True, False])
    threshold = unknown_threshold(labels, probabilities, 0.05)
    assert threshold <= 0.6
    assert threshold == pytest.approx(0.6, abs=1e-4)
    found = known_answers(labels, probabilities, threshold)
    assert (found["coverage"], found["mistakes_caught"], found["right_lost"]) == (0.75, 0.5, 0.0)
    assert found["accuracy"] == pytest.approx(2 / 3)
    assert unknown_threshold(*answers([0.6], [False]), 0.05) is None


def test_class_thresholds_are_the_smallest_that_are_precise_enough():
    labels, probabilities = answers(
        [0.6, 0.7, 0.8, 0.9, 0.95], [True, False, True, True, True]
    )  # class 0 answered five times
    found = class_thresholds(labels, probabilities, ("cat", "dog"), 0.95)
    assert found["cat"] == {
        "threshold": pytest.approx(0.8), "answers": 5, "kept": 3, "precision": 1.0, "support": 4,
    }  # fmt: skip
    # Never answered.
    assert found["dog"] == {
        "threshold": None, "answers": 0, "kept": 0, "precision": None, "support": 1,
    }  # fmt: skip
    # 4 of 5 is 0.8: every answer will do.
    assert class_thresholds(labels, probabilities, ("cat", "dog"), 0.8)["cat"]["threshold"] == 0.0
    wrong = answers([0.6, 0.9], [True, False])
    assert class_thresholds(*wrong, ("cat", "dog"), 0.95)["cat"]["threshold"] is None


def test_a_threshold_on_other_photos():
    labels, probabilities = answers([0.6, 0.85, 0.9], [True, False, True])
    assert answers_above(labels, probabilities, 0, 0.8) == {
        "threshold": 0.8, "answers": 3, "kept": 2, "precision": 0.5, "support": 2,
    }  # fmt: skip
