"""Where a training can be watched: TensorBoard and, by option, Weights & Biases.

A place that fails is given up with a warning; the training goes on. ``history.csv`` is written in
any case, by :class:`trainer.training.job.Job`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from edge_runtime import rundir
from edge_runtime.backends.full_model import import_keras
from edge_runtime.errors import MissingComponent, first_line

from ..config.schema import Config
from ..data.pixels import Photos
from ..evaluation.predictions import read_predictions
from .answer_sheet import answer_sheet, choose_photos
from .tensorboard_log import TensorBoardLog
from .wandb_log import WandbLog

_log = logging.getLogger("trainer")


class Place(Protocol):
    """Where a training can be watched."""

    def epoch(self, row: Mapping[str, Any]) -> None:
        """Add a row of ``history.csv``."""

    def picture(self, name: str, png: bytes, step: int) -> None:
        """Add a picture of the finished training."""

    def close(self) -> None:
        """Write what is left."""


class Tracking:
    """The places of a training; a context manager that closes them."""

    def __init__(
        self, places: Mapping[str, Place], rows: Sequence[Mapping[str, Any]], config: Config
    ) -> None:
        """Tell ``places`` of the rows of the history that come after those that are there."""
        self._places, self._rows, self._config = dict(places), rows, config
        self._told = len(rows)

    def __enter__(self) -> Tracking:
        """Nothing to do."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the places."""
        self._tell(lambda place: place.close())

    def callbacks(self, phase: str) -> list[Any]:
        """Keras callbacks for a phase; they follow the one that adds the row of an epoch.

        They run before the epoch is noted in the training's state: one that is repeated after
        ``kill -9`` is told twice, which the places know by its number; none is missing.
        """
        if not self._places:
            return []
        return [
            import_keras().callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: self.update())
        ]

    def update(self) -> None:
        """Tell of the new rows."""
        for row in self._rows[self._told :]:
            self._tell(lambda place, row=row: place.epoch(row))  # type: ignore[misc]
        self._told = len(self._rows)

    def finish(self, folder: Path, parts: Mapping[str, Photos]) -> None:
        """Show the confusion matrix and some answers.

        Args:
            folder: Of the run, with its predictions and the picture of the matrix.
            parts: Decoded photos, as they were evaluated.
        """
        if not self._places:
            return
        try:
            pictures = _pictures(folder, parts, self._config)
        except Exception as error:  # whatever drawing may raise, the training is whole
            _log.warning("No pictures for TensorBoard: %s", first_line(error))
            return
        for name, png in pictures.items():
            self._tell(lambda place, n=name, p=png: place.picture(n, p, self._told))  # type: ignore[misc]

    def _tell(self, say: Callable[[Place], None]) -> None:
        for name, place in list(self._places.items()):
            try:
                say(place)
            except Exception as error:  # each has its own, and none may end the training
                _log.warning("%s is given up, the training goes on: %s", name, first_line(error))
                del self._places[name]


def start_tracking(
    folder: Path,
    name: str,
    config: Config,
    rows: Sequence[Mapping[str, Any]],
    chief: bool = True,
) -> Tracking:
    """Begin to track a training, or go on where it goes on.

    Args:
        folder: Of the training.
        name: Of the run.
        config: The configuration.
        rows: Of ``history.csv``, which grow; those that are there already were told.
        chief: Whether this process writes the run; another one tracks nothing.

    Raises:
        MissingComponent: A package that was asked for by name is not installed.
    """
    places: dict[str, Place] = {}
    wished, known = config.tracking, len(rows)
    makers: dict[str, Callable[[], Place]] = {}
    if wished.tensorboard != "off":
        makers["TensorBoard"] = lambda: TensorBoardLog(folder, known)
    if wished.wandb:
        makers["Weights & Biases"] = lambda: WandbLog(folder, name, config)
    for place, make in makers.items() if chief else ():
        try:
            places[place] = make()
        except MissingComponent:
            if place == "TensorBoard" and wished.tensorboard == "auto":
                continue
            raise
        except Exception as error:  # no network, no account, no permission, a full disk
            _log.warning("%s does not begin, the training does: %s", place, first_line(error))
    return Tracking(places, rows, config)


def _pictures(folder: Path, parts: Mapping[str, Photos], config: Config) -> dict[str, bytes]:
    found = {"confusion_matrix": (folder / rundir.CONFUSION_PLOT).read_bytes()}
    part = "test" if "test" in parts else "val"
    answers = read_predictions(folder / rundir.PREDICTIONS).of(part)
    chosen = choose_photos(len(answers), config.tracking.photos, config.seed)
    if len(chosen):
        found["predictions"] = answer_sheet(parts[part].images, answers, chosen)
    return found
