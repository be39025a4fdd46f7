"""Keras callbacks of the training phases that Keras does not have. Imports Keras."""

from __future__ import annotations

import logging
import math
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from edge_runtime.backends.full_model import import_keras

from ..config.schema import PhaseConfig
from ..devices import to_numpy
from ..stopping import check_stop
from .progress import Progress

_log = logging.getLogger("trainer")

_Callback: Any = import_keras().callbacks.Callback


def rate_factor(done: float, config: PhaseConfig, epochs: int) -> float:
    """Share of the phase's learning rate that a step uses.

    A linear warm-up (Goyal et al. 2017), then a constant or half a cosine (Loshchilov and Hutter
    2017, without restarts).

    Args:
        done: Epochs before the step, with their fraction.
        config: Of the phase.
        epochs: Of the phase.

    Returns:
        0 to 1.
    """
    warmup = config.warmup_epochs
    if done < warmup:
        return done / warmup
    if config.schedule == "constant":
        return 1.0
    share = min(1.0, (done - warmup) / max(1e-9, epochs - warmup))
    return config.final_rate + (1 - config.final_rate) * 0.5 * (1 + math.cos(math.pi * share))


class RateSchedule(_Callback):  # type: ignore[misc]  # Keras is untyped
    """Sets the learning rate before each step, and keeps what ReduceLROnPlateau takes off it.

    A Keras ``LearningRateSchedule`` would not do: ReduceLROnPlateau refuses an optimizer that has
    one. Here a rate that another callback changed scales the rest of the schedule.
    """

    def __init__(self, config: PhaseConfig, epochs: int, steps: int) -> None:
        """Plan ``epochs`` epochs of ``steps`` steps."""
        super().__init__()
        self._config, self._epochs, self._steps = config, epochs, steps
        self._epoch = 0
        self.scale, self.last = 1.0, 0.0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Note the epoch."""
        self._epoch = epoch

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Set the rate of this step."""
        optimizer = self.model.optimizer
        current = float(to_numpy(optimizer.learning_rate))
        if self.last and not math.isclose(current, self.last, rel_tol=1e-4):
            self.scale *= current / self.last
        # A warm-up's first step has a rate above 0, too.
        within = (batch + 1) if self._epoch < self._config.warmup_epochs else batch
        done = self._epoch + within / self._steps
        factor = rate_factor(done, self._config, self._epochs)
        optimizer.learning_rate = self._config.learning_rate * self.scale * factor
        self.last = float(to_numpy(optimizer.learning_rate))


class BestWeights(import_keras().callbacks.ModelCheckpoint):  # type: ignore[misc]
    """Keeps the weights of the best epoch in a file that is whole at any moment."""

    def __init__(self, file: Path, monitor: str, threshold: float | None) -> None:
        """Write ``file`` whenever ``monitor`` is better than ever and than ``threshold``."""
        self._file, self._new = file, file.with_name(f"new-{file.name}")
        super().__init__(
            self._new,
            monitor=monitor,
            mode="min" if monitor.endswith("loss") else "max",
            save_best_only=True,
            save_weights_only=True,
            initial_value_threshold=threshold,
        )

    def on_train_begin(self, logs: Any = None) -> None:
        """Drop what a process that was killed had not finished."""
        super().on_train_begin(logs)
        self._new.unlink(missing_ok=True)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Save, then replace."""
        super().on_epoch_end(epoch, logs)
        if self._new.is_file():
            os.replace(self._new, self._file)


class SaveProgress(_Callback):  # type: ignore[misc]  # Keras is untyped
    """Takes up where an earlier process stopped, and notes each epoch; the last of the list."""

    def __init__(
        self, progress: Progress, phase: str, others: list[Any], then: Callable[[], None]
    ) -> None:
        """Note in ``progress`` what the ``others`` remember; ``then`` is called afterwards."""
        super().__init__()
        self._progress, self._phase, self._others, self._then = progress, phase, others, then

    def on_train_begin(self, logs: Any = None) -> None:
        """Restore what was noted."""
        if self._progress.epoch(self._phase):
            self._progress.restore(self.model, self._others)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Note the epoch."""
        self._progress.save(self._phase, epoch + 1, self.model, self._others)
        self._then()


class StopWhenAsked(_Callback):  # type: ignore[misc]  # Keras is untyped
    """Ends the training between two batches once somebody pressed Ctrl-C."""

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Look."""
        check_stop()


class StopWhenDiverged(_Callback):  # type: ignore[misc]  # Keras is untyped
    """Ends a phase whose loss is not a number. Keras's TerminateOnNaN prints to stdout."""

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Look at the loss."""
        if not math.isfinite(float((logs or {}).get("loss", 0.0))):
            self.model.stop_training = True


class EpochLog(_Callback):  # type: ignore[misc]  # Keras is untyped
    """One line on the log and one row of ``history.csv`` an epoch."""

    def __init__(self, phase: str, epochs: int, rows: list[dict[str, Any]]) -> None:
        """Append to ``rows``."""
        super().__init__()
        self._phase, self._epochs, self._rows = phase, epochs, rows
        self._start = 0.0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Start the clock."""
        self._start = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Write the line and the row."""
        logs = logs or {}
        row: dict[str, Any] = {"epoch": len(self._rows) + 1, "phase": self._phase}
        for key in ("loss", "accuracy", "val_loss", "val_accuracy", "f1", "val_f1"):
            if key in logs:
                row[key] = round(float(logs[key]), 6)
        rate = float(to_numpy(self.model.optimizer.learning_rate))
        row["learning_rate"] = float(f"{rate:.6g}")
        row["seconds"] = round(time.perf_counter() - self._start, 3)
        self._rows.append(row)
        _log.info(
            "%s %*d/%d  loss %.4f  accuracy %.4f  val_loss %.4f  val_accuracy %.4f  "
            "learning_rate %.2e  %.1f s",
            self._phase,
            len(str(self._epochs)),
            epoch + 1,
            self._epochs,
            row["loss"],
            row["accuracy"],
            row["val_loss"],
            row["val_accuracy"],
            row["learning_rate"],
            row["seconds"],
        )
