"""The run directory: what ``edge-train fit`` writes and everything else reads.

======================== =====================================================
``config.yaml``          the resolved configuration
``class_names.json``     list of class names in index order
``preprocess.json``      model description (:class:`~edge_runtime.manifest.ModelInfo`)
``split.csv``            path, sha256, class, part of every photo
``model.keras``          best weights, float32 graph
``history.csv``          one row an epoch
``training_history.png`` the curves
``confusion_matrix.png`` of the test part, else of the validation part
``predictions.csv``      the network's answer for every photo
``report.html``          everything to look at, in one file
``metrics.json``         ``val`` and ``test``; written last: a folder without it is no run
``environment.json``     versions, seed, device
``tensorboard/``         curves and pictures for TensorBoard, where it was installed
``checkpoints/``         best weights of each phase
======================== =====================================================
"""

from __future__ import annotations

import csv
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import ModelError, UsageError, shell_command
from .files import atomic_file
from .manifest import ModelInfo

CONFIG = "config.yaml"
CLASS_NAMES = "class_names.json"
PREPROCESS = "preprocess.json"
SPLIT = "split.csv"
MODEL = "model.keras"
HISTORY = "history.csv"
HISTORY_PLOT = "training_history.png"
CONFUSION_PLOT = "confusion_matrix.png"
PREDICTIONS = "predictions.csv"
REPORT = "report.html"
METRICS = "metrics.json"
ENVIRONMENT = "environment.json"
CHECKPOINTS = "checkpoints"
TENSORBOARD = "tensorboard"

#: What the name of a training under way has more than that of its run.
UNFINISHED = ".unfinished"

#: Names of the parts of a data set, in the order in which they are made.
PARTS = ("train", "val", "test")

_REQUIRED = (CONFIG, CLASS_NAMES, PREPROCESS, SPLIT, MODEL, METRICS)


@dataclass(frozen=True)
class SplitRow:
    """One photo of the data set that a run was made from."""

    path: str  #: as found when training (absolute)
    sha256: str  #: of the file
    label: str  #: class name
    part: str  #: ``train``, ``val`` or ``test``


@dataclass(frozen=True)
class RunDir:
    """A finished run directory, opened for reading.

    Attributes:
        path: The folder.
        info: Class names and preprocessing.
    """

    path: Path
    info: ModelInfo

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> RunDir:
        """Open a finished run.

        Raises:
            UsageError: The folder does not exist.
            ModelError: It is not a finished run, or its files contradict one another.
        """
        root = Path(path)
        if root.is_file():
            raise UsageError(f"{root}: is a file; a run directory was expected.")
        if not root.is_dir():
            hint = ""
            if unfinished(root).is_dir():
                hint = f" Its training was interrupted; go on with: {resume_command(root)}"
            raise UsageError(f"{root}: no such run directory.{hint}")
        missing = [name for name in _REQUIRED if not (root / name).is_file()]
        if missing:
            what = f"not a finished run directory, {', '.join(missing)} missing"
            if not looks_like_run(root):
                what = "not a run directory"
            raise ModelError(f"{root}: {what}. Make one with: edge-train fit DATA --out RUN")
        info = ModelInfo.from_json(_read(root / PREPROCESS), str(root / PREPROCESS))
        names = _read_json(root / CLASS_NAMES)
        if names != list(info.class_names):
            raise ModelError(
                f"{root}: {CLASS_NAMES} and {PREPROCESS} name different classes. "
                "The run was altered by hand; train again."
            )
        return cls(root, info)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Class names in index order."""
        return self.info.class_names

    @property
    def model_path(self) -> Path:
        """Path of ``model.keras``."""
        return self.path / MODEL

    def metrics(self) -> dict[str, Any]:
        """Contents of ``metrics.json``: keys ``val`` and ``test``, the latter may be None."""
        return read_metrics(self.path)

    def environment(self) -> dict[str, Any]:
        """Contents of ``environment.json``; empty where it is missing, as in a copy without it."""
        return read_environment(self.path)

    def split(self, part: str | None = None) -> list[SplitRow]:
        """Photos of one part (``train``, ``val``, ``test``), or of all."""
        rows = read_split(self.path / SPLIT)
        return [row for row in rows if part is None or row.part == part]


def looks_like_run(path: str | os.PathLike[str]) -> bool:
    """Whether a folder is meant as a run directory (finished or not)."""
    root = Path(path)
    return (root / MODEL).exists() or (root / CLASS_NAMES).exists()


def unfinished(path: str | os.PathLike[str]) -> Path:
    """Where the training of a run is until it is finished."""
    root = Path(path)
    return root.with_name(root.name + UNFINISHED)


def resume_command(path: str | os.PathLike[str]) -> str:
    """The command that goes on with the training of a run, for messages."""
    return shell_command("edge-train", "fit", "--resume", path)


def read_metrics(folder: Path) -> dict[str, Any]:
    """Read ``metrics.json``.

    Raises:
        ModelError: It is damaged or missing.
    """
    file = folder / METRICS
    if not file.is_file():
        raise ModelError(f"{file}: missing.")
    data = _read_json(file)
    if not isinstance(data, dict):
        raise ModelError(f"{file}: expected an object.")
    return data


def read_environment(folder: Path) -> dict[str, Any]:
    """Read ``environment.json``; empty where it is missing or damaged: no figure depends on it."""
    try:
        data = json.loads((folder / ENVIRONMENT).read_bytes())
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}


def read_split(file: Path) -> list[SplitRow]:
    """Read ``split.csv``.

    Raises:
        ModelError: It has other columns, or a row that is not whole.
    """
    try:
        with open(file, newline="", encoding="utf-8", errors="surrogateescape") as stream:
            rows = [
                SplitRow(row["path"], row["sha256"], row["class"], row["part"])
                for row in csv.DictReader(stream)
            ]
    except (KeyError, csv.Error) as error:
        raise ModelError(f"{file}: expected columns path, sha256, class, part.") from error
    for number, row in enumerate(rows, 1):
        if row.part not in PARTS:  # the last column: whatever a row lacks, it lacks this
            raise ModelError(
                f"{file}: damaged or cut off: photo {number} of {len(rows)} has the part "
                f"{row.part!r}, expected one of {', '.join(PARTS)}. Copy the run again."
            )
    return rows


def write_split(folder: Path, rows: list[SplitRow]) -> None:
    """Write ``split.csv``; names that are not UTF-8 keep their bytes."""
    with (
        atomic_file(folder / SPLIT) as new,
        open(new, "w", newline="", encoding="utf-8", errors="surrogateescape") as stream,
    ):
        writer = csv.writer(stream)
        writer.writerow(["path", "sha256", "class", "part"])
        writer.writerows([row.path, row.sha256, row.label, row.part] for row in rows)


def write_info(folder: Path, info: ModelInfo) -> None:
    """Write ``class_names.json`` and ``preprocess.json``."""
    names = json.dumps(list(info.class_names), ensure_ascii=False, indent=2)
    (folder / CLASS_NAMES).write_text(names + "\n", encoding="utf-8")
    text = json.dumps(info.to_dict(), ensure_ascii=False, indent=2)
    (folder / PREPROCESS).write_text(text + "\n", encoding="utf-8")


def write_json(file: Path, data: Any) -> None:
    """Write an object as indented JSON; names that are not UTF-8 as surrogate escapes."""
    text = json.dumps(data, ensure_ascii=False, indent=2) + "\n"
    file.write_text(text, encoding="utf-8", errors="backslashreplace")


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ModelError(f"{file}: not UTF-8 text.") from error


def _read_json(file: Path) -> Any:
    try:
        return json.loads(_read(file))
    except ValueError as error:
        raise ModelError(f"{file}: not valid JSON ({error}).") from error
