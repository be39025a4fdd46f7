"""Keras callbacks of the training phases that Keras does not have. Imports Keras."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping
from typing import Any

from edge_runtime.backends.full_model import import_keras

from .config import PhaseConfig

_log = logging.getLogger("trainer")

_Callback: Any = import_keras().callbacks.Callback


def rate_factor(step: int, total: int, warmup: int, config: PhaseConfig) -> float:
    """Share of the phase's learning rate that a step uses.

    A linear warm-up (Goyal et al. 2017), then a constant or half a cosine (Loshchilov and Hutter
    2017, without restarts).

    Args:
        step: From 0.
        total: Steps of the phase.
        warmup: Steps of the warm-up.
        config: Of the phase.

    Returns:
        0 (not included) to 1.
    """
    if step < warmup:
        return (step + 1) / warmup
    if config.schedule == "constant":
        return 1.0
    done = min(1.0, (step - warmup) / max(1, total - warmup))
    return config.final_rate + (1 - config.final_rate) * 0.5 * (1 + math.cos(math.pi * done))


class RateSchedule(_Callback):  # type: ignore[misc]  # Keras is untyped
    """Sets the learning rate before each step, and keeps what ReduceLROnPlateau takes off it.

    A Keras ``LearningRateSchedule`` would not do: ReduceLROnPlateau refuses an optimizer that has
    one. Here a rate that another callback changed scales the rest of the schedule.
    """

    def __init__(self, config: PhaseConfig, epochs: int, steps: int) -> None:
        """Plan ``epochs`` epochs of ``steps`` steps."""
        super().__init__()
        self._config, self._total = config, epochs * steps
        self._warmup = round(config.warmup_epochs * steps)
        self._step, self._scale, self._last = 0, 1.0, 0.0

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Set the rate of this step."""
        optimizer = self.model.optimizer
        current = float(optimizer.learning_rate.numpy())
        if self._last and not math.isclose(current, self._last, rel_tol=1e-4):
            self._scale *= current / self._last
        factor = rate_factor(self._step, self._total, self._warmup, self._config)
        optimizer.learning_rate = self._config.learning_rate * self._scale * factor
        self._last = float(optimizer.learning_rate.numpy())
        self._step += 1


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
        for key in ("loss", "accuracy", "val_loss", "val_accuracy"):
            row[key] = round(float(logs[key]), 6)
        row["learning_rate"] = float(f"{float(self.model.optimizer.learning_rate.numpy()):.6g}")
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
