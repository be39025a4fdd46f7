"""The photos that prove a file, what the Keras model says of them, and what the file says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from edge_runtime.golden import pixels_digest
from edge_runtime.manifest import ModelInfo, OutputSpec
from edge_runtime.rundir import RunDir, SplitRow

from . import parity, scoring
from .fitting import DEFAULT_SHARE, fit_output, judge_output
from .photos import load_photos, relative_names

#: Heat maps are compared on at most so many photos, spread evenly over the validation part: each
#: costs a pass with gradients.
MAP_PHOTOS = 200

#: Of a file, so many photos with another answer are kept with the heat map of that answer.
SHOWN_CHANGES = 12

_PIXELS = "validation.npy"


class FullModel(Protocol):
    """The Keras model of a run, as :class:`exporter.conversion.Converter` keeps it open."""

    heatmap: bool  #: whether it ends in average pooling and a linear layer, and has heat maps

    def scores(self, pixels: Path, count: int) -> np.ndarray:
        """Probabilities, float32 (count, classes), of a ``.npy`` of uint8 (n, h, w, 3)."""

    def heatmaps(self, pixels: Path, photos: Sequence[int], classes: Sequence[int]) -> np.ndarray:
        """Grad-CAM in front of the pooling, float32 (photos, h', w'), not normalised."""


@dataclass(frozen=True)
class Truth:
    """Photos, their classes, and the Keras model's answers.

    Attributes:
        info: Class names and preprocessing.
        paths: The photos' files.
        files: Their names for people, without the folder above all of them.
        sha256: Of each file.
        labels: True class indices, int (n,).
        pixels: ``.npy`` of uint8 (n, height, width, 3), as the network sees them.
        pixels_sha256: Of each photo's pixels, C order.
        scores: Probabilities of the Keras model, float32 (n, classes).
        mapped: Indices of the photos whose heat map is known.
        maps: Raw heat maps of the model's answer for those, float32 (m, h, w).
        exact: bool (n,): whether the pixels are those that the model saw; None: all.
        share: Of the right answers, that an "unknown" threshold may lose.
        explain: Heat map of the model's answer for any photo; None where it is not known.
    """

    info: ModelInfo
    paths: list[str]
    files: list[str]
    sha256: list[str]
    labels: np.ndarray
    pixels: Path
    pixels_sha256: list[str]
    scores: np.ndarray
    mapped: list[int]
    maps: np.ndarray
    exact: np.ndarray | None
    share: float
    explain: Callable[[int], np.ndarray | None]

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def answers(self) -> np.ndarray:
        """Class indices of the Keras model's top-1, int (n,)."""
        found: np.ndarray = self.scores.argmax(axis=1)
        return found

    def heat(self, index: int) -> np.ndarray | None:
        """Heat map of the Keras model's answer for a photo; None where it is not known."""
        if index in self.mapped:
            found: np.ndarray = self.maps[self.mapped.index(index)]
            return found
        return self.explain(index)

    def figures(self) -> dict[str, Any]:
        """The ``reference`` entry of ``parity.json``."""
        return {
            "format": "keras",
            "n": len(self),
            "accuracy": parity.accuracy(self.scores, self.labels),
            "calibration": judge_output(
                self.labels, self.scores, replace(self.info.output, kind="probabilities"), 0.0
            ),
        }


@dataclass(frozen=True)
class Examined:
    """What was found out about one file.

    Attributes:
        figures: Its part of a row of ``parity.json``.
        output: Its output with its own temperature and threshold; None where it did not run.
        scores: Its probabilities, float32 (n, classes); None where it did not run.
        own: Heat maps of its own answer, by photo, where that is another one than the model's.
    """

    figures: dict[str, Any]
    output: OutputSpec | None = None
    scores: np.ndarray | None = None
    own: dict[int, np.ndarray] | None = None


def gather(run: RunDir, model: FullModel, rows: Sequence[SplitRow], work: Path) -> Truth:
    """Load a run's validation photos from their original files and ask the Keras model.

    Args:
        run: The run.
        model: Its model.
        rows: The validation photos.
        work: Folder for the pixels.

    Raises:
        DataError: A photo is gone or changed.
        ModelError: The model's answers are no numbers.
    """
    photos = load_photos(rows, run.info.preprocess, work / _PIXELS)
    scores = model.scores(work / _PIXELS, len(photos))
    answers = scores.argmax(axis=1)
    mapped = spread(len(photos), MAP_PHOTOS) if model.heatmap else []

    def explain(index: int) -> np.ndarray | None:
        if not model.heatmap:
            return None
        found: np.ndarray = model.heatmaps(work / _PIXELS, [index], [int(answers[index])])[0]
        return found

    maps = np.empty((0, 0, 0), np.float32)
    if mapped:
        maps = model.heatmaps(work / _PIXELS, mapped, [int(answers[i]) for i in mapped])
    unknown = run.metrics().get("unknown") or {}
    return Truth(
        info=run.info,
        paths=[row.path for row in photos.rows],
        files=relative_names([row.path for row in photos.rows]),
        sha256=[row.sha256 for row in photos.rows],
        labels=np.array([run.class_names.index(row.label) for row in photos.rows]),
        pixels=work / _PIXELS,
        pixels_sha256=[pixels_digest(photo) for photo in photos.pixels],
        scores=scores,
        mapped=mapped,
        maps=maps,
        exact=None,
        share=unknown.get("share", DEFAULT_SHARE),
        explain=explain,
    )


def spread(n: int, most: int) -> list[int]:
    """At most ``most`` of the indices 0..n-1, evenly spread."""
    if n <= most:
        return list(range(n))
    return [int(index) for index in np.linspace(0, n - 1, most).round()]


def examine(truth: Truth, fmt: str, file: Path, info: ModelInfo, described: bool) -> Examined:
    """Compare an exported file with the Keras model, and fit what its scores mean.

    Args:
        truth: The photos, and what the model says.
        fmt: The file's format.
        file: The file or folder.
        info: Its description.
        described: Whether the file carries the description, temperature and threshold included,
            so that these are judged. Else they are fitted.

    Returns:
        The figures: those of :func:`exporter.parity.compare`, and ``calibration`` of
        :mod:`exporter.fitting`; with ``error`` where the file did not run, ``missing`` where
        that is for want of its interpreter.
    """
    try:
        found = scoring.answers(
            file,
            truth.pixels,
            len(truth),
            info,
            described=described,
            classes=truth.answers.tolist(),
            mapped=truth.mapped,
            changed=SHOWN_CHANGES,
        )
    except scoring.NotRun as error:
        figures = {**parity.not_run(str(error)), "calibration": None}
        return Examined({**figures, "missing": True} if error.missing else figures)
    figures = parity.compare(
        fmt, truth.scores, found.scores, truth.labels, _heatmap(truth, fmt, found), truth.exact
    )
    if described:
        output = info.output
        fitted = judge_output(truth.labels, found.raw, output, found.step)
    else:
        output, fitted = fit_output(truth.labels, found.raw, info.output, found.step, truth.share)
    return Examined({**figures, "calibration": fitted}, output, found.scores, found.own or {})


def _heatmap(truth: Truth, fmt: str, found: scoring.Answers) -> dict[str, Any] | None:
    if found.heatmap_error is not None:
        return {**parity.correlate([], []), "error": found.heatmap_error}
    if found.maps is None:
        return None
    if fmt == "saved_model" and found.maps.shape != truth.maps.shape:
        return None  # of small inputs its Grad-CAM explains an earlier layer, with a finer map
    try:
        return parity.correlate(list(truth.maps), list(found.maps))
    except ValueError as error:
        return {**parity.correlate([], []), "error": f"{error}."}
