"""Which photos of a run an export needs, and those photos."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_runtime.errors import DataError, ModelError
from edge_runtime.rundir import METRICS, SPLIT, RunDir, SplitRow

from .calibration import choose_judges, choose_photos, warn_if_few
from .formats.job import Judging
from .formats.registry import FORMATS
from .options import ExportOptions
from .photos import Photos, find_moved, load_photos

#: The format that chooses between several ways of quantising.
LADDER = "tflite-int8"


@dataclass(frozen=True)
class Rows:
    """The photos of a run that an export needs."""

    validation: list[SplitRow]
    calibration: list[SplitRow]  #: training photos; none if no format calibrates
    judging: list[SplitRow]  #: none if nothing is chosen between
    judging_validation: int  #: how many of ``judging``, the first ones, are validation photos


def choose_rows(
    run: RunDir,
    wanted: Sequence[str],
    options: ExportOptions,
    data: str | os.PathLike[str] | None,
) -> Rows:
    """Choose the photos of a run that an export needs.

    Args:
        run: The run.
        wanted: Formats.
        options: Of the export.
        data: Folder that the photos were moved to; None if they are where they were.

    Raises:
        DataError: The run lists none, or one is not below ``data``.
        ModelError: The run's list names a class that the run does not know.
    """
    validation, training = run.split("val"), run.split("train")
    if not validation:
        raise DataError(f"{run.path}: lists no validation photo to compare with. Train again.")
    known = (run.metrics().get("val") or {}).get("n", 0)
    if len(validation) < known:  # photos that could not be decoded are listed, too
        raise ModelError(
            f"{run.path / SPLIT}: lists {len(validation)} validation photos, {METRICS} counts "
            f"{known}: cut off. Copy the run again."
        )
    unknown = {row.label for row in (*validation, *training)} - set(run.class_names)
    if unknown:
        raise ModelError(
            f"{run.path / SPLIT}: names classes that the run does not know: "
            f"{', '.join(sorted(unknown))}. The run was altered by hand; train again."
        )
    calibration: list[SplitRow] = []
    judging: list[SplitRow] = []
    count = 0
    if any(FORMATS[fmt].calibrates for fmt in wanted):
        calibration = choose_photos(training, options.calibration_photos, options.seed)
    if LADDER in wanted and options.max_drop is not None:
        judging, count = choose_judges(validation, training, calibration, options.seed)
    if data is not None:
        moved = iter(find_moved([*validation, *calibration, *judging], Path(data)))
        validation, calibration, judging = (
            [next(moved) for _ in rows] for rows in (validation, calibration, judging)
        )
    return Rows(validation, calibration, judging, count)


def load_judges(run: RunDir, chosen: Rows, store: Path) -> Judging | None:
    """Load the photos that quantised files are judged on into a ``.npy``; None if there are none.

    Raises:
        DataError: One is gone or changed.
    """
    if not chosen.judging:
        return None
    photos = load_photos(chosen.judging, run.info.preprocess, store)
    labels = tuple(run.class_names.index(row.label) for row in photos.rows)
    first = {row.path for row in chosen.judging[: chosen.judging_validation]}
    count = sum(row.path in first for row in photos.rows)  # some may not have been readable
    return Judging(store, labels, count)


def load_calibration(run: RunDir, chosen: Rows, store: Path) -> Photos | None:
    """Load the photos to calibrate with into a ``.npy``; None if no format calibrates.

    Raises:
        DataError: One is gone or changed.
    """
    if not chosen.calibration:
        return None
    drawn = load_photos(chosen.calibration, run.info.preprocess, store)
    warn_if_few(len(drawn), len(run.split("train")))
    return drawn
