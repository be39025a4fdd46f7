"""The network through its phases: head, then fine-tuning; or everything at once from scratch."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge_runtime.backends.full_model import import_keras, import_tensorflow
from edge_runtime.errors import SystemFailure

from .augment import augmenter
from .backbones import Backbone, build_base, get_backbone
from .batches import feature_batches, photo_batches, plain_batches, steps_per_epoch
from .config import Config, PhaseConfig
from .data import Sample
from .environment import gpus
from .features import pooled_features
from .model import (
    FLOAT32,
    LOGITS,
    MIXED,
    build_classifier,
    build_head,
    check_fine_tune_at,
    float32_copy,
    freeze_backbone,
    part_of,
    precision,
    unfreeze_all,
    unfreeze_from,
)
from .phases import Phase, run_phase
from .weights import WeightsSource, load_weights

_log = logging.getLogger("trainer")


@dataclass(frozen=True)
class Photos:
    """A decoded part of the data set."""

    images: np.ndarray  #: uint8 (n, h, w, 3), memory-mapped
    labels: np.ndarray  #: int32 (n,)
    samples: list[Sample]  #: the n photos


@dataclass(frozen=True)
class Network:
    """A classifier to be trained."""

    model: Any  #: ``keras.Model``, built with ``policy``
    backbone: Backbone
    source: WeightsSource  #: of the backbone's weights
    policy: str  #: Keras dtype policy
    classes: int


def build_network(config: Config, classes: int) -> Network:
    """Build the classifier and load its weights; the seed decides the rest of them.

    Raises:
        UsageError: Unknown backbone, no such weights file or layer.
        DataError: The weights do not fit.
        MissingComponent: TensorFlow is not installed, or the weights could not be downloaded.
    """
    backbone = get_backbone(config.model.backbone)
    mixed = config.mixed_precision == "on" or (config.mixed_precision == "auto" and gpus())
    policy = MIXED if mixed else FLOAT32
    import_keras().utils.set_random_seed(config.seed)
    with precision(policy):
        base = build_base(backbone, config.image.size)
        source = load_weights(base, backbone, config.model.weights)
        model = build_classifier(base, classes, config.model.dropout)
    if config.model.fine_tune_at is not None:
        check_fine_tune_at(model, config.model.fine_tune_at)
    return Network(model, backbone, source, policy, classes)


def train_network(
    network: Network,
    config: Config,
    train: Photos,
    val: Photos,
    work: Path,
    checkpoints: Path,
    rows: list[dict[str, Any]],
) -> str:
    """Train, and leave the best weights in the network.

    Args:
        network: Of :func:`build_network`; changed in place.
        config: The configuration.
        train: Photos to learn from.
        val: Photos that choose the best epoch.
        work: Folder for the features of phase 1.
        checkpoints: Folder for the best weights of each phase.
        rows: Rows of ``history.csv``; one is appended an epoch.

    Returns:
        Name of the phase that the weights come from.

    Raises:
        ModelError: The training diverged.
        SystemFailure: No memory or disk left.
    """
    with _out_of_memory():
        if config.from_scratch:
            unfreeze_all(network.model, config.full.batchnorm_momentum)
            phase = _phase("full", config.full, config.full_epochs, config, checkpoints)
            _train_on_photos(network, phase, config, train, val, rows, False)
            return "full"
        kept = ""
        if config.head.epochs:
            _train_head(network, config, train, val, work, checkpoints, rows)
            kept = "head"
        if config.finetune.epochs:
            at = config.model.fine_tune_at
            unfreeze_from(network.model, network.backbone.fine_tune_at if at is None else at)
            phase = _phase("finetune", config.finetune, config.finetune.epochs, config, checkpoints)
            if _train_on_photos(network, phase, config, train, val, rows, bool(kept)):
                kept = "finetune"
            else:
                _log.info(
                    "Fine-tuning did not help on the validation part; the head's end is kept."
                )
        return kept


def finished_model(network: Network, config: Config) -> Any:
    """The classifier as it is saved: a float32 graph, whatever it was trained in."""
    if network.policy == FLOAT32:
        return network.model
    return float32_copy(
        network.model, network.backbone, config.image.size, network.classes, config.model.dropout
    )


def _phase(name: str, own: PhaseConfig, epochs: int, config: Config, checkpoints: Path) -> Phase:
    return Phase(name, own, epochs, config.callbacks, checkpoints / f"{name}.weights.h5")


def _train_on_photos(
    network: Network,
    phase: Phase,
    config: Config,
    train: Photos,
    val: Photos,
    rows: list[dict[str, Any]],
    keep_if_not_better: bool,
) -> bool:
    size, classes = config.batch_size, network.classes
    # Another seed than phase 1's, whose views would come again.
    seed = config.seed + 1
    return run_phase(
        part_of(network.model, LOGITS),
        phase,
        photo_batches(train.images, train.labels, classes, size, seed, augmenter(config.augment)),
        steps_per_epoch(len(train.labels), size),
        plain_batches(val.images, val.labels, classes, size),
        rows,
        keep_if_not_better,
    )


def _train_head(
    network: Network,
    config: Config,
    train: Photos,
    val: Photos,
    work: Path,
    checkpoints: Path,
    rows: list[dict[str, Any]],
) -> None:
    model, own, size, classes = network.model, config.head, config.batch_size, network.classes
    freeze_backbone(model)
    _log.info("Features of the frozen backbone: %d views a photo.", max(own.views, 1))

    def features(photos: Photos, name: str, views: int, augment: Callable[..., Any] | None) -> Any:
        file = work / f"features-{name}.npy"
        return pooled_features(model, photos.images, file, size, views, augment, config.seed)

    seen = features(train, "train", own.views, augmenter(config.augment))
    checked = features(val, "val", 0, None)
    head = build_head(seen.shape[2], classes, config.model.dropout)
    head.set_weights(model.get_layer(LOGITS).get_weights())
    run_phase(
        head,
        _phase("head", own, own.epochs, config, checkpoints),
        feature_batches(seen, train.labels, classes, size, config.seed),
        steps_per_epoch(len(train.labels), size),
        plain_batches(checked[0], val.labels, classes, size),
        rows,
    )
    model.get_layer(LOGITS).set_weights(head.get_weights())


@contextlib.contextmanager
def _out_of_memory() -> Iterator[None]:
    exhausted = import_tensorflow().errors.ResourceExhaustedError
    try:
        yield
    except exhausted as error:
        raise SystemFailure(
            "Out of memory while training. Use a smaller --batch-size or --image-size."
        ) from error
