"""Calibration error, temperature and unknown threshold of scores whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from edge_runtime.confidence import (
    BINS,
    HIGHEST_TEMPERATURE,
    expected_calibration_error,
    fit_temperature,
    log_loss,
)
from edge_runtime.manifest import OutputSpec
from edge_runtime.postprocess import calibrated, logits_of


def test_calibration_error_by_hand() -> None:
    """Two bins: three answers at 0.9 of which two are right, one at 0.6 that is right."""
    scores = np.array([[0.9, 0.1], [0.9, 0.1], [0.9, 0.1], [0.6, 0.4]])
    labels = np.array([0, 0, 1, 0])
    expected = (3 * abs(0.9 - 2 / 3) + 1 * abs(0.6 - 1)) / 4
    assert expected_calibration_error(labels, scores) == pytest.approx(expected)
    assert BINS == 15  # Guo et al. 2017


@pytest.mark.parametrize("temperature", [0.3, 1.0, 4.0])
def test_no_other_temperature_loses_less(temperature: float) -> None:
    random = np.random.default_rng(0)
    truth = random.normal(0, 2, (500, 5))
    powers = np.exp(truth)
    labels = (powers / powers.sum(axis=1, keepdims=True)).cumsum(axis=1) > random.random((500, 1))
    labels, logits = labels.argmax(axis=1), truth * temperature
    found, note = fit_temperature(labels, logits)
    assert note is None
    assert found == pytest.approx(temperature, rel=0.15)  # 500 photos
    for factor in (0.999, 1.001):
        assert log_loss(labels, logits, found) < log_loss(labels, logits, found * factor)


def test_what_photos_cannot_tell() -> None:
    sure = np.array([[5.0, 0.0], [0.0, 5.0]])
    value, note = fit_temperature(np.array([0, 1]), sure)
    assert value == 1
    assert note is not None and "too few mistakes" in note
    value, note = fit_temperature(np.array([1, 0]), sure)  # always wrong
    assert value == HIGHEST_TEMPERATURE
    assert note is not None and "next to nothing" in note


def test_exact_zeros_of_a_quantised_softmax() -> None:
    """Half a step stands for what was rounded to nothing; a float file is clipped at 1e-7."""
    scores = np.array([1.0, 0.0, 0.0], np.float32)
    step = 1 / 256
    half = calibrated(scores, OutputSpec(temperature=1), step)
    assert half is not None
    assert half[1] == pytest.approx(step / 2 / (1 + step))
    plain = calibrated(scores, OutputSpec(temperature=1))
    assert plain is not None and plain[1] == pytest.approx(1e-7, rel=1e-3)
    logits = np.array([-3.0, 2.0])
    assert logits_of(logits, OutputSpec(kind="logits"), step) is logits
