"""The network: one flat graph, what is trained of it, and a float32 copy of it."""

from __future__ import annotations

import numpy as np
import pytest

from edge_runtime.backends.full_model import import_keras, load_keras_model
from edge_runtime.errors import UsageError
from trainer.network.backbones import BACKBONES, build_base
from trainer.network.convnext import convnext_features
from trainer.network.model import (
    FLOAT32,
    HEAD_LAYERS,
    LOGITS,
    POOL,
    backbone_layers,
    build_classifier,
    build_head,
    count_trainable,
    fine_tune_index,
    float32_copy,
    freeze_backbone,
    is_batchnorm,
    part_of,
    precision,
    unfreeze_all,
    unfreeze_from,
)

SIDE, CLASSES = 32, 5
SMALL = BACKBONES["mobilenetv3small"]

#: Layers of it.
COUNT = 157


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    return np.random.RandomState(0).randint(0, 256, (4, SIDE, SIDE, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def model():
    import_keras().utils.set_random_seed(0)
    return build_classifier(build_base(SMALL, SIDE), CLASSES, dropout=0.5)


def answer(model, pixels: np.ndarray) -> np.ndarray:
    return np.asarray(model(pixels, training=False))


def test_one_flat_graph_with_known_names(model) -> None:
    assert not any(hasattr(layer, "layers") for layer in model.layers)
    assert [layer.name for layer in model.layers[-4:]] == list(HEAD_LAYERS)
    assert model.layers[0].name == model.input.name == "image"
    assert (model.input_shape, model.input.dtype) == ((None, SIDE, SIDE, 3), FLOAT32)
    assert model.output_shape == (None, CLASSES)
    assert backbone_layers(model) == model.layers[:-4]
    assert len(model.get_layer(POOL).input.shape) == 4, "the pooling follows the feature map"


def test_probabilities(model, pixels: np.ndarray) -> None:
    found = answer(model, pixels)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-6)
    logits = answer(part_of(model, LOGITS), pixels)
    np.testing.assert_allclose(
        np.exp(logits) / np.exp(logits).sum(1, keepdims=True), found, atol=1e-6
    )


def test_the_head_alone_gives_the_same_logits(model, pixels: np.ndarray) -> None:
    features = answer(part_of(model, POOL), pixels)
    head = build_head(features.shape[1], CLASSES, dropout=0.5)
    head.set_weights(model.get_layer(LOGITS).get_weights())
    np.testing.assert_allclose(
        answer(head, features), answer(part_of(model, LOGITS), pixels), atol=1e-6
    )


def test_phase_1_trains_the_head_alone(model) -> None:
    freeze_backbone(model)
    assert [weight.path for weight in model.trainable_weights] == ["logits/kernel", "logits/bias"]
    features = model.get_layer(POOL).output.shape[-1]
    assert count_trainable(model) == (features + 1) * CLASSES


@pytest.mark.parametrize("index", [0, 60])
def test_phase_2_trains_from_a_layer_up_without_batchnorm(model, index: int) -> None:
    unfreeze_from(model, index)
    for number, layer in enumerate(backbone_layers(model)):
        assert layer.trainable == (number >= index and not is_batchnorm(layer))
    assert model.get_layer(LOGITS).trainable
    assert not any("batch" in weight.path for weight in model.trainable_weights)
    part = part_of(model, LOGITS)
    assert len(part.trainable_weights) == len(model.trainable_weights)


def test_frozen_batchnorm_keeps_its_statistics(model, pixels: np.ndarray) -> None:
    """A frozen BatchNorm runs in inference mode even in a training step."""
    unfreeze_from(model, 0)
    before = [w.numpy() for w in model.non_trainable_weights]
    model(pixels, training=True)
    for old, new in zip(before, model.non_trainable_weights, strict=True):
        np.testing.assert_array_equal(old, new.numpy())


def test_from_scratch_trains_everything(model) -> None:
    unfreeze_all(model, batchnorm_momentum=0.8)
    norms = [layer for layer in model.layers if is_batchnorm(layer)]
    assert norms
    assert all(layer.trainable and layer.momentum == 0.8 for layer in norms)
    assert all(layer.trainable for layer in model.layers)


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (0, "image"),
        (1, "rescaling"),
        (0.0, "image"),
        ("expanded_conv_1_expand", "expanded_conv_1_expand"),
        ("expanded_conv_1", "expanded_conv_1_expand"),  # not expanded_conv_10
        ("expanded_conv_10", "expanded_conv_10_expand"),
        ("conv_1", "conv_1"),  # and not conv_1_bn, nor conv
    ],
)
def test_phase_2_begins_at_an_index_a_share_or_a_name(model, value, name: str) -> None:
    layers = backbone_layers(model)
    found = layers[fine_tune_index(model, value)].name
    assert found == name or (name == "rescaling" and found.startswith(name))
    unfreeze_from(model, value)
    first = next(number for number, layer in enumerate(layers) if layer.trainable)
    assert first == fine_tune_index(model, value)


def test_a_share_counts_the_layers_that_stay_frozen(model) -> None:
    count = len(backbone_layers(model))
    assert fine_tune_index(model, 0.5) == round(0.5 * count)
    assert fine_tune_index(model, 0.29) == round(0.29 * count)
    assert fine_tune_index(model, 0.9999) == count - 1


@pytest.mark.parametrize(
    ("value", "parts"),
    [
        (COUNT, [f"has the layers 0 to {COUNT - 1}, found {COUNT}", "finetune.epochs to 0"]),
        (-1, ["found -1"]),
        (1.0, ["found 1.0", "finetune.epochs to 0"]),
        ("expanded_conv_11", ["Did you mean expanded_conv_1 or ", "expanded_conv_10", "--layers"]),
        ("expandedconv2", ["Did you mean expanded_conv_2 or "]),
        ("frobnicate", ["'frobnicate'. It has the layers image to "]),
    ],
)
def test_a_layer_that_the_backbone_does_not_have(model, value, parts: list[str]) -> None:
    assert len(backbone_layers(model)) == COUNT
    with pytest.raises(UsageError, match=r"^model.fine_tune_at: this backbone has ") as caught:
        fine_tune_index(model, value)
    for part in parts:
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("backbone", "beginning", "before"),
    [
        ("efficientnetb0", "block5", "block4"),
        ("efficientnetv2b0", "block5", "block4"),
        ("resnet50", "conv5_block1", "conv4"),
        ("mobilenetv2", "block_12", "block_11"),
        ("convnexttiny", "stage_3", "stage_2"),
    ],
)
def test_a_block_begins_after_the_one_before(backbone: str, beginning: str, before: str) -> None:
    """Although the layers of a block's branches are mixed, no layer of another block is among them."""
    base = build_base(BACKBONES[backbone], SIDE)
    names = [layer.name for layer in backbone_layers(base)]
    index = fine_tune_index(base, beginning)
    assert names[index].startswith(beginning)
    assert not any(name.startswith(before) for name in names[index:])
    assert not any(name.startswith(beginning) for name in names[:index])


def test_layer_normalization_is_trained() -> None:
    """It has no statistics of other photos that a few hundred would spoil."""
    keras = import_keras()
    image = keras.Input((SIDE, SIDE, 3), name="image")
    base = keras.Model(image, convnext_features(image, ((1, 4), (1, 8))))
    model = build_classifier(base, CLASSES, dropout=0.0)
    unfreeze_from(model, "stage_1")
    trained = {layer.name for layer in backbone_layers(model) if layer.trainable and layer.weights}
    block = "stage_1_block_0_"
    assert trained == {
        "stage_1_downsampling_layernorm",
        "stage_1_downsampling_conv",
        f"{block}depthwise_conv",
        f"{block}layernorm",
        f"{block}pointwise_conv_1",
        f"{block}pointwise_conv_2",
        f"{block}layer_scale",
        "top_layernorm",
    }


def test_float32_copy_of_a_mixed_model(pixels: np.ndarray, tmp_path) -> None:
    keras = import_keras()
    with precision("mixed_float16"):
        mixed = build_classifier(build_base(BACKBONES["efficientnetb0"], SIDE), CLASSES, 0.2)
    assert keras.config.dtype_policy().name == FLOAT32, "the policy is put back"
    assert mixed.get_layer("top_conv").compute_dtype == "float16"
    assert mixed.get_layer(LOGITS).compute_dtype == FLOAT32
    # The one layer that computes from a copy of its weights.
    norm = next(layer for layer in mixed.layers if type(layer).__name__ == "Normalization")
    norm.set_weights([np.array([0.4] * 3), np.array([0.04] * 3), np.array(0)])
    norm.finalize_state()
    plain = float32_copy(mixed, BACKBONES["efficientnetb0"], SIDE, CLASSES, 0.2)
    assert {layer.compute_dtype for layer in plain.layers} == {FLOAT32}
    assert not any(type(layer).__name__ == "Cast" for layer in plain.layers)
    for old, new in zip(mixed.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    found = answer(plain, pixels)
    # float16 carries 11 bits; through 200 layers 0.02 was seen at most.
    np.testing.assert_allclose(found, answer(mixed, pixels), atol=0.05)
    plain.save(tmp_path / "model.keras")
    np.testing.assert_allclose(
        answer(load_keras_model(tmp_path / "model.keras"), pixels), found, atol=1e-6
    )
