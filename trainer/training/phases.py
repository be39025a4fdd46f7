"""The network through its phases: head, then fine-tuning; or everything at once from scratch."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge_runtime.backends.full_model import import_keras

from ..augmentation.augment import Augmentation
from ..config.schema import Config, PhaseConfig
from ..data.batches import (
    Batches,
    FeatureBatches,
    PhotoBatches,
    PlainBatches,
    balanced_weights,
    steps_per_epoch,
)
from ..data.pixels import Photos
from ..network.model import (
    LOGITS,
    build_head,
    freeze_backbone,
    unfreeze_all,
    unfreeze_from,
)
from ..network.network import Network
from .features import pooled_features
from .phase import Phase, run_phase, with_room
from .progress import Progress

_log = logging.getLogger("trainer")


@dataclass(frozen=True)
class Training:
    """A training: what, on what, and where its state is kept.

    Attributes:
        network: The classifier; its weights change.
        config: The configuration.
        train: Photos to learn from.
        val: Photos that choose the best epoch.
        folder: For the best weights of each phase.
        work: For the features of phase 1.
        progress: How far it has come.
        on_epoch: Called after each epoch.
        callbacks: More Keras callbacks, for a phase's name.
    """

    network: Network
    config: Config
    train: Photos
    val: Photos
    folder: Path
    work: Path
    progress: Progress
    on_epoch: Callable[[], None] = lambda: None
    callbacks: Callable[[str], list[Any]] = lambda phase: []

    def run(self) -> str:
        """Train, or go on training, and leave the best weights in the network.

        Returns:
            Name of the phase that the weights come from.

        Raises:
            ModelError: The training diverged.
            SystemFailure: No memory or disk left.
        """
        config, network = self.config, self.network
        import_keras().utils.set_random_seed(config.seed)  # of the dropout
        if config.from_scratch:
            unfreeze_all(network.model, config.full.batchnorm_momentum)
            with self.progress.timed("full"):
                self._train_on_photos("full", config.full, config.full_epochs, False)
            return "full"
        kept = ""
        if config.head.epochs:
            with self.progress.timed("head"):
                self._train_head()
            kept = "head"
        if config.finetune.epochs:
            unfreeze_from(network.model, config.model.fine_tune_at or 0)
            with self.progress.timed("finetune"):
                better = self._train_on_photos(
                    "finetune", config.finetune, config.finetune.epochs, bool(kept)
                )
            if better:
                kept = "finetune"
            else:
                _log.info(
                    "Fine-tuning did not help on the validation part; the head's end is kept."
                )
        return kept

    def _phase(self, name: str, own: PhaseConfig, epochs: int, inputs: int) -> Phase:
        return Phase(
            name,
            own,
            epochs,
            self.config.loss,
            self.config.callbacks,
            self.folder / f"{name}.weights.h5",
            inputs,
            self.callbacks(name),
            self.on_epoch,
        )

    def _class_weights(self) -> np.ndarray | None:
        if self.config.loss.class_weights == "none":
            return None
        return balanced_weights(self.train.labels, self.network.classes)

    def _train_on_photos(
        self, name: str, own: PhaseConfig, epochs: int, keep_if_not_better: bool
    ) -> bool:
        augmentation = Augmentation(self.config.augment)
        classes, division = self.network.classes, self.network.distribution.division
        # Another seed than phase 1's, whose views would come again.
        seed, weights = self.config.seed + 1, self._class_weights()

        def plan(size: int) -> tuple[Batches, Batches]:
            return (
                PhotoBatches(
                    self.train,
                    classes,
                    size,
                    seed,
                    augmentation,
                    weights,
                    division,
                ),
                PlainBatches(
                    self.val.images, self.val.labels, classes, size, augmentation.width, division
                ),
            )

        model = self.network.for_training(augmentation)
        with self.network.scope():
            return run_phase(
                model,
                self._phase(name, own, epochs, inputs=2),
                plan,
                self.config.batch_size,
                self.progress,
                keep_if_not_better,
            )

    def _train_head(self) -> None:
        model, config, classes = self.network.model, self.config, self.network.classes
        freeze_backbone(model)
        own, size = config.head, self.progress.batch_size(config.batch_size)
        if self.progress.result("head") is None:
            _log.info("Features of the frozen backbone: %d views a photo.", own.views + 1)

        seen = self._features(self.train, "train", own.views)
        checked = self._features(self.val, "val", 0)[0]
        with self.network.scope():
            head = build_head(self.network.features, classes, config.model.dropout)
        head.set_weights(model.get_layer(LOGITS).get_weights())
        weights, division = self._class_weights(), self.network.distribution.division

        def plan(size: int) -> tuple[Batches, Batches]:
            return (
                FeatureBatches(
                    seen, self.train.labels, classes, size, config.seed, weights, division
                ),
                PlainBatches(checked, self.val.labels, classes, size, division=division),
            )

        with self.network.scope():
            phase = self._phase("head", own, own.epochs, 1)
            # The head of an earlier run may be better than what features alone can teach it.
            warm = config.model.from_run is not None
            run_phase(head, phase, plan, size, self.progress, keep_if_not_better=warm)
        model.get_layer(LOGITS).set_weights(head.get_weights())

    def _features(self, photos: Photos, name: str, views: int) -> np.ndarray:
        """Features of a part, as it is and in views; fewer photos at once if memory is short."""
        config, size = self.config, self.progress.batch_size(self.config.batch_size)
        # One photo has one label here: nothing is mixed.
        alone = config.augment.model_copy(update={"mixup": 0.0, "cutmix": 0.0})
        file, count = self.work / f"features-{name}.npy", len(self.train.images)

        def run(size: int) -> np.ndarray:
            # Of one size for both parts, and such that the last batch of train is all but full.
            size = steps_per_epoch(count, steps_per_epoch(count, size))
            return pooled_features(
                self.network.model,
                photos.images,
                file,
                size,
                views,
                Augmentation(alone),
                config.seed,
                self.network.distribution,
            )

        return with_room(run, size, "the features of phase head", self.progress.halve_batch)
