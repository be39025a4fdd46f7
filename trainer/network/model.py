"""The network: one flat functional graph, and which of its layers are trained.

image -> backbone -> feature map -> ``pool`` -> ``dropout`` -> ``logits`` -> ``probabilities``.
Average pooling in front of a linear layer makes a class's heat map a product of the feature map
and the layer's kernel (Zhou et al. 2016, "Learning Deep Features for Discriminative
Localization"), so nothing else may stand between them.
"""

from __future__ import annotations

import contextlib
import difflib
import math
from collections.abc import Iterator
from typing import Any

from edge_runtime.backends.full_model import import_keras
from edge_runtime.errors import UsageError

from ..augmentation.augment import Augmentation
from .backbones import Backbone, build_base
from .weights import copy_weights

POOL, DROPOUT, LOGITS, PROBABILITIES = HEAD_LAYERS = ("pool", "dropout", "logits", "probabilities")

FLOAT32 = "float32"


@contextlib.contextmanager
def precision(policy: str) -> Iterator[None]:
    """Build layers with a Keras dtype policy (``float32`` or ``mixed_float16``)."""
    config = import_keras().config
    before = config.dtype_policy()
    config.set_dtype_policy(policy)
    try:
        yield
    finally:
        config.set_dtype_policy(before)


def build_classifier(base: Any, classes: int, dropout: float) -> Any:
    """Put a linear head on a backbone.

    Args:
        base: Of :func:`trainer.network.backbones.build_base`; its layers become the classifier's.
        classes: Number of classes.
        dropout: Share of the pooled features that is left out while training.

    Returns:
        A flat ``keras.Model`` from ``image``, float32 (n, h, w, 3), RGB 0..255, to
        ``probabilities``, float32 (n, classes); pooling and head are float32 in any policy.
    """
    keras = import_keras()
    pooled = keras.layers.GlobalAveragePooling2D(name=POOL, dtype=FLOAT32)(base.output)
    return keras.Model(base.input, _head(pooled, classes, dropout)[1], name="classifier")


def build_head(features: int, classes: int, dropout: float) -> Any:
    """The head alone, for training on features that were computed before.

    Returns:
        A ``keras.Model`` from float32 (n, features) to logits, float32 (n, classes).
    """
    keras = import_keras()
    pooled = keras.Input((features,), name=POOL, dtype=FLOAT32)
    return keras.Model(pooled, _head(pooled, classes, dropout)[0], name="head")


def _head(pooled: Any, classes: int, dropout: float) -> tuple[Any, Any]:
    layers = import_keras().layers
    kept = layers.Dropout(dropout, name=DROPOUT, dtype=FLOAT32)(pooled)
    logits = layers.Dense(classes, name=LOGITS, dtype=FLOAT32)(kept)
    return logits, layers.Activation("softmax", name=PROBABILITIES, dtype=FLOAT32)(logits)


def part_of(model: Any, output: str) -> Any:
    """The classifier up to one of :data:`HEAD_LAYERS`; it shares the layers."""
    return import_keras().Model(model.input, model.get_layer(output).output, name=f"to_{output}")


def float32_copy(
    model: Any, backbone: Backbone, size: int | None, classes: int, dropout: float
) -> Any:
    """The classifier with the same weights in a float32 graph.

    A graph that was built for ``mixed_float16`` holds casts that a device pays for.
    """
    with precision(FLOAT32):
        plain = build_classifier(build_base(backbone, size), classes, dropout)
    copy_weights(model, plain)
    return plain


def backbone_layers(model: Any) -> list[Any]:
    """The layers in front of the head, in order; ``fine_tune_at`` counts them from 0."""
    return [layer for layer in model.layers if layer.name not in HEAD_LAYERS]


def freeze_backbone(model: Any) -> None:
    """Phase 1: only the head is trained."""
    for layer in backbone_layers(model):
        layer.trainable = False


def unfreeze_from(model: Any, fine_tune_at: int | float | str) -> None:
    """Phase 2: train the head, and the backbone from a layer up; BatchNorm stays as it is.

    A frozen BatchNormalization runs in inference mode: the statistics of a few hundred photos
    would spoil those of ImageNet (github.com/keras-team/keras/issues/9965). LayerNormalization
    (ConvNeXt) has no statistics of other photos, and is trained like any layer.

    Args:
        model: The classifier.
        fine_tune_at: As for :func:`fine_tune_index`.
    """
    index = fine_tune_index(model, fine_tune_at)
    for number, layer in enumerate(backbone_layers(model)):
        layer.trainable = number >= index and not is_batchnorm(layer)


def unfreeze_all(model: Any, batchnorm_momentum: float | None = None) -> None:
    """From scratch: train everything, BatchNorm included.

    Args:
        model: The classifier.
        batchnorm_momentum: Share of the running statistics that a step keeps; None: as built.
    """
    for layer in model.layers:
        layer.trainable = True
        if batchnorm_momentum is not None and is_batchnorm(layer):
            layer.momentum = batchnorm_momentum


def is_batchnorm(layer: Any) -> bool:
    """Whether a layer is a BatchNormalization."""
    return isinstance(layer, import_keras().layers.BatchNormalization)


def fine_tune_index(model: Any, value: int | float | str) -> int:
    """The first backbone layer that phase 2 trains, counted from 0.

    Args:
        model: The classifier or its backbone.
        value: That index; or the share of the layers that stay frozen, from 0.0 to below 1.0; or
            the name of a layer, or the beginning of the names of a block's layers.

    Raises:
        UsageError: The backbone has no such layer; the message lists the near misses.
    """
    names = [layer.name for layer in backbone_layers(model)]
    if isinstance(value, str):
        # A whole name first: block_1 must not stand for block_10, nor conv1 for conv1_pad.
        found = [i for i, name in enumerate(names) if name == value] or [
            i for i, name in enumerate(names) if name.startswith(value)
        ]
        if not found:
            raise UsageError(
                f"model.fine_tune_at: this backbone has no layer whose name begins with {value!r}."
                f"{_near_misses(value, names)} It has the layers {names[0]} to {names[-1]}; "
                "`edge-train backbones --layers NAME` lists them."
            )
        return found[0]
    index = value
    if isinstance(value, float) and 0 <= value < 1:
        index = min(round(value * len(names)), len(names) - 1)
    if isinstance(index, float) or not 0 <= index < len(names):
        raise UsageError(
            f"model.fine_tune_at: this backbone has the layers 0 to {len(names) - 1}, found "
            f"{value}. Name one of them, or set finetune.epochs to 0 to train the head alone."
        )
    return index


def _near_misses(value: str, names: list[str]) -> str:
    """Names, and beginnings of names up to an underscore, that look like ``value``."""
    words = [name.split("_") for name in names]
    known = {"_".join(part[:end]) for part in words for end in range(1, len(part) + 1)}
    near = difflib.get_close_matches(value, sorted(known), n=3)
    return f" Did you mean {' or '.join(near)}?" if near else ""


def count_trainable(model: Any) -> int:
    """Number of trained values."""
    return sum(math.prod(weight.shape) for weight in model.trainable_weights)


def with_changes(model: Any, augmentation: Augmentation) -> Any:
    """A network that, in training, changes the photos first, on the device that it runs on.

    Args:
        model: ``keras.Model`` from float32 (n, h, w, 3); the result shares its layers.
        augmentation: The changes.

    Returns:
        A ``keras.Model`` from ``photo``, uint8 (n, h, w, 3), and ``changes``, float32
        (n, augmentation.width), to what ``model`` gives.
    """
    inputs = _photo_and_changes(model.input_shape[1:], augmentation)
    seen = _only_in_training(augmentation.layer())(inputs)
    return import_keras().Model(inputs, model(seen), name="with_changes")


def changing(shape: tuple[int, int, int], augmentation: Augmentation) -> Any:
    """The changes by themselves, in inference mode, too.

    Args:
        shape: (h, w, 3) of the photos.
        augmentation: The changes.

    Returns:
        A ``keras.Model`` with the inputs of :func:`with_changes`, to float32 (n, h, w, 3).
    """
    inputs = _photo_and_changes(shape, augmentation)
    return import_keras().Model(inputs, augmentation.layer()(inputs), name="changing")


def _photo_and_changes(shape: tuple[int, int, int], augmentation: Augmentation) -> list[Any]:
    keras = import_keras()
    return [
        keras.Input(shape, name="photo", dtype="uint8"),
        keras.Input((augmentation.width,), name="changes", dtype=FLOAT32),
    ]


def _only_in_training(layer: Any) -> Any:
    ops = import_keras().ops

    class OnlyInTraining(import_keras().layers.Layer):  # type: ignore[misc]  # Keras is untyped
        def __init__(self) -> None:
            super().__init__(dtype=FLOAT32, autocast=False, name="only_in_training")
            self.layer = layer

        def build(self, shapes: Any) -> None:
            self.layer.build(shapes)

        def call(self, inputs: Any, training: bool = False) -> Any:
            return self.layer(inputs) if training else ops.cast(inputs[0], FLOAT32)

        def compute_output_shape(self, shapes: Any) -> Any:
            return shapes[0]

    return OnlyInTraining()
