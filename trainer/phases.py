"""One training phase: compile, run, keep the best weights."""

from __future__ import annotations

import contextlib
import logging
import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_runtime.backends.full_model import import_keras
from edge_runtime.errors import ModelError

from .callbacks import EpochLog, RateSchedule, StopWhenDiverged
from .config import CallbacksConfig, PhaseConfig
from .model import count_trainable

_log = logging.getLogger("trainer")


@dataclass(frozen=True)
class Phase:
    """What a phase is, apart from the network and the photos."""

    name: str  #: ``head``, ``finetune`` or ``full``
    config: PhaseConfig
    epochs: int
    callbacks: CallbacksConfig
    checkpoint: Path  #: ``.weights.h5`` file for the best weights


def run_phase(
    model: Any,
    phase: Phase,
    train: Any,
    steps: int,
    val: Any,
    rows: list[dict[str, Any]],
    keep_if_not_better: bool = False,
) -> bool:
    """Train a network; afterwards it has the weights of its best epoch.

    Args:
        model: ``keras.Model`` that ends in logits.
        phase: What to do.
        train: Endless dataset of inputs and one-hot targets.
        steps: Batches in an epoch.
        val: Finite dataset.
        rows: Rows of ``history.csv``; one is appended an epoch.
        keep_if_not_better: Whether the weights that it has are a candidate, too: they stay if no
            epoch beats them on the validation part.

    Returns:
        Whether the weights are those of an epoch of this phase.

    Raises:
        ModelError: The training diverged.
    """
    _compile(model, phase.config)
    monitor = phase.callbacks.monitor
    threshold = before = None
    before_rows = len(rows)
    if keep_if_not_better:
        threshold = model.evaluate(val, verbose=0, return_dict=True)[monitor.removeprefix("val_")]
        before = model.get_weights()
    _log.info(
        "Phase %s: %d epochs, %s values to learn.",
        phase.name,
        phase.epochs,
        f"{count_trainable(model):,}",
    )
    with _shuffled_already():
        model.fit(
            train,
            validation_data=val,
            epochs=phase.epochs,
            steps_per_epoch=steps,
            callbacks=_callbacks(phase, steps, rows, threshold),
            verbose=0,
        )
    # Keras saves the first epoch whatever it gave.
    finite = any(math.isfinite(row[monitor]) for row in rows[before_rows:])
    if finite and phase.checkpoint.is_file():
        model.load_weights(phase.checkpoint)
        return True
    phase.checkpoint.unlink(missing_ok=True)
    if before is None:
        raise ModelError(
            f"The training diverged: {monitor} of phase {phase.name} is not a number. "
            f"Set a lower {phase.name}.learning_rate."
        )
    model.set_weights(before)
    return False


@contextlib.contextmanager
def _shuffled_already() -> Iterator[None]:
    """Without Keras's warning that it does not shuffle a dataset."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="`shuffle=True` was passed")
        yield


def _compile(model: Any, config: PhaseConfig) -> None:
    keras = import_keras()
    if config.weight_decay:
        optimizer = keras.optimizers.AdamW(config.learning_rate, weight_decay=config.weight_decay)
        optimizer.exclude_from_weight_decay(
            var_list=[weight for weight in model.trainable_weights if len(weight.shape) < 2]
        )
    else:
        optimizer = keras.optimizers.Adam(config.learning_rate)
    loss = keras.losses.CategoricalCrossentropy(
        from_logits=True, label_smoothing=config.label_smoothing
    )
    # XLA takes longer to compile these networks on a CPU than it saves in a training this short.
    model.compile(optimizer, loss, metrics=["accuracy"], jit_compile=False)


def _callbacks(
    phase: Phase, steps: int, rows: list[dict[str, Any]], threshold: float | None
) -> list[Any]:
    callbacks, chosen = import_keras().callbacks, phase.callbacks
    found = [
        RateSchedule(phase.config, phase.epochs, steps),
        EpochLog(phase.name, phase.epochs, rows),
        StopWhenDiverged(),
        callbacks.ModelCheckpoint(
            phase.checkpoint,
            monitor=chosen.monitor,
            mode="auto",
            save_best_only=True,
            save_weights_only=True,
            initial_value_threshold=threshold,
        ),
    ]
    if chosen.plateau_patience:
        found.append(
            callbacks.ReduceLROnPlateau(
                monitor=chosen.monitor,
                patience=chosen.plateau_patience,
                factor=chosen.plateau_factor,
            )
        )
    if chosen.early_stopping_patience:
        found.append(
            callbacks.EarlyStopping(monitor=chosen.monitor, patience=chosen.early_stopping_patience)
        )
    return found
