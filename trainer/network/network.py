"""The classifier to be trained: built once, in the right precision, on the right devices."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from edge_runtime.backends.full_model import import_keras

from ..augmentation.augment import Augmentation
from ..config.schema import Config
from ..distribution import Distribution, single_device
from .backbones import Backbone, build_base, get_backbone
from .model import (
    FLOAT32,
    LOGITS,
    POOL,
    build_classifier,
    fine_tune_index,
    float32_copy,
    part_of,
    precision,
    with_changes,
)
from .weights import WeightsSource, load_weights


@dataclass(frozen=True)
class Network:
    """A classifier to be trained."""

    model: Any  #: ``keras.Model``, built with ``policy``
    backbone: Backbone
    source: WeightsSource  #: of the backbone's weights
    policy: str  #: Keras dtype policy
    classes: int
    distribution: Distribution

    @property
    def features(self) -> int:
        """Number of pooled features, k."""
        return int(self.model.get_layer(POOL).output.shape[-1])

    def scope(self) -> contextlib.AbstractContextManager[Any]:
        """Where the variables of a training are made."""
        return self.distribution.scope()

    def for_training(self, augmentation: Augmentation) -> Any:
        """The network with the changes in front, ending in logits; it shares the layers.

        Built with ``policy``, so that Keras scales the loss of ``mixed_float16``: small gradients
        would be zeros in 16 bits (Micikevicius et al. 2018, "Mixed Precision Training").
        """
        with self.scope(), precision(self.policy):
            return with_changes(part_of(self.model, LOGITS), augmentation)

    def finished_model(self, config: Config) -> Any:
        """The classifier as it is saved: a float32 graph, whatever it was trained in."""
        if self.policy == FLOAT32:
            return self.model
        size, dropout = config.image.size, config.model.dropout
        return float32_copy(self.model, self.backbone, size, self.classes, dropout)


def build_network(
    config: Config,
    classes: int,
    policy: str = FLOAT32,
    distribution: Distribution | None = None,
    fill: Callable[[Any], WeightsSource] | None = None,
) -> Network:
    """Build the classifier and load its weights; the seed decides the rest of them.

    Args:
        config: The configuration.
        classes: Number of classes.
        policy: Keras dtype policy, such as ``mixed_float16``.
        distribution: Devices; None for one.
        fill: Loads the weights into the backbone in place of what the configuration names.

    Raises:
        UsageError: Unknown backbone, no such weights file or layer.
        DataError: The weights do not fit.
        MissingComponent: A package is missing, or the weights could not be downloaded.
    """
    distribution = distribution or single_device()
    backbone = get_backbone(config.model.backbone)
    import_keras().utils.set_random_seed(config.seed)
    with distribution.scope(), precision(policy):
        base = build_base(backbone, config.image.size)
        source = fill(base) if fill else load_weights(base, backbone, config.model.weights)
        model = build_classifier(base, classes, config.model.dropout)
    if config.model.fine_tune_at is not None:
        fine_tune_index(model, config.model.fine_tune_at)  # a mistake is told before the training
    return Network(model, backbone, source, policy, classes, distribution)
