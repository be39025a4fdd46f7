"""One training phase: compile, run, keep the best weights."""

from __future__ import annotations

import contextlib
import logging
import math
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from edge_runtime.backends.full_model import import_keras
from edge_runtime.errors import SystemFailure

from ..config.schema import CallbacksConfig, LossConfig, PhaseConfig
from ..data.batches import Batches
from ..data.feeds import epoch_length, following, own_errors, training_feed, validation_feed
from ..devices import TENSORFLOW, backend, gpus, is_out_of_memory, processes
from ..network.model import count_trainable
from .callbacks import (
    BestWeights,
    EpochLog,
    RateSchedule,
    SaveProgress,
    StopWhenAsked,
    StopWhenDiverged,
)
from .errors import Diverged
from .progress import Progress

_log = logging.getLogger("trainer")


_Result = TypeVar("_Result")


def _nothing() -> None:
    pass


@dataclass(frozen=True)
class Phase:
    """What a phase is, apart from the network and the photos."""

    name: str  #: ``head``, ``finetune`` or ``full``
    config: PhaseConfig
    epochs: int
    loss: LossConfig
    callbacks: CallbacksConfig
    checkpoint: Path  #: ``.weights.h5`` file for the best weights
    inputs: int = 1  #: how many of a batch's arrays are inputs of the network
    extra: list[Any] = field(default_factory=list)  #: more Keras callbacks, such as TensorBoard
    on_epoch: Callable[[], None] = _nothing  #: called after each epoch, once it is noted


def run_phase(
    model: Any,
    phase: Phase,
    plan: Callable[[int], tuple[Batches, Batches]],
    batch_size: int,
    progress: Progress,
    keep_if_not_better: bool = False,
) -> bool:
    """Train a network; afterwards it has the weights of its best epoch.

    When memory is too small, the batch is halved and the training goes on after the last whole
    epoch.

    Args:
        model: ``keras.Model`` that ends in logits.
        phase: What to do.
        plan: Batches for training and validation, for a batch size.
        batch_size: Photos in a batch, at most.
        progress: How far it has come; a row is appended an epoch.
        keep_if_not_better: Whether the weights that it has are a candidate, too: they stay if no
            epoch beats them on the validation part.

    Returns:
        Whether the weights are those of an epoch of this phase.

    Raises:
        Diverged: The loss is not a number from the first epoch on.
        SystemFailure: No memory even for a single photo.
    """
    start = model.get_weights()
    if progress.result(phase.name) is None:

        def train(size: int) -> None:
            model.set_weights(start)  # or what was noted since, see SaveProgress
            _train(model, phase, *plan(size), progress, keep_if_not_better)

        size = progress.batch_size(batch_size)
        with_room(train, size, f"phase {phase.name}", progress.halve_batch)
        # Keras saves the first epoch whatever it gave.
        monitor = phase.callbacks.monitor
        rows = [row for row in progress.rows if row["phase"] == phase.name]
        finite = any(math.isfinite(row[monitor]) for row in rows)
        better = finite and phase.checkpoint.is_file()
        if not better and not keep_if_not_better:
            raise Diverged(
                f"The training diverged: {monitor} of phase {phase.name} is not a number. "
                f"Set a lower {phase.name}.learning_rate."
            )
        if not better:
            phase.checkpoint.unlink(missing_ok=True)
        progress.finish(phase.name, {"better": better})
    better = bool((progress.result(phase.name) or {})["better"])
    if better:
        model.load_weights(phase.checkpoint)
    else:
        model.set_weights(start)
    return better


def with_room(
    work: Callable[[int], _Result],
    batch_size: int,
    what: str,
    note: Callable[[int], None] = lambda size: None,
) -> _Result:
    """Do work that takes a batch size; when memory is too small, again with half the batch.

    Args:
        work: Takes the number of photos in a batch.
        batch_size: What to begin with.
        what: Name of the work, for messages.
        note: Told of a smaller batch.

    Raises:
        SystemFailure: No memory even for a single photo.
    """
    while True:
        try:
            return work(batch_size)
        except Exception as error:  # each backend has its own
            if not is_out_of_memory(error):
                raise
            if processes() > 1:  # the others still have room, and cannot be told
                raise SystemFailure(
                    f"Out of memory in {what}. Several processes cannot halve the batch by "
                    "themselves: begin again with a smaller --batch-size."
                ) from error
            if batch_size == 1:
                raise SystemFailure(
                    "Out of memory, even with one photo at a time. Use a smaller --image-size or "
                    "another --backbone."
                ) from error
        batch_size = (batch_size + 1) // 2
        _log.warning("Out of memory in %s: going on with batches of %d photos.", what, batch_size)
        note(batch_size)


@own_errors()
def _train(
    model: Any,
    phase: Phase,
    train: Batches,
    val: Batches,
    progress: Progress,
    keep_if_not_better: bool,
) -> None:
    f1 = phase.callbacks.monitor == "val_f1"
    compile_model(model, phase.config, phase.loss, jit_compile(), f1)
    checked = validation_feed(val, phase.inputs)
    first, threshold = progress.epoch(phase.name), None
    if first == phase.epochs or progress.stopped(phase.name):
        return
    if first:
        _log.info("Phase %s goes on after epoch %d.", phase.name, first)
    else:
        count = f"{count_trainable(model):,}"
        _log.info("Phase %s: %d epochs, %s values to learn.", phase.name, phase.epochs, count)
        if keep_if_not_better:
            figures = model.evaluate(checked, verbose=0, return_dict=True)
            threshold = figures[phase.callbacks.monitor.removeprefix("val_")]
    feed = training_feed(train, phase.inputs, first)
    with _shuffled_already():
        model.fit(
            feed,
            validation_data=checked,
            initial_epoch=first,
            epochs=phase.epochs,
            steps_per_epoch=epoch_length(train),
            shuffle=False,
            callbacks=following(feed) + _callbacks(phase, train.steps, progress, threshold),
            verbose=0,
        )


@contextlib.contextmanager
def _shuffled_already() -> Iterator[None]:
    """Without Keras's warning that it does not shuffle a dataset."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="`shuffle=True` was passed")
        yield


def jit_compile() -> bool | str:
    """``jit_compile`` of Keras for this machine."""
    # XLA takes longer to compile these networks for a CPU than it saves in so short a training;
    # JAX has nothing else.
    return "auto" if backend() != TENSORFLOW or gpus() else False


def compile_model(
    model: Any, config: PhaseConfig, loss: LossConfig, jit: bool | str, f1: bool = False
) -> None:
    """Compile a network that ends in logits.

    Args:
        model: ``keras.Model``, changed in place.
        config: Optimizer and schedule.
        loss: What to minimise.
        jit: Of :func:`jit_compile`.
        f1: Whether to measure the macro F1, too.
    """
    keras = import_keras()
    average = {"use_ema": True, "ema_momentum": config.ema} if config.ema else {}
    if config.weight_decay:
        optimizer = keras.optimizers.AdamW(
            config.learning_rate, weight_decay=config.weight_decay, **average
        )
        optimizer.exclude_from_weight_decay(
            var_list=[weight for weight in model.trainable_weights if len(weight.shape) < 2]
        )
    else:
        optimizer = keras.optimizers.Adam(config.learning_rate, **average)
    metrics: list[Any] = [_without_padding(keras.metrics.CategoricalAccuracy)(name="accuracy")]
    if f1:
        metrics.append(_without_padding(keras.metrics.F1Score)(average="macro", name="f1"))
    model.compile(
        optimizer, make_loss(loss, config.label_smoothing), metrics=metrics, jit_compile=jit
    )


def _without_padding(metric: Any) -> Any:
    """A Keras metric class that leaves out the rows that fill up a batch: of no class."""
    ops = import_keras().ops

    class WithoutPadding(metric):  # type: ignore[misc]  # Keras is untyped
        def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
            return super().update_state(y_true, y_pred, ops.any(y_true > 0, axis=-1))

    return WithoutPadding


def make_loss(config: LossConfig, smoothing: float) -> Any:
    """The Keras loss, on logits; ``smoothing`` is that of the labels."""
    losses = import_keras().losses
    if config.name == "focal":
        # Lin et al. 2017. Alpha is 1: class weights have a key of their own.
        return losses.CategoricalFocalCrossentropy(
            alpha=1.0, gamma=config.focal_gamma, from_logits=True, label_smoothing=smoothing
        )
    return losses.CategoricalCrossentropy(from_logits=True, label_smoothing=smoothing)


def _callbacks(phase: Phase, steps: int, progress: Progress, threshold: float | None) -> list[Any]:
    callbacks, chosen = import_keras().callbacks, phase.callbacks
    found = [
        RateSchedule(phase.config, phase.epochs, steps),
        StopWhenAsked(),
        StopWhenDiverged(),
    ]
    if phase.config.ema:
        found.append(callbacks.SwapEMAWeights(swap_on_epoch=True))
    found += [
        EpochLog(phase.name, phase.epochs, progress.rows),
        BestWeights(phase.checkpoint, chosen.monitor, threshold),
    ]
    mode = "min" if chosen.monitor.endswith("loss") else "max"
    if chosen.plateau_patience:
        found.append(
            callbacks.ReduceLROnPlateau(
                monitor=chosen.monitor,
                mode=mode,
                patience=chosen.plateau_patience,
                factor=chosen.plateau_factor,
            )
        )
    if chosen.early_stopping_patience:
        found.append(
            callbacks.EarlyStopping(
                monitor=chosen.monitor, mode=mode, patience=chosen.early_stopping_patience
            )
        )
    found += phase.extra
    return [*found, SaveProgress(progress, phase.name, found, phase.on_epoch)]
