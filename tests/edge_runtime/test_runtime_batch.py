"""Files of any batch and any type give the scores of the network that they were made from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import small_model as small

from edge_runtime.backends.base import Backend
from edge_runtime.classifier import Classifier
from edge_runtime.manifest import OutputSpec
from edge_runtime.opening import open_backend
from edge_runtime.postprocess import probabilities


@pytest.fixture(scope="module")
def model() -> Any:
    """The Keras model."""
    return small.network()


@pytest.fixture(scope="module")
def photos() -> np.ndarray:
    """Two and a half batches of four."""
    return small.pixels(10)


@pytest.fixture(scope="module")
def expected(model: Any, photos: np.ndarray) -> np.ndarray:
    """What the Keras model says of them."""
    return np.asarray(model(photos.astype(np.float32), training=False))


def keras_file(model: Any, batch: Any, folder: Path) -> Path:
    model.save(folder / "model.keras")
    return folder / "model.keras"


FORMS: dict[str, Callable[[Any, Any, Path], Path]] = {
    "tflite": lambda model, batch, folder: small.tflite(model, folder / "m.tflite", batch),
    "onnx": lambda model, batch, folder: small.onnx(model, folder / "m.onnx", batch or "n"),
    "saved_model": lambda model, batch, folder: small.saved_model(model, batch, folder / "m"),
}


@pytest.mark.parametrize("batch", [1, 4, None])
@pytest.mark.parametrize("form", list(FORMS))
def test_one_photo_and_many(
    model: Any, photos: np.ndarray, expected: np.ndarray, tmp_path: Path, form: str, batch: Any
) -> None:
    backend = open_backend(FORMS[form](model, batch, tmp_path), threads=1)
    assert (backend.batch, backend.classes) == (batch, small.CLASSES)
    tensor = backend.prepare(photos[3])
    assert tensor.shape == (1, small.SIDE, small.SIDE, 3)
    one = backend.infer(tensor)
    many = backend.scores_many(photos)
    assert (many.shape, many.dtype, one.shape) == ((10, 3), np.float32, (3,))
    np.testing.assert_allclose(many, expected, atol=small.CLOSE)
    # One photo again, after a batch of another size went through the same interpreter.
    np.testing.assert_allclose(backend.scores(photos[3]), expected[3], atol=small.CLOSE)
    np.testing.assert_allclose(one, expected[3], atol=small.CLOSE)
    assert backend.scores_many(photos[:0]).shape == (0, 3)


def test_keras(model: Any, photos: np.ndarray, expected: np.ndarray, tmp_path: Path) -> None:
    backend = open_backend(keras_file(model, None, tmp_path))
    assert backend.batch is None
    np.testing.assert_allclose(backend.scores_many(photos), expected, atol=small.CLOSE)
    np.testing.assert_allclose(backend.scores(photos[3]), expected[3], atol=small.CLOSE)


def test_batches_are_as_large_as_the_file_says(photos: np.ndarray) -> None:
    """A fixed batch is filled with its last photo, a dynamic one has at most 16."""
    seen = []

    class Counter(Backend):
        name, input_size, classes = "counter", None, 1

        def prepare(self, pixels: np.ndarray) -> np.ndarray:
            return pixels

        def run(self, tensor: np.ndarray) -> np.ndarray:
            seen.append(tensor.mean(axis=(1, 2, 3)).round().tolist())
            return tensor.mean(axis=(1, 2, 3))[:, None]

    counter = Counter()
    numbered = np.arange(20, dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 2, 3), np.uint8)
    for batch, sizes in ((8, [8, 8, 8]), (None, [16, 4]), (1, [1] * 20)):
        counter.batch = batch
        seen.clear()
        assert counter.scores_many(numbered)[:, 0].tolist() == list(range(20))
        assert [len(group) for group in seen] == sizes
    counter.batch = 8
    seen.clear()
    counter.scores_many(numbered)
    assert seen[-1] == [16, 17, 18, 19, 19, 19, 19, 19]


INT8, INT16 = (
    "TFLITE_BUILTINS_INT8",
    "EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8",
)


@pytest.mark.parametrize(
    ("inputs", "outputs", "ops", "tolerance"),
    [
        # The step of the 8-bit softmax is 1/256; 0.0041 was measured.
        ("uint8", "uint8", INT8, 0.006),
        ("int8", "int8", INT8, 0.006),
        ("float32", "float32", INT8, 0.006),
        ("uint8", "float32", INT8, 0.006),
        # 16-bit activations: the 8-bit weights are what is left; 0.0028 was measured.
        ("int16", "int16", INT16, 0.004),
        ("float32", "float32", INT16, 0.004),
    ],
)
def test_quantised_inputs_and_outputs(
    model: Any,
    photos: np.ndarray,
    expected: np.ndarray,
    tmp_path: Path,
    inputs: str,
    outputs: str,
    ops: str,
    tolerance: float,
) -> None:
    set_up = small.quantized(inputs, outputs, ops)
    backend = open_backend(small.tflite(model, tmp_path / "m.tflite", 1, set_up), threads=1)
    assert backend.prepare(photos[0]).dtype == inputs
    scores = backend.scores_many(photos)
    assert scores.dtype == np.float32
    assert 0 < np.abs(scores - expected).max() < tolerance


def test_onnx_logits(model: Any, photos: np.ndarray, expected: np.ndarray, tmp_path: Path) -> None:
    file = small.onnx(model, tmp_path / "m.onnx", logits=True, info=small.LOGITS_INFO)
    classifier = Classifier.open(file)
    raw = classifier.backend.scores_many(photos)
    assert np.abs(raw.sum(axis=1) - 1).max() > 0.1, "these are no probabilities"
    scores = probabilities(raw, OutputSpec(kind="logits"))
    np.testing.assert_allclose(scores, expected, atol=small.CLOSE)
    found = classifier.classify_pixels(photos[0], "x", 0.0)
    assert found.score == pytest.approx(expected[0].max(), abs=small.CLOSE)


@pytest.mark.parametrize("half", ["inside", "all"])
def test_onnx_float16(
    model: Any, photos: np.ndarray, expected: np.ndarray, tmp_path: Path, half: str
) -> None:
    backend = open_backend(small.onnx(model, tmp_path / "m.onnx", half=half))
    assert backend.prepare(photos[0]).dtype == ("float16" if half == "all" else "float32")
    scores = backend.scores_many(photos)
    assert scores.dtype == np.float32
    # float16 has 11 bits, so 5e-4 of each value; 6e-5 was measured.
    assert 0 < np.abs(scores - expected).max() < 1e-4
