"""Opening a model: what is refused, what is undone, and where its head is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_runtime.backends.full_model import import_keras
from edge_runtime.errors import ModelError
from edge_runtime.manifest import ModelInfo, PreprocessSpec
from exporter.convert_worker import Worker
from exporter.formats.job import Job
from exporter.formats.registry import FORMATS
from exporter.formats.source import Source
from exporter.network import Network
from exporter.opening import open_model
from exporter.options import ExportOptions
from exporter.reference import reference_scores
from trainer.network.backbones import BACKBONES, build_base, get_backbone
from trainer.network.model import build_classifier

INFO = ModelInfo(("a", "b", "c"), PreprocessSpec(16, 16))


@pytest.fixture(scope="module")
def keras() -> Any:
    return import_keras()


def classifier(keras: Any, *first: Any, policy: str = "float32", size: int = 16) -> Any:
    """A convolution and the trainer's head; ``first`` are layers in front."""
    keras.utils.set_random_seed(0)
    image = keras.Input((size, size, 3), name="image")
    x = image
    for layer in first:
        x = layer(x)
    x = keras.layers.Rescaling(1 / 255, dtype=policy)(x)
    x = keras.layers.Conv2D(8, 3, activation="relu", name="features", dtype=policy)(x)
    x = keras.layers.GlobalAveragePooling2D(name="pool", dtype="float32")(x)
    x = keras.layers.Dropout(0.2)(x)
    x = keras.layers.Dense(3, name="logits", dtype="float32")(x)
    return keras.Model(image, keras.layers.Activation("softmax", dtype="float32")(x))


def saved(model: Any, folder: Path) -> Path:
    model.save(folder / "model.keras")
    return folder / "model.keras"


def pixels(n: int = 2, size: int = 16) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, size, size, 3), np.uint8)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_becomes_float32(keras: Any, tmp_path: Path, policy: str) -> None:
    """The weights are float32 under these policies, so nothing is lost."""
    plain = classifier(keras)
    mixed = classifier(keras, policy=policy)
    mixed.set_weights(plain.get_weights())
    opened = open_model(saved(mixed, tmp_path))
    assert {layer.compute_dtype for layer in opened.layers} == {"float32"}
    Network(opened).check(INFO, "model.keras")
    expected = reference_scores(plain, pixels())
    assert np.array_equal(reference_scores(opened, pixels()), expected)


def test_augmentation_layers_pass_photos_on(keras: Any, tmp_path: Path) -> None:
    """They are part of the graph, convert, and change nothing."""
    layers = keras.layers
    augmented = classifier(
        keras,
        layers.RandomFlip("horizontal"),
        layers.RandomRotation(0.2),
        layers.RandomContrast(0.3),
        layers.GaussianNoise(1.0),
    )
    plain = classifier(keras)
    augmented.layers[-1]  # the same weights: augmentation has none but its seeds
    for layer in ("features", "logits"):
        plain.get_layer(layer).set_weights(augmented.get_layer(layer).get_weights())
    network = Network(open_model(saved(augmented, tmp_path)))
    expected = reference_scores(plain, pixels())
    assert np.array_equal(reference_scores(network.model, pixels()), expected)
    source = Source(network, ExportOptions(), tmp_path)
    found = run_tflite(source.tflite().read_bytes(), pixels())
    assert np.abs(found - expected).max() <= 1e-6  # float32 in another order


def run_tflite(model: bytes, photos: np.ndarray) -> np.ndarray:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=model)
    interpreter.allocate_tensors()
    (image,), (scores,) = interpreter.get_input_details(), interpreter.get_output_details()
    answers = []
    for photo in photos:
        interpreter.set_tensor(image["index"], photo[None].astype(np.float32))
        interpreter.invoke()
        answers.append(interpreter.get_tensor(scores["index"])[0])
    return np.stack(answers)


def test_lambda_is_refused_by_name(keras: Any, tmp_path: Path) -> None:
    model = classifier(keras, keras.layers.Lambda(lambda x: x * 2, name="double"))
    with pytest.raises(ModelError, match="layer double is a Lambda"):
        open_model(saved(model, tmp_path))


def test_flex_operator_is_refused_by_layer_and_name(keras: Any, tmp_path: Path) -> None:
    """erfinv has no builtin operator in TFLite, and none in ONNX."""

    @keras.saving.register_keras_serializable("tests")
    class Odd(keras.layers.Layer):
        def call(self, x: Any) -> Any:
            return keras.ops.erfinv(x / 256)

    model = classifier(keras, Odd(name="odd_one"))
    source = Source(Network(model), ExportOptions(), tmp_path)
    for fmt in ("tflite-fp32", "onnx-fp32"):
        job = Job(fmt, source, tmp_path / fmt, source.options)
        with pytest.raises(ModelError, match=rf"{fmt}: odd_one needs the operator Erfinv"):
            FORMATS[fmt].convert(job)
        assert not job.target.exists()


def test_cut_in_half(keras: Any, tmp_path: Path) -> None:
    path = saved(classifier(keras), tmp_path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ModelError, match="damaged or cut off"):
        open_model(path)


@pytest.mark.parametrize(
    ("size", "names", "message"),
    [(8, "abc", "takes 16x16 pixels"), (16, "abcd", "for 4 class names")],
)
def test_model_of_another_run(
    keras: Any, tmp_path: Path, size: int, names: str, message: str
) -> None:
    info = ModelInfo(tuple(names), PreprocessSpec(size, size))
    request = {"model": str(saved(classifier(keras), tmp_path)), "info": info.to_dict()}
    with pytest.raises(ModelError, match=message):
        Worker().open(**request, options=ExportOptions().to_dict(), work=str(tmp_path))


def test_head_of_a_fused_softmax(keras: Any) -> None:
    """Dense(activation="softmax") has logits, too, although no layer gives them."""
    image = keras.Input((16, 16, 3))
    x = keras.layers.Conv2D(4, 3, name="features")(image)
    x = keras.layers.GlobalAveragePooling2D()(x)
    network = Network(keras.Model(image, keras.layers.Dense(3, activation="softmax")(x)))
    assert network.head is not None and network.head.layer == "features"
    photos = pixels().astype(np.float32)
    logits = np.asarray(network.function(logits=True)(photos))
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities = np.asarray(network.function()(photos))
    # The largest logit is about 100, and a float32 has 1.2e-7 of it.
    assert powers / powers.sum(axis=1, keepdims=True) == pytest.approx(probabilities, abs=1e-4)


def test_a_network_that_ends_otherwise(keras: Any) -> None:
    image = keras.Input((16, 16, 3))
    x = keras.layers.Flatten()(keras.layers.Conv2D(4, 3)(image))
    network = Network(keras.Model(image, keras.layers.Dense(3, activation="softmax")(x)))
    assert network.head is None
    network.check(INFO, "model.keras")
    with pytest.raises(ModelError, match="Export without --logits"):
        network.check(INFO, "model.keras", logits=True)


@pytest.mark.parametrize("name", list(BACKBONES))
def test_head_of_every_backbone(name: str) -> None:
    """Built, not run: the graph alone says where the feature map is."""
    network = Network(build_classifier(build_base(get_backbone(name), 32), 2, 0.2))
    assert network.head is not None
    assert network.head.features.shape[1:3] == network.model.get_layer("pool").input.shape[1:3]
    assert network.head.dense.name == "logits"


def test_heatmap_is_gradcam(keras: Any) -> None:
    """relu(F W) / (h w) is the gradient's map for a head behind average pooling."""
    from exporter.reference import Reference

    network = Network(classifier(keras))
    _, maps = network.function_with_heatmap()(pixels().astype(np.float32))
    reference = Reference(network.model)
    for photo, found in zip(pixels(), np.asarray(maps), strict=True):
        for index in range(3):
            expected = reference.heatmap(photo, index)
            assert found[..., index] == pytest.approx(expected, abs=1e-6)  # values to 0.01
