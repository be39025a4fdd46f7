"""A training on Weights & Biases; with ``WANDB_MODE=offline`` it stays in the run's folder."""

from __future__ import annotations

import importlib
import io
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from edge_runtime.errors import missing_package

from ..config.schema import Config
from .tensorboard_log import divide


class WandbLog:
    """One run there; a training that goes on goes on with it."""

    def __init__(self, folder: Path, name: str, config: Config) -> None:
        """Begin, or go on.

        Args:
            folder: Of the training; its files are in ``wandb/`` below it.
            name: Of the run.
            config: Sent along.

        Raises:
            MissingComponent: wandb is not installed.
        """
        try:
            self._wandb = importlib.import_module("wandb")
        except ImportError as error:
            raise missing_package("wandb", "wandb", "log to Weights & Biases") from error
        note = folder / "wandb" / "run-id.txt"
        note.parent.mkdir(exist_ok=True)
        if not note.is_file():
            note.write_text(uuid.uuid4().hex[:8] + "\n", encoding="ascii")
        self._run: Any = self._wandb.init(
            project=config.tracking.project,
            name=name,
            id=note.read_text(encoding="ascii").strip(),
            resume="allow",
            dir=str(folder),
            config=config.model_dump(mode="json"),
            # Its lines would stand between those of the training.
            settings=self._wandb.Settings(console="off", silent=True),
        )

    def epoch(self, row: Mapping[str, Any]) -> None:
        """Add a row of ``history.csv``."""
        validation, train = divide(row)
        values: dict[str, Any] = {f"val/{key}": value for key, value in validation.items()}
        values |= {f"train/{key}": value for key, value in train.items()}
        self._run.log(values | {"phase": row["phase"]}, step=int(row["epoch"]))

    def picture(self, name: str, png: bytes, step: int) -> None:
        """Add a picture of the finished training."""
        image = Image.open(io.BytesIO(png)).convert("RGB")
        self._run.log({name: self._wandb.Image(image)}, step=step)

    def close(self) -> None:
        """Finish the run."""
        self._run.finish()
