"""TFLite classifiers that others made: their standard metadata, and what it leaves out."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from foreign_models import (
    LABELS,
    PHOTOS,
    keras_network,
    logits,
    photo,
    softmax,
    tflite,
    with_metadata,
)

from edge_runtime import Classifier
from edge_runtime.errors import ModelError, UsageError
from edge_runtime.inspection.model import inspect_model
from edge_runtime.settings import ModelSettings

SYMMETRIC = ([127.5], [127.5])
TEXT = "".join(f"{name}\n" for name in LABELS).encode()
AXIS, VALUE = 2, 3

CLOSE = 1e-6  # float32 sums in another order than numpy's
STEPS = 0.05  # int8 weights and activations of a network with logits to 4


@pytest.fixture(scope="module")
def bare() -> SimpleNamespace:
    """Files without metadata."""
    return SimpleNamespace(
        softmax=tflite(keras_network()),
        linear=tflite(keras_network("linear")),
        sigmoid=tflite(keras_network("sigmoid")),
        planar=tflite(keras_network(planar=True)),
        dynamic=tflite(keras_network(side=None)),
        grey=tflite(keras_network(grey=True)),
        rescaled=tflite(keras_network("rescaled")),
        uint8=tflite(keras_network(), "uint8"),
        int8=tflite(keras_network(), "int8"),
        odd=tflite(keras_network(), "uint8", low=-2.1, high=2.6),
    )


def write(tmp_path: Path, content: bytes, **metadata: Any) -> Path:
    file = tmp_path / "m.tflite"
    usual = {"labels": {"labels.txt": (AXIS, "")}, "files": {"labels.txt": TEXT}}
    usual["normalization"] = SYMMETRIC
    file.write_bytes(with_metadata(content, **{**usual, **metadata}))
    return file


def check(file: Path, close: float = CLOSE, settings: ModelSettings | None = None) -> None:
    """All photos get their labels and the scores of the network."""
    classifier = Classifier.open(file, settings=settings)
    for name in PHOTOS:
        assert classifier.classify(photo(name)).label == name
        np.testing.assert_allclose(
            classifier.scores(photo(name)), softmax(logits(name)), atol=close
        )


@pytest.mark.parametrize(
    ("form", "close"),
    [("softmax", CLOSE), ("linear", CLOSE), ("planar", CLOSE), ("uint8", STEPS), ("int8", STEPS)],
)
def test_nothing_but_metadata(
    bare: SimpleNamespace, tmp_path: Path, form: str, close: float
) -> None:
    check(write(tmp_path, getattr(bare, form)), close)


def test_what_info_says(bare: SimpleNamespace, tmp_path: Path) -> None:
    about = {0: "Colours", 2: "v1", 4: "Somebody", 5: "Apache-2.0"}
    file = write(tmp_path, bare.linear, about=about, threshold=0.25, calibration="c.txt")
    found = inspect_model(file)
    assert found["class_names"] == list(LABELS)
    assert found["input"] == {"mean": (127.5,), "std": (127.5,), "layout": "NHWC", "color": "RGB"}
    assert found["output"]["kind"] == "logits"
    assert found["about"] == {
        "name": "Colours", "version": "v1", "author": "Somebody", "license": "Apache-2.0",
        "score_threshold": 0.25, "score_calibration": "c.txt (not applied)",
    }  # fmt: skip
    sources = found["sources"]
    assert sources["labels"] == "metadata (labels.txt)" and sources["normalization"] == "metadata"
    assert sources["output"] == "FULLY_CONNECTED at the end of the graph; softmax is added"
    assert sources["layout"] == sources["size"] == "the shape of the input"


def test_sigmoid(bare: SimpleNamespace, tmp_path: Path) -> None:
    file = write(tmp_path, bare.sigmoid)
    found = Classifier.open(file).scores(photo("red"))
    np.testing.assert_allclose(found, 1 / (1 + np.exp(-logits("red"))), atol=CLOSE)
    assert "each class alone" in inspect_model(file)["sources"]["output"]


def test_unknown_operator_at_the_end(bare: SimpleNamespace, tmp_path: Path) -> None:
    """x * x / x of a softmax is the softmax: only running it tells."""
    file = write(tmp_path, bare.rescaled)
    check(file)
    assert "tried on generated pictures" in inspect_model(file)["sources"]["output"]


def test_any_size(bare: SimpleNamespace, tmp_path: Path) -> None:
    """The size is that of the metadata, or of the user; the interpreter is told."""
    with pytest.raises(ModelError, match="--input-size"):
        Classifier.open(write(tmp_path, bare.dynamic))
    file = write(tmp_path, bare.dynamic, size=(8, 6))
    check(file)
    assert Classifier.open(file).info.preprocess.width == 8
    check(file, settings=ModelSettings(size=(16, 12)))


def test_other_size_in_the_metadata(bare: SimpleNamespace, tmp_path: Path) -> None:
    """The tensor has the last word."""
    check(write(tmp_path, bare.softmax, size=(224, 224)))


def test_keras_file_of_others(tmp_path: Path) -> None:
    """The full model takes the same settings; what its scores are is tried."""
    file = tmp_path / "theirs.keras"
    keras_network("linear", planar=True).save(file)
    check(file, settings=ModelSettings(labels=LABELS, normalization="symmetric"))
    with pytest.raises(ModelError, match="Missing: --labels"):
        Classifier.open(file)


def test_greyscale(bare: SimpleNamespace, tmp_path: Path) -> None:
    """Kernel 4 x (0, 1, 0, -1): white is class 1, black class 3."""
    classifier = Classifier.open(write(tmp_path, bare.grey, color=2))
    assert classifier.info.input.color == "GRAY"
    for value, label in ((255, "red"), (0, "blue")):
        assert classifier.classify(np.full((9, 9, 3), value, np.uint8)).label == label


@pytest.mark.parametrize("form", ["uint8", "int8"])
def test_quantised_range_tells_the_normalisation(
    bare: SimpleNamespace, tmp_path: Path, form: str
) -> None:
    """An input of real values -1 to 1 in 256 steps takes pixels, whoever says nothing."""
    file = write(tmp_path, getattr(bare, form), normalization=None)
    check(file, STEPS)
    assert "range of the quantised input" in inspect_model(file)["sources"]["normalization"]


def test_quantised_range_that_tells_nothing(bare: SimpleNamespace, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="Missing: --normalization"):
        Classifier.open(write(tmp_path, bare.odd, normalization=None))


def test_metadata_that_the_quantisation_contradicts(bare: SimpleNamespace, tmp_path: Path) -> None:
    """Values 0 to 255 in a range of -1 to 1: programs that pass pixels never notice."""
    file = write(tmp_path, bare.uint8, normalization=([0.0], [1.0]))
    assert Classifier.open(file).classify(photo("dark")).label == "dark"
    assert "which cannot be" in inspect_model(file)["sources"]["normalization"]


def test_float_without_normalisation(bare: SimpleNamespace, tmp_path: Path) -> None:
    file = write(tmp_path, bare.softmax, normalization=None)
    with pytest.raises(ModelError, match=r"Missing: --normalization.*symmetric \(-1 to 1\)"):
        Classifier.open(file)
    check(file, settings=ModelSettings(normalization="symmetric"))


def test_fractions_in_the_metadata(bare: SimpleNamespace, tmp_path: Path) -> None:
    file = write(tmp_path, bare.softmax, normalization=([0.5], [0.5]))
    with pytest.raises(ModelError, match=r"they are mean 127\.5 and std 127\.5"):
        Classifier.open(file)
    check(file, settings=ModelSettings(mean=(127.5,), std=(127.5,)))


def test_option_wins_over_metadata(bare: SimpleNamespace, tmp_path: Path) -> None:
    file = write(tmp_path, bare.softmax, normalization=([0.0], [255.0]))
    assert Classifier.open(file).classify(photo("dark")).label == "red"
    settings = ModelSettings(labels=("night", "r", "g", "b"), normalization="symmetric")
    assert Classifier.open(file, settings=settings).classify(photo("dark")).label == "night"


@pytest.mark.parametrize(
    ("labels", "chosen"),
    [
        ({"labels_de.txt": (AXIS, "de"), "labels.txt": (AXIS, "")}, "labels.txt"),
        ({"labels_de.txt": (AXIS, "de"), "labels_en.txt": (AXIS, "en")}, "labels_en.txt"),
        ({"labels_de.txt": (AXIS, "de")}, "labels_de.txt"),
        # Some writers leave the locale out.
        ({"labels_de.txt": (AXIS, ""), "labels.txt": (AXIS, "")}, "labels.txt"),
        ({"values.txt": (VALUE, ""), "labels.txt": (AXIS, "")}, "labels.txt"),
        ({"values.txt": (VALUE, "")}, "values.txt"),
    ],
)
def test_which_labels(
    bare: SimpleNamespace, tmp_path: Path, labels: dict[str, Any], chosen: str
) -> None:
    others = b"eins\nzwei\ndrei\nvier\n"
    files = {name: TEXT if name == chosen else others for name in labels}
    check(write(tmp_path, bare.softmax, labels=labels, files=files))


def test_labels_as_people_save_them(bare: SimpleNamespace, tmp_path: Path) -> None:
    text = "\ufeff" + "\r\n".join(("dark", "red", "", "blue", "", "")) + "\r\n"
    found = Classifier.open(write(tmp_path, bare.softmax, files={"labels.txt": text.encode()}))
    assert found.info.class_names == ("dark", "red", "class 2", "blue")
    doubled = write(tmp_path, bare.softmax, files={"labels.txt": b"dark\nred\nred\nblue\n"})
    classifier = Classifier.open(doubled)
    answer = classifier.classify(photo("green"))
    assert (answer.label, answer.index) == ("red", 2)
    with pytest.raises(UsageError, match="'#1' or '#2'"):
        classifier.explain(photo("green"), "red")


def test_background_is_an_answer(bare: SimpleNamespace, tmp_path: Path) -> None:
    text = TEXT.replace(b"dark", b"background")
    classifier = Classifier.open(write(tmp_path, bare.softmax, files={"labels.txt": text}))
    assert classifier.classify(photo("dark")).label == "background"
    one_more = write(tmp_path, bare.softmax, files={"labels.txt": b"background\n" + TEXT})
    check(one_more)
    assert "taken away" in inspect_model(one_more)["sources"]["labels"]


@pytest.mark.parametrize(
    ("metadata", "said"),
    [
        ({"files": {"labels.txt": b"dark\nred\n"}}, "2 labels.*4 scores"),
        ({"files": {"other.txt": TEXT}}, "'labels.txt', which are not in the file"),
        ({"files": None}, "'labels.txt', which are not in the file"),
        ({"files": {"labels.txt": b"\xff\xfe"}}, "UTF-8"),
        ({"labels": None}, "Missing: --labels"),
        ({"normalization": ([], [1.0])}, "expected one number or three"),
        ({"normalization": ([1.0, 2.0], [1.0])}, "expected one number or three"),
        ({"normalization": ([0.0], [0.0])}, "above 0"),
        ({"color": 2}, "GRAY does not fit"),
    ],
)
def test_metadata_that_cannot_be_right(
    bare: SimpleNamespace, tmp_path: Path, metadata: dict[str, Any], said: str
) -> None:
    with pytest.raises(ModelError, match=said):
        Classifier.open(write(tmp_path, bare.softmax, **metadata))


def test_labels_of_the_user_in_place_of_damaged_ones(bare: SimpleNamespace, tmp_path: Path) -> None:
    check(write(tmp_path, bare.softmax, files=None), settings=ModelSettings(labels=LABELS))


def test_damaged_metadata_is_never_more_than_an_error(
    bare: SimpleNamespace, tmp_path: Path
) -> None:
    """Any byte of what the metadata says, changed at random."""
    from edge_runtime.foreign.traits import tflite_traits

    whole = write(tmp_path, bare.softmax).read_bytes()
    spans = [(whole.index(b"M001") - 4, 400), (whole.index(b"PK\x03\x04"), 400)]
    random = np.random.default_rng(1)
    file = tmp_path / "spoilt.tflite"
    for _ in range(300):
        spoilt = bytearray(whole)
        start, length = spans[random.integers(2)]
        spoilt[min(start + random.integers(length), len(whole) - 1)] = random.integers(256)
        file.write_bytes(spoilt)
        try:
            tflite_traits(file)
        except ModelError as error:
            assert "spoilt.tflite" in str(error)


@pytest.mark.shared
def test_coral_mobilenet() -> None:
    """The classifier of google-coral/test_data; its notice says what MediaPipe answers."""
    shared = Path(os.environ.get("EDGE_CLASSIFY_SHARED", Path(__file__).parents[3] / "shared"))
    folder = shared / "models"
    if not folder.is_dir():
        pytest.skip(f"{folder} is not there")
    classifier = Classifier.open(folder / "mobilenet_v2_1.0_224_quant.tflite")
    assert len(classifier.info.class_names) == 1001
    for name, label, score in (("parrot.jpg", "macaw", 0.996), ("cat.bmp", "Egyptian cat", 0.832)):
        answer = classifier.classify(folder / name)
        # 0.02: MediaPipe stretches the photo, this crops it.
        assert answer.label == label and answer.score == pytest.approx(score, abs=0.02)
