"""ONNX classifiers that others made, against what their network computes by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from foreign_models import KERNEL, LABELS, PHOTOS, logits, onnx, photo, softmax

from edge_runtime import Classifier
from edge_runtime.backends.onnx_ending import onnx_ending
from edge_runtime.errors import ModelError, UsageError
from edge_runtime.inspection.model import inspect_model
from edge_runtime.settings import ModelSettings

SAID = ModelSettings(labels=LABELS, normalization="symmetric")

#: float32 and float16 sums in another order than numpy's.
CLOSE, CLOSE_HALF = 1e-6, 5e-3


def answers(file: Path, settings: ModelSettings = SAID) -> np.ndarray:
    """Scores of all photos, (photos, classes), after a check of the labels."""
    classifier = Classifier.open(file, settings=settings)
    for name in PHOTOS:
        assert classifier.classify(photo(name)).label == name
    return np.stack([classifier.scores(photo(name)) for name in PHOTOS])


def expected(end: Any = softmax, mean: Any = 127.5, std: Any = 127.5) -> np.ndarray:
    return np.stack([end(logits(name, mean, std)) for name in PHOTOS])


def output_of(file: Path, settings: ModelSettings = SAID) -> tuple[str, str]:
    """Kind of the scores, and how it was found."""
    report = inspect_model(file, settings=settings)
    return report["output"]["kind"], report["sources"]["output"]


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"layout": "NHWC"},
        {"batch": "n"},
        {"batch": 4},
        {"batch": "n", "side": "side"},
        {"layout": "NHWC", "batch": "n", "side": "side", "classes": "c"},
        {"classes": "c"},
        {"tall": True},
        {"tall": True, "classes": "c"},
        {"extra": True},
        {"opset": 7},
        {"opset": 21},
        {"dtype": "FLOAT16"},
        {"dtype": "DOUBLE"},
    ],
    ids=str,
)
def test_every_form(tmp_path: Path, form: dict[str, Any]) -> None:
    settings = ModelSettings(
        labels=LABELS, normalization="symmetric", size=(8, 8) if "side" in form else None
    )
    found = answers(onnx(tmp_path / "m.onnx", **form), settings)
    close = CLOSE_HALF if form.get("dtype") == "FLOAT16" else CLOSE
    np.testing.assert_allclose(found, expected(), atol=close)


def test_whole_pixels(tmp_path: Path) -> None:
    """An input of uint8 normalises inside: nobody needs to say so, and nobody may say else."""
    file = onnx(tmp_path / "m.onnx", dtype="UINT8", inside=(127.5, 127.5))
    np.testing.assert_allclose(answers(file, ModelSettings(labels=LABELS)), expected(), atol=CLOSE)
    with pytest.raises(UsageError, match="whole pixel values"):
        Classifier.open(file, settings=SAID)


def test_blue_first(tmp_path: Path) -> None:
    file = onnx(tmp_path / "m.onnx", kernel=KERNEL[::-1].copy())
    settings = ModelSettings(labels=LABELS, normalization="symmetric", color="BGR")
    np.testing.assert_allclose(answers(file, settings), expected(), atol=CLOSE)
    mixed_up = Classifier.open(file, settings=SAID)
    assert mixed_up.classify(photo("red")).label == "blue"


@pytest.mark.parametrize("color", ["RGB", "BGR"])
def test_mean_and_std_of_each_channel(tmp_path: Path, color: str) -> None:
    """In the model's own order; the shorthand ``imagenet`` is turned round for BGR."""
    turn = slice(None, None, -1 if color == "BGR" else 1)
    file = onnx(tmp_path / "m.onnx", kernel=KERNEL[turn].copy())
    mean, std = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
    for settings in (
        ModelSettings(labels=LABELS, mean=mean[turn], std=std[turn], color=color),
        ModelSettings(labels=LABELS, normalization="imagenet", color=color),
    ):
        classifier = Classifier.open(file, settings=settings)
        found = np.stack([classifier.scores(photo(name)) for name in PHOTOS])
        np.testing.assert_allclose(found, expected(softmax, mean, std), atol=CLOSE)


@pytest.mark.parametrize(
    ("end", "kind", "found_by"),
    [
        ("softmax", "probabilities", "Softmax at the end of the graph"),
        ("linear", "logits", "MatMul at the end of the graph"),
        ("logsoftmax", "logits", "LogSoftmax at the end of the graph"),
        ("exp", "probabilities", "tried on generated pictures; scores of 0 to 1 that sum to 1"),
    ],
)
def test_end_of_the_graph(tmp_path: Path, end: str, kind: str, found_by: str) -> None:
    file = onnx(tmp_path / "m.onnx", end)
    assert output_of(file)[0] == kind and found_by in output_of(file)[1]
    np.testing.assert_allclose(answers(file), expected(), atol=CLOSE)


def test_independent_classes(tmp_path: Path) -> None:
    """A sigmoid's scores are taken as they are."""
    file = onnx(tmp_path / "m.onnx", "sigmoid")
    sigmoid = expected(lambda values: 1 / (1 + np.exp(-values)))
    found = Classifier.open(file, settings=SAID).scores(photo("red"))
    np.testing.assert_allclose(found, sigmoid[1], atol=CLOSE)
    assert sigmoid[1].sum() != pytest.approx(1, abs=0.1)
    kind, source = output_of(file)
    assert kind == "probabilities" and "each class alone" in source


def test_scores_that_are_neither(tmp_path: Path) -> None:
    file = onnx(tmp_path / "m.onnx", "percent")
    with pytest.raises(ModelError, match="sum to 100 whatever the picture"):
        Classifier.open(file, settings=SAID)
    settings = ModelSettings(labels=LABELS, normalization="symmetric", output="probabilities")
    assert Classifier.open(file, settings=settings).scores(photo("red")).sum() == pytest.approx(100)


def test_option_wins_over_the_graph(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """And is warned of where it would put a softmax behind a softmax."""
    file = onnx(tmp_path / "m.onnx")
    settings = ModelSettings(labels=LABELS, normalization="symmetric", output="logits")
    assert output_of(file, settings) == ("logits", "option")
    assert "ends in Softmax" in caplog.text and "output-kind logits (option)" in caplog.text


def test_names_in_the_metadata(tmp_path: Path) -> None:
    """As Ultralytics' exports have them."""
    names = repr({0: "night", 1: "r", 2: "g", 3: "b's"})
    file = onnx(tmp_path / "m.onnx", names=names)
    classifier = Classifier.open(file, settings=ModelSettings(normalization="symmetric"))
    assert classifier.info.class_names == ("night", "r", "g", "b's")
    assert (
        "names in metadata_props"
        in inspect_model(file, settings=ModelSettings(normalization="symmetric"))["sources"][
            "labels"
        ]
    )
    for wrong in ("{0: 'a'", "__import__('os')", "{1: 'a'}", "3", "'abcd'", "(" * 9999):
        with pytest.raises(ModelError, match="no list of class names"):
            Classifier.open(onnx(tmp_path / "w.onnx", names=wrong))
        assert Classifier.open(tmp_path / "w.onnx", settings=SAID).info.class_names == LABELS


def test_outputs_beside_the_scores(tmp_path: Path) -> None:
    """The number of labels tells scores from an embedding; ``info`` says which was taken."""
    file = onnx(tmp_path / "m.onnx", extra=True)
    assert "output 'scores' (not 'embedding')" in output_of(file)[1]
    with pytest.raises(ModelError, match="2 labels"):
        Classifier.open(file, settings=ModelSettings(labels=("a", "b"), normalization="raw"))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            ModelSettings(),
            "--labels FILE.*4 class names.*--normalization.*raw.*imagenet.*m.onnx.yaml",
        ),
        (ModelSettings(labels=LABELS), "Missing: --normalization"),
        (ModelSettings(normalization="unit"), "Missing: --labels"),
        (ModelSettings(labels=LABELS[:3], normalization="unit"), "3 labels.*4 scores"),
    ],
)
def test_nothing_is_guessed(tmp_path: Path, settings: ModelSettings, said: str) -> None:
    with pytest.raises(ModelError, match=said):
        Classifier.open(onnx(tmp_path / "m.onnx"), settings=settings)


def test_layout_that_the_shape_leaves_open(tmp_path: Path) -> None:
    file = onnx(tmp_path / "m.onnx", side=3)
    with pytest.raises(ModelError, match="--layout NHWC or NCHW"):
        Classifier.open(file, settings=SAID)
    settings = ModelSettings(labels=LABELS, normalization="symmetric", layout="NCHW")
    np.testing.assert_allclose(answers(file, settings), expected(), atol=CLOSE)


def test_size_that_nobody_says(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="--input-size"):
        Classifier.open(onnx(tmp_path / "m.onnx", side="side"), settings=SAID)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (ModelSettings(layout="NHWC"), "layout NHWC does not fit"),
        (ModelSettings(size=(9, 8)), "input-size 9x8 does not fit"),
    ],
)
def test_settings_that_contradict_the_shape(
    tmp_path: Path, settings: ModelSettings, said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        Classifier.open(onnx(tmp_path / "m.onnx"), settings=settings)


def test_file_that_names_no_class(tmp_path: Path) -> None:
    """``info`` succeeds, tells what it found and what is lacking."""
    found = inspect_model(onnx(tmp_path / "m.onnx"))
    assert not found["described"] and "--labels" in found["lacking"]
    assert found["sources"] == {"output": "Softmax at the end of the graph"}


def test_cut_off_graph_is_an_open_ending(tmp_path: Path) -> None:
    """The reader of the wire format gives up on any prefix, and never goes round for ever."""
    content = onnx(tmp_path / "m.onnx").read_bytes()
    random = np.random.default_rng(0)
    assert onnx_ending(tmp_path / "m.onnx", "scores").kind == "softmax"
    file = tmp_path / "cut.onnx"
    for size in range(1, len(content), 7):
        file.write_bytes(content[:size])
        onnx_ending(file, "scores")
    for _ in range(300):
        spoilt = bytearray(content)
        spoilt[random.integers(len(spoilt))] = random.integers(256)
        file.write_bytes(spoilt)
        onnx_ending(file, "scores")
