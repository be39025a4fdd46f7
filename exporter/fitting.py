"""What each file's own scores mean: a temperature and an "unknown" threshold, fitted on photos.

A quantised file is surer or less sure than the network that it was made from, so that neither its
temperature nor its threshold fit.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from edge_runtime.confidence import (
    BINS,
    expected_calibration_error,
    fit_temperature,
    unknown_threshold,
)
from edge_runtime.manifest import OutputSpec
from edge_runtime.postprocess import calibrated, logits_of, probabilities, softmax

#: With fewer photos than this, a single one moves temperature and threshold.
FEW_PHOTOS = 100

#: Share of the right answers that the threshold may lose, where the run does not say it.
DEFAULT_SHARE = 0.05


def fit_output(
    labels: np.ndarray, raw: np.ndarray, output: OutputSpec, step: float, share: float
) -> tuple[OutputSpec, dict[str, Any]]:
    """Fit a file's temperature and "unknown" threshold by the trainer's rules.

    Guo et al. 2017, "On Calibration of Modern Neural Networks". Both are fitted on what the device
    computes, see :func:`edge_runtime.postprocess.calibrated`.

    Args:
        labels: True class indices, int (n,); n at least 1.
        raw: The file's scores, float (n, classes), probabilities or logits.
        output: What they are.
        step: Distance of two neighbouring scores where the output is quantised, else 0.
        share: Of the right answers, that the threshold may call unknown.

    Returns:
        The output with both, and the figures of :func:`judge_output` with ``identifiable``,
        whether the photos determine the temperature, and ``notes``, sentences.
    """
    temperature, note = fit_temperature(labels, logits_of(raw, output, step))
    output = replace(output, temperature=temperature)
    surer = softmax(logits_of(raw, output, step) / temperature)
    output = replace(output, unknown_threshold=unknown_threshold(labels, surer, share))
    notes = [] if note is None else [note]
    if len(labels) < FEW_PHOTOS:
        notes.append(
            f"Only {len(labels)} photos: temperature and threshold are rough. With fewer than "
            f"{FEW_PHOTOS} a single photo moves them."
        )
    figures = judge_output(labels, raw, output, step)
    return output, {**figures, "identifiable": note is None, "notes": notes}


def judge_output(
    labels: np.ndarray, raw: np.ndarray, output: OutputSpec, step: float
) -> dict[str, Any]:
    """What a file's temperature and threshold do.

    Args:
        labels: True class indices, int (n,); n at least 1.
        raw: The file's scores, float (n, classes).
        output: With its temperature and threshold; either may be None.
        step: As for :func:`fit_output`.

    Returns:
        ``temperature``; ``unknown_threshold`` and ``unknown_share``, of these photos, below it;
        ``ece_before`` and ``ece_after`` the temperature, over ``bins`` bins; ``n`` and
        ``mistakes`` of the photos. None where there is no temperature or threshold.
    """
    before, after = probabilities(raw, output), calibrated(raw, output, step)
    shown = before if after is None else after
    limit = output.unknown_threshold
    return {
        "temperature": output.temperature,
        "unknown_threshold": limit,
        "unknown_share": None if limit is None else float((shown.max(axis=1) < limit).mean()),
        "ece_before": expected_calibration_error(labels, before),
        "ece_after": None if after is None else expected_calibration_error(labels, after),
        "bins": BINS,
        "n": len(labels),
        "mistakes": int((raw.argmax(axis=1) != labels).sum()),
    }
