"""Figures that were counted by hand."""

from __future__ import annotations

import json
import math
import warnings

import numpy as np
import pytest

from edge_runtime.errors import DatasetError, ModelError
from trainer.evaluation.intervals import wilson
from trainer.evaluation.metrics import classification_metrics, true_class_ranks

NAMES = ("cat", "dog", "猫 Größe")


def test_figures_counted_by_hand():
    """Two cats (one taken for a dog), two dogs (both right), no third class."""
    labels = np.array([0, 0, 1, 1], np.int32)
    probabilities = np.array(
        [[0.7, 0.2, 0.1], [0.25, 0.5, 0.25], [0.1, 0.8, 0.1], [0.0, 1.0, 0.0]], np.float32
    )
    metrics = classification_metrics(labels, probabilities, NAMES)
    assert metrics["n"] == 4
    assert metrics["accuracy"] == 0.75
    # float32 holds 0.7 and 0.8 to 6e-8.
    expected = -(math.log(0.7) + math.log(0.25) + math.log(0.8) + math.log(1)) / 4
    assert metrics["log_loss"] == pytest.approx(expected, abs=1e-7)
    assert metrics["confusion_matrix"] == [[1, 1, 0], [0, 2, 0], [0, 0, 0]]
    per_class = metrics["per_class"]
    assert list(per_class) == list(NAMES)
    assert per_class["cat"] == {
        "precision": 1.0,
        "recall": 0.5,
        "f1": pytest.approx(2 / 3),
        "support": 2,
        "roc_auc": 1.0,  # 0.7 and 0.25 are above 0.1 and 0
    }
    assert per_class["dog"] == {
        "precision": pytest.approx(2 / 3),
        "recall": 1.0,
        "f1": pytest.approx(0.8),
        "support": 2,
        "roc_auc": 1.0,  # 0.8 and 1 are above 0.2 and 0.5
    }
    assert per_class[NAMES[2]] == {
        "precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 0, "roc_auc": None,
    }  # fmt: skip
    # Of the classes with photos; a class that is not there is no fault of the network.
    assert metrics["macro_f1"] == pytest.approx((2 / 3 + 0.8) / 2)
    assert metrics["macro_precision"] == pytest.approx((1 + 2 / 3) / 2)
    assert metrics["macro_recall"] == metrics["balanced_accuracy"] == pytest.approx(0.75)
    assert metrics["macro_roc_auc"] == 1.0
    assert metrics["top_k"] == {}, "of three classes the right one is always in the top-3"
    assert metrics["accuracy_interval"] == wilson(3, 4)


def test_roc_auc_counts_pairs_in_the_right_order():
    """Positives 0.9 and 0.4, negatives 0.6 and 0.1: three of four pairs."""
    scores = np.array([0.9, 0.4, 0.6, 0.1])
    metrics = classification_metrics(
        np.array([0, 0, 1, 1]), np.stack([scores, 1 - scores], 1), NAMES[:2]
    )
    assert metrics["per_class"]["cat"]["roc_auc"] == 0.75
    assert metrics["macro_roc_auc"] == 0.75
    one = classification_metrics(np.array([0]), np.array([[0.9, 0.1]]), NAMES[:2])
    assert one["macro_roc_auc"] is None


def test_top_k_gives_ties_to_the_lower_index_as_the_device_does():
    from edge_runtime.postprocess import top_k

    random = np.random.default_rng(0)
    probabilities = random.integers(0, 4, (200, 7)) / 10  # many ties
    labels = random.integers(0, 7, 200)
    ranks = true_class_ranks(labels, probabilities)
    assert [
        top_k(row, 7).index(label) for row, label in zip(probabilities, labels, strict=True)
    ] == list(ranks)
    names = tuple("abcdefg")
    exact = probabilities + 0.01
    exact /= exact.sum(axis=1, keepdims=True)
    found = classification_metrics(labels, exact, names)["top_k"]
    expected = {
        str(k): np.mean([label in top_k(row, k) for row, label in zip(exact, labels, strict=True)])
        for k in (3, 5)
    }
    assert found == expected


def test_plain_json_types_and_no_warnings():
    random = np.random.default_rng(0)
    probabilities = random.random((50, 3)).astype(np.float32)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        metrics = classification_metrics(random.integers(0, 3, 50), probabilities, NAMES)
    assert json.loads(json.dumps(metrics)) == metrics


def test_a_right_class_with_probability_0_gives_a_finite_loss():
    metrics = classification_metrics(
        np.array([0, 1]), np.array([[0, 1, 0], [0, 1, 0]], np.float32), NAMES
    )
    assert math.isfinite(metrics["log_loss"])


def test_nothing_to_evaluate_and_a_diverged_network():
    with pytest.raises(DatasetError, match="No photo"):
        classification_metrics(np.zeros(0, np.int32), np.zeros((0, 3), np.float32), NAMES)
    with pytest.raises(ModelError, match="diverged"):
        classification_metrics(np.array([0]), np.full((1, 3), np.nan, np.float32), NAMES)
