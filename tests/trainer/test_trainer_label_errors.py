"""Predictions as a table, and the photos that they say are labelled wrongly."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from edge_runtime.errors import DataError, OutputExists, UsageError
from trainer.evaluation.label_errors import confident_disagreements, find_suspects
from trainer.evaluation.predictions import Predictions, join, read_predictions, write_predictions

NAMES = ("path", "猫, 'cat'", "p_x")


def some(n: int = 6, part: str = "val") -> Predictions:
    random = np.random.default_rng(1)
    probabilities = random.dirichlet(np.ones(3), n).astype(np.float32)
    paths = [f"/photos/{part}/{i}\udcff.jpg" for i in range(n)]
    return Predictions(NAMES, paths, [part] * n, random.integers(0, 3, n), probabilities)


def test_predictions_come_back_as_they_were(tmp_path):
    """Also with class names like a column's, with commas, and paths that are not UTF-8."""
    both = join([some(), some(4, "test")])
    write_predictions(both, tmp_path / "p.csv", temperature=2.0)
    found = read_predictions(tmp_path / "p.csv")
    assert (found.class_names, found.paths, found.parts) == (NAMES, both.paths, both.parts)
    np.testing.assert_array_equal(found.labels, both.labels)
    # Six digits are written.
    np.testing.assert_allclose(found.probabilities, both.probabilities, rtol=1e-5)
    assert found.of("test").paths == some(4, "test").paths
    with open(tmp_path / "p.csv", newline="", encoding="utf-8", errors="surrogateescape") as stream:
        row = next(csv.DictReader(stream))
    raw = both.probabilities[0].astype(np.float64)
    assert row["answer"] == NAMES[raw.argmax()]
    assert float(row["score"]) == pytest.approx(raw.max(), rel=1e-5)
    # At temperature 2 the probabilities go as their square roots.
    assert float(row["calibrated_score"]) == pytest.approx(
        np.sqrt(raw.max()) / np.sqrt(raw).sum(), rel=1e-4
    )
    assert float(row["p_p_x"]) == pytest.approx(raw[2], rel=1e-5)


def test_without_a_temperature_there_is_no_calibrated_score(tmp_path):
    write_predictions(some(1), tmp_path / "p.csv")
    text = (tmp_path / "p.csv").read_text(encoding="utf-8", errors="surrogateescape")
    assert next(csv.DictReader(text.splitlines()))["calibrated_score"] == ""
    with pytest.raises(OutputExists):
        write_predictions(some(1), tmp_path / "p.csv", overwrite=False)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected the columns path, part"),
        ("path,label\n", "found path, label"),
        ("path,part,label,answer,score,calibrated_score,p_a\n", "no row"),
        ("path,part,label,answer,score,calibrated_score,p_a\nx,val,b,a,1,,1\n", "line 2"),
        ("path,part,label,answer,score,calibrated_score,p_a\nx,val,a,a,1,,1,2\n", "2 probab"),
    ],
)
def test_a_table_of_something_else(tmp_path, text, message):
    (tmp_path / "p.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        read_predictions(tmp_path / "p.csv")
    with pytest.raises(UsageError, match="no such file"):
        read_predictions(tmp_path / "absent.csv")


def test_confident_disagreement_by_hand():
    """Thresholds are 0.6 for class 0, (0.9 + 0.1 + 0.8) / 3 = 0.6 for class 1, none for class 2."""
    labels = np.array([0, 0, 1, 1, 1])
    probabilities = np.array(
        [
            [0.9, 0.05, 0.05],
            [0.3, 0.5, 0.2],  # rather 1, but below its threshold: no suspect
            [0.05, 0.9, 0.05],
            [0.7, 0.1, 0.2],  # 0.7 >= 0.6: a suspect
            [0.1, 0.8, 0.1],
        ]
    )
    assert confident_disagreements(labels, probabilities) == [(3, 0)]


def test_a_photo_that_passes_two_thresholds_belongs_to_the_more_probable():
    labels = np.array([0, 1, 1, 0])
    probabilities = np.array([[0.3, 0.7], [0.45, 0.55], [0.45, 0.55], [0.3, 0.7]])
    # Thresholds 0.3 and 0.55: photos 0 and 3 pass both.
    assert confident_disagreements(labels, probabilities) == [(0, 1), (3, 1)]


def test_flipped_labels_are_found_and_come_first():
    """300 photos of three classes that a network tells apart, 9 labels flipped of clear photos."""
    random = np.random.default_rng(3)
    truth, certainty = np.repeat(np.arange(3), 100), random.uniform(0.4, 0.9, 300)
    labels, flipped = truth.copy(), random.choice(300, 9, replace=False)
    certainty[flipped] = 0.9
    probabilities = np.tile((1 - certainty)[:, None] / 2, 3)
    probabilities[np.arange(300), truth] = certainty
    labels[flipped] = (truth[flipped] + 1) % 3
    predictions = Predictions(
        ("a", "b", "c"), [str(i) for i in range(300)], ["oof"] * 300, labels, probabilities
    )
    found = find_suspects(predictions)
    assert {int(suspect.path) for suspect in found} == set(flipped)
    gaps = [s.suggestion_probability - s.label_probability for s in found]
    assert gaps == sorted(gaps, reverse=True)
    first = found[0]
    assert first.suggestion == "abc"[truth[int(first.path)]]
    assert not first.learned
    assert find_suspects(predictions, learned=True)[0].to_dict()["learned"] is True


def test_a_photo_that_is_answered_as_labelled_is_no_suspect():
    """Photo 0 passes the low threshold of class 1, 0.3, and not that of its own, 0.7."""
    labels = np.array([0, 0, 1, 2])
    probabilities = np.array(
        [[0.5, 0.36, 0.14], [0.9, 0.05, 0.05], [0.6, 0.3, 0.1], [0.1, 0.3, 0.6]], np.float32
    )
    assert confident_disagreements(labels, probabilities) == [(0, 1)]
    paths = [str(number) for number in range(4)]
    assert find_suspects(Predictions(NAMES, paths, ["val"] * 4, labels, probabilities)) == []
