"""Pictures and the table; what they look like was looked at, here is what must not break."""

from __future__ import annotations

import subprocess
import sys
import warnings

import numpy as np
import pytest
from PIL import Image

from trainer.evaluation.metrics import classification_metrics
from trainer.report.plots import plot_confusion, plot_history
from trainer.report.text import cut, format_metrics_table, table


def rows(phases):
    return [
        {
            "phase": phase,
            "epoch": epoch,
            "loss": 1 / epoch,
            "accuracy": 1 - 0.5 / epoch,
            "val_loss": 1.2 / epoch,
            "val_accuracy": 1 - 0.6 / epoch,
            "learning_rate": 1e-3 if phase == "head" else 1e-5,
        }
        for epoch, phase in enumerate(phases, 1)
    ]


@pytest.mark.parametrize(
    "phases", [["head"] * 3 + ["finetune"] * 2, ["full"], ["finetune"], ["full"] * 60]
)
def test_history_is_a_readable_png(tmp_path, phases):
    plot_history(rows(phases), tmp_path / "history.png")
    with Image.open(tmp_path / "history.png") as image:
        assert image.format == "PNG"
        assert min(image.size) >= 600


def test_history_survives_a_diverged_training(tmp_path):
    """NaN losses and a rate of 0 are gaps in the curves, not errors."""
    data = rows(["full"] * 3)
    data[1]["loss"], data[2]["learning_rate"] = float("nan"), 0.0
    plot_history(data, tmp_path / "history.png")
    assert (tmp_path / "history.png").stat().st_size > 0


def test_same_bytes_each_time(tmp_path):
    for name in ("a.png", "b.png"):
        plot_history(rows(["head", "finetune"]), tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


@pytest.mark.parametrize("classes", [2, 9, 40, 130])
def test_confusion_grows_with_the_classes_but_not_for_ever(tmp_path, classes):
    matrix = np.eye(classes, dtype=int) * 1234
    matrix[0, 1] = 5
    plot_confusion(matrix.tolist(), [f"class {i}" for i in range(classes)], tmp_path / "c.png")
    with Image.open(tmp_path / "c.png") as image:
        # 0.38 inch a class at 120 dots an inch, up to 60 classes.
        assert image.width == pytest.approx(480 + 45.6 * min(classes, 60), abs=2)


def test_class_names_are_text(tmp_path):
    """A dollar starts no formula, a missing letter is no warning, an empty row no division by 0."""
    names = ["$5 and $10", "$\\frac{", "猫 with a very long name that goes on and on"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plot_confusion([[3, 0, 0], [1, 2, 0], [0, 0, 0]], names, tmp_path / "c.png")


def test_pictures_need_no_display():
    """pyplot would pick a window system; the object interface must do."""
    code = "import sys; from trainer.report.plots import plot_confusion as p; p([[1, 0], [0, 1]], ['a', 'b'], sys.argv[1]); print('matplotlib.pyplot' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code, "/dev/null"], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"


def test_table_is_aligned_for_any_letters():
    names = ("cat", "a longer name", "猫")
    labels = np.array([0, 1, 2, 2])
    metrics = classification_metrics(labels, np.eye(3)[[0, 1, 2, 0]], names)
    lines = format_metrics_table(metrics, "validation").splitlines()
    assert lines[0].startswith("validation: accuracy 75.0% (3 of 4 photos), log loss ")
    # 3 of 4: Wilson's 30.1 % to 95.4 %.
    assert lines[1].startswith("95 % interval 30.1% to 95.4%, balanced accuracy 83.3%, ROC-AUC ")
    lines = lines[1:]
    assert lines[1].split() == ["class", "precision", "recall", "F1", "photos"]
    assert lines[2].split() == ["cat", "0.500", "1.000", "0.667", "1"]
    assert lines[4].split() == ["猫", "1.000", "0.500", "0.667", "2"]
    # The Chinese letter takes two columns and one character.
    assert len(lines[1]) == len(lines[2]) == len(lines[3]) == len(lines[4]) + 1


def test_columns_of_any_table():
    lines = table(("class", "n"), [("猫", 12345), ("ä long name", "-")])
    assert lines == ["class            n", "猫           12345", "ä long name      -"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [("cat", "cat"), ("kitten", "kitt…"), ("猫猫", "猫猫"), ("猫猫猫", "猫猫…")],
)
def test_a_name_is_cut_to_columns(text, expected):
    assert cut(text, 5) == expected


def test_tables_need_no_pictures():
    code = "import sys, trainer.report.text; print({'matplotlib', 'numpy'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
