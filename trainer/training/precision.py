"""Mixed precision: which dtype policy a training uses, found out by trying a step."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..augmentation.augment import Augmentation
from ..config.schema import Config
from ..data.batches import PhotoBatches
from ..data.pixels import Photos
from ..devices import gpus
from ..network.model import FLOAT32, freeze_backbone, unfreeze_all, unfreeze_from
from ..network.network import Network
from ..stopping import check_stop
from .phase import compile_model, jit_compile, with_room

_log = logging.getLogger("trainer")

_POLICIES = {
    "auto": "mixed_float16",
    "on": "mixed_float16",
    "float16": "mixed_float16",
    "bfloat16": "mixed_bfloat16",
}

#: Largest difference of a logit between the precisions, as a share of the logits' spread, at
#: which they agree. float16 has 11 bits, bfloat16 8; the rounding of a hundred layers adds up.
_LOGIT_TOLERANCE = {"mixed_float16": 0.05, "mixed_bfloat16": 0.25}

#: Steps that are timed, after one that compiles.
_STEPS = 4


@dataclass(frozen=True)
class Trial:
    """What a few steps of a training gave."""

    logits: np.ndarray  #: float32 (b, classes), before the first step
    losses: list[float]
    seconds: float  #: of the quickest step after the first


def wanted_policy(config: Config) -> str:
    """The policy that the configuration asks for, before it is tried."""
    if config.mixed_precision == "off" or (config.mixed_precision == "auto" and not gpus()):
        return FLOAT32
    return _POLICIES[config.mixed_precision]


def choose_policy(config: Config, attempt: Callable[[str, int], Trial]) -> str:
    """The policy that a training uses.

    Args:
        config: The configuration; where its ``mixed_precision`` is not ``auto``, speed does not
            matter.
        attempt: Trains a few steps with a policy and a batch size, each time from the same
            weights.

    Raises:
        SystemFailure: No memory even for a single photo.
    """
    policy = wanted_policy(config)
    if policy == FLOAT32:
        return policy
    plain, mixed = with_room(
        lambda size: (attempt(FLOAT32, size), attempt(policy, size)),
        config.batch_size,
        "the steps that compare the precisions",
    )
    reason = disagreement(plain, mixed, _LOGIT_TOLERANCE[policy])
    if reason is None and config.mixed_precision == "auto" and mixed.seconds >= plain.seconds:
        reason = (
            f"a step takes {1000 * mixed.seconds:.0f} ms with it and "
            f"{1000 * plain.seconds:.0f} ms without"
        )
    if reason is not None:
        _log.warning("Mixed precision is not used: %s.", reason)
        return FLOAT32
    _log.info(
        "Mixed precision (%s): %.0f ms a step in place of %.0f.",
        policy,
        1000 * mixed.seconds,
        1000 * plain.seconds,
    )
    return policy


def disagreement(plain: Trial, mixed: Trial, tolerance: float) -> str | None:
    """Why two trials of the same steps do not agree; None if they do."""
    if not all(map(math.isfinite, mixed.losses)) or not np.isfinite(mixed.logits).all():
        return "its loss is not a number"
    spread = max(float(np.ptp(plain.logits)), 1e-6)
    difference = float(np.abs(plain.logits - mixed.logits).max())
    if difference > tolerance * spread:
        return (
            f"its logits differ by {difference:.3g} from those of float32, whose spread is "
            f"{spread:.3g}"
        )
    return None


def try_steps(network: Network, config: Config, train: Photos, batch_size: int) -> Trial:
    """Train what the longest phase trains, for a few steps on one batch.

    Args:
        network: Its weights change.
        config: The resolved configuration.
        train: Photos to learn from.
        batch_size: Photos in the batch.
    """
    augmentation, division = Augmentation(config.augment), network.distribution.division
    batches = PhotoBatches(
        train,
        network.classes,
        -(-batch_size // division.processes),
        config.seed,
        augmentation,
        division=division.of_each_process(),
    )
    if config.from_scratch:
        unfreeze_all(network.model)
    elif config.finetune.epochs:
        unfreeze_from(network.model, config.model.fine_tune_at or 0)
    else:
        freeze_backbone(network.model)
    model = network.for_training(augmentation)
    with network.scope():
        own = config.full if config.from_scratch else config.finetune
        compile_model(model, own, config.loss, jit_compile())
        photos, changes, *targets = batches.batch(0, 0)
        logits = np.asarray(model.predict_on_batch([photos, changes]), np.float32)
        losses, seconds = [], math.inf
        for _ in range(1 + _STEPS):
            check_stop()
            start = time.perf_counter()
            losses.append(
                float(model.train_on_batch([photos, changes], *targets, return_dict=True)["loss"])
            )
            if len(losses) > 1:
                seconds = min(seconds, time.perf_counter() - start)
    return Trial(logits, losses, seconds)
