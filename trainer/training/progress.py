"""How far a training has come: enough to go on after ``kill -9`` as if nothing had happened.

One file, replaced as a whole after each epoch, holds the rows of ``history.csv``, the variables of
the network and the optimizer, and what the callbacks remember. The order of the photos and their
changes need no state: they follow from the seed, the epoch and the step.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import time
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edge_runtime.errors import ModelError
from edge_runtime.files import atomic_file

from ..devices import to_numpy

_log = logging.getLogger("trainer")

#: What a callback remembers from one epoch to the next, by class.
_MEMORY = {
    "RateSchedule": ("scale", "last"),
    "BestWeights": ("best",),
    "EarlyStopping": ("wait", "best", "best_epoch"),
    "ReduceLROnPlateau": ("wait", "best", "cooldown_counter"),
    "SwapEMAWeights": ("_ema_weights_in_model",),
}


class Progress:
    """The state of a training, in a file."""

    def __init__(self, file: Path) -> None:
        """Read ``file`` if it is there.

        Raises:
            ModelError: It is damaged.
        """
        self._file = file
        self._state: dict[str, Any] = {"rows": [], "done": {}}
        self._since = time.perf_counter()
        if file.is_file():
            self._state, _ = self._read()

    def _read(self) -> tuple[dict[str, Any], list[np.ndarray]]:
        try:
            with np.load(self._file, allow_pickle=False) as found:
                state = json.loads(bytes(found["state"]))
                return state, [found[str(number)] for number in range(state["arrays"])]
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise ModelError(
                f"{self._file}: damaged ({error}). The training cannot go on; start it again with "
                "--overwrite."
            ) from error

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Rows of ``history.csv``; one is appended an epoch."""
        rows: list[dict[str, Any]] = self._state["rows"]
        return rows

    @property
    def seconds(self) -> float:
        """Time that the training took, of earlier processes up to their last whole epoch."""
        return float(self._state.get("seconds", 0.0)) + time.perf_counter() - self._since

    @contextlib.contextmanager
    def timed(self, what: str) -> Iterator[None]:
        """Add the time of the block to what :meth:`times` tells of ``what``."""
        start = time.perf_counter()
        try:
            yield
        finally:
            known = self._state.setdefault("times", {})
            known[what] = round(known.get(what, 0.0) + time.perf_counter() - start, 3)

    def times(self) -> dict[str, float]:
        """Seconds by what was done, without those of a process that was killed."""
        return dict(self._state.get("times", {}))

    def result(self, phase: str) -> dict[str, Any] | None:
        """What :meth:`finish` noted of a phase; None if it has not ended."""
        found: dict[str, Any] | None = self._state["done"].get(phase)
        return found

    def epoch(self, phase: str) -> int:
        """Whole epochs of a phase that has not ended."""
        return int(self._state["epoch"]) if self._state.get("phase") == phase else 0

    def stopped(self, phase: str) -> bool:
        """Whether a callback ended the phase after its last whole epoch."""
        return self._state.get("phase") == phase and bool(self._state.get("stopped"))

    def batch_size(self, otherwise: int) -> int:
        """Photos in a batch, once a lack of memory has changed it."""
        return int(self._state.get("batch_size", otherwise))

    def halve_batch(self, size: int) -> None:
        """Note a smaller batch."""
        self._state["batch_size"] = size

    def save(self, phase: str, epoch: int, model: Any, callbacks: Sequence[Any]) -> None:
        """Note the end of an epoch.

        Args:
            phase: Name of the phase.
            epoch: Epochs of it that are whole.
            model: The compiled ``keras.Model``.
            callbacks: Its callbacks.
        """
        self._state |= {
            "phase": phase,
            "epoch": epoch,
            "stopped": bool(model.stop_training),
            "callbacks": {
                type(callback).__name__: _recall(callback)
                for callback in callbacks
                if type(callback).__name__ in _MEMORY
            },
        }
        self._write([to_numpy(variable) for variable in _variables(model)])

    def restore(self, model: Any, callbacks: Sequence[Any]) -> None:
        """Give a compiled model and its callbacks what :meth:`save` noted.

        Raises:
            ModelError: The file is damaged, or belongs to another network.
        """
        variables, (_, arrays) = _variables(model), self._read()
        shapes = [tuple(variable.shape) for variable in variables]
        if shapes != [array.shape for array in arrays]:
            raise ModelError(
                f"{self._file}: made by another version of this toolkit or of Keras. The training "
                "cannot go on; start it again with --overwrite."
            )
        for variable, array in zip(variables, arrays, strict=True):
            variable.assign(array)
        for callback in callbacks:
            for name, value in self._state["callbacks"].get(type(callback).__name__, {}).items():
                setattr(callback, name, value)

    def finish(self, phase: str, result: Mapping[str, Any]) -> None:
        """Note the end of a phase; ``result`` is what the next one needs to know."""
        self._state["done"][phase] = dict(result)
        self._state |= {"phase": "", "epoch": 0, "stopped": False, "callbacks": {}}
        self._write([])

    def _write(self, arrays: Sequence[np.ndarray]) -> None:
        self._state |= {"arrays": len(arrays), "seconds": self.seconds}
        self._since = time.perf_counter()
        text = np.frombuffer(json.dumps(self._state).encode(), np.uint8)
        named = {str(number): array for number, array in enumerate(arrays)}
        with atomic_file(self._file) as temporary, open(temporary, "wb") as stream:
            np.savez(stream, **{"state": text} | named)
            stream.flush()
            os.fsync(stream.fileno())


def _variables(model: Any) -> list[Any]:
    """Everything that a step reads and writes: weights, seeds of the dropout, optimizer."""
    optimizer = model.optimizer
    if not optimizer.built:
        optimizer.build(model.trainable_variables)
    return [*_model_variables(model), *optimizer.variables]


def _model_variables(model: Any) -> list[Any]:
    metrics = {id(variable) for variable in model.metrics_variables}
    return [variable for variable in model.variables if id(variable) not in metrics]


def _recall(callback: Any) -> dict[str, Any]:
    found = {name: getattr(callback, name) for name in _MEMORY[type(callback).__name__]}
    return {
        name: value if value is None or isinstance(value, (bool, int)) else float(value)
        for name, value in found.items()
    }
