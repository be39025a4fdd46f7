"""The answers of a classifier for labelled photos, and ``predictions.csv``."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edge_runtime.errors import DataError, UsageError
from edge_runtime.files import atomic_file

from ..data.folders import listing
from .calibration import scaled

_COLUMNS = ("path", "part", "label", "answer", "score", "calibrated_score")

#: In front of a class name in the header, so that no class is taken for another column.
_PREFIX = "p_"


@dataclass(frozen=True)
class Predictions:
    """Answers for n photos."""

    class_names: tuple[str, ...]  #: in index order
    paths: list[str]  #: of the n photos
    parts: list[str]  #: ``train``, ``val``, ``test``, or another word for where they are from
    labels: np.ndarray  #: int (n,), class indices
    probabilities: np.ndarray  #: float32 (n, classes), as the network gives them

    def __len__(self) -> int:
        """Number of photos."""
        return len(self.paths)

    @property
    def answers(self) -> np.ndarray:
        """Most probable class of each photo, int (n,)."""
        found: np.ndarray = self.probabilities.argmax(axis=1)
        return found

    @property
    def right(self) -> np.ndarray:
        """Whether each answer is right, bool (n,)."""
        found: np.ndarray = self.answers == self.labels
        return found

    def of(self, *parts: str) -> Predictions:
        """Those of some parts."""
        chosen = [i for i, part in enumerate(self.parts) if part in parts]
        return Predictions(
            self.class_names,
            [self.paths[i] for i in chosen],
            [self.parts[i] for i in chosen],
            self.labels[chosen],
            self.probabilities[chosen],
        )


def join(predictions: Sequence[Predictions]) -> Predictions:
    """Those of several parts, of the same classes, as one."""
    return Predictions(
        predictions[0].class_names,
        [path for some in predictions for path in some.paths],
        [part for some in predictions for part in some.parts],
        np.concatenate([some.labels for some in predictions]),
        np.concatenate([some.probabilities for some in predictions]),
    )


def write_predictions(
    predictions: Predictions,
    file: str | os.PathLike[str],
    temperature: float | None = None,
    overwrite: bool = True,
) -> None:
    """Write ``predictions.csv``: one row a photo.

    The columns are ``path``, ``part``, ``label`` and ``answer`` (class names), ``score`` (of the
    answer, as the network gives it), ``calibrated_score`` (empty without a temperature), and
    ``p_<class>`` for each class, as the network gives it. Names that are not UTF-8 keep their
    bytes.

    Args:
        predictions: The rows.
        file: File to write.
        temperature: Of the calibrated score.
        overwrite: Whether an existing file may be replaced.
    """
    names, probabilities = predictions.class_names, predictions.probabilities
    answers, scores = predictions.answers, probabilities.max(axis=1)
    surer = scaled(probabilities, temperature).max(axis=1)
    with (
        atomic_file(file, overwrite) as temporary,
        open(temporary, "w", newline="", encoding="utf-8", errors="surrogateescape") as stream,
    ):
        writer = csv.writer(stream)
        writer.writerow([*_COLUMNS, *(_PREFIX + name for name in names)])
        for i, path in enumerate(predictions.paths):
            writer.writerow(
                [
                    path,
                    predictions.parts[i],
                    names[predictions.labels[i]],
                    names[answers[i]],
                    f"{scores[i]:.6g}",
                    "" if temperature is None else f"{surer[i]:.6g}",
                    *(f"{value:.6g}" for value in probabilities[i]),
                ]
            )


def read_predictions(file: str | os.PathLike[str]) -> Predictions:
    """Read :func:`write_predictions` back.

    Raises:
        UsageError: No such file.
        DataError: It is not such a table; the message names the line.
    """
    if not os.path.isfile(file):
        raise UsageError(f"{os.fspath(file)}: no such file of predictions.")
    paths, parts, labels, rows = [], [], [], []
    with open(file, newline="", encoding="utf-8", errors="surrogateescape") as stream:
        reader = csv.reader(stream)
        header = next(reader, [])
        names = tuple(n.removeprefix(_PREFIX) for n in header[len(_COLUMNS) :])
        if tuple(header[: len(_COLUMNS)]) != _COLUMNS or not names:
            raise DataError(
                f"{os.fspath(file)}: expected the columns {', '.join(_COLUMNS)}, {_PREFIX}<class>, "
                f"found {', '.join(header) or 'nothing'}."
            )
        numbers = {name: number for number, name in enumerate(names)}
        for row in reader:
            try:
                path, part, label, *_ = row
                values = [float(text) for text in row[len(_COLUMNS) :]]
                if label not in numbers:
                    raise ValueError(f"{label!r} is no class")
                labels.append(numbers[label])
                if len(values) != len(names):
                    raise ValueError(f"{len(values)} probabilities for {len(names)} classes")
            except ValueError as error:
                raise DataError(
                    f"{os.fspath(file)}, line {reader.line_num}: not a row of predictions ({error})."
                ) from error
            paths.append(path)
            parts.append(part)
            rows.append(values)
    if not rows:
        raise DataError(f"{os.fspath(file)}: no row in it.")
    return Predictions(names, paths, parts, np.array(labels), np.array(rows, np.float32))


def read_out_of_fold(file: str | os.PathLike[str], class_names: Sequence[str]) -> Predictions:
    """Read predictions by networks that had not seen the photos.

    Raises:
        UsageError: No such file, or it is about other classes.
        DataError: It is no such table.
    """
    found = read_predictions(file)
    if found.class_names != tuple(class_names):
        raise UsageError(
            f"{os.fspath(file)}: is about the classes {listing(found.class_names)}, the run about "
            f"{listing(class_names)}. Make it from the same photos."
        )
    return found
