"""``edge-train crossval``: how well a configuration does on photos that it has not seen.

Every fold is a training like that of ``edge-train fit``, with three parts: the photos that the fold
holds out are its ``test`` part, which measures and chooses nothing; of the others a share (that of
``data.ratios``, val to train and val) is its ``val`` part, which chooses the best epoch and fits the
temperature; the rest is learned from.

======================= ==========================================================
``crossval.json``       the figures; written last
``predictions.csv``     one out-of-fold answer a photo, the mean over the repeats
``confusion_matrix.png`` of all out-of-fold answers
``folds.csv``           the fold that holds a photo out, for each repeat
``config.yaml``         the configuration
``folds/<name>/``       the run directory of each fold, without its network
======================= ==========================================================
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edge_runtime import rundir
from edge_runtime.errors import ModelError, UsageError
from edge_runtime.files import (
    refuse_existing,
    refuse_other,
    refuse_overlap,
    replace_folder,
    system_failures,
)
from edge_runtime.rundir import unfinished

from ..config.io import dump_config
from ..config.schema import Config
from ..distribution import MULTI_WORKER
from ..evaluation.predictions import read_predictions, write_predictions
from ..network.weights import IMAGENET
from ..report.plots import plot_confusion
from ..training.job import LOCK, begin_unfinished, locked
from .figures import fold_figures, mean_predictions, over_folds, pooled_figures
from .fold import FoldTask, fetch_weights, is_finished, train_fold, trim
from .parallel import Backend, run_all, threads_each
from .plan import Plan, make_plan

_log = logging.getLogger("trainer")

RESULT, FOLDS, PLAN = "crossval.json", "folds", "folds.csv"

AnyPath = str | os.PathLike[str]


def cross_validate(
    data: AnyPath,
    out: AnyPath,
    config: Config | None = None,
    folds: int = 5,
    repeats: int = 1,
    jobs: int | None = 1,
    backend: Backend = "loky",
    keep_models: bool = False,
    overwrite: bool = False,
    resume: bool = False,
) -> dict[str, Any]:
    """Train and measure on each fold, and sum up.

    Until it is whole the result is ``OUT.unfinished``.

    Args:
        data: A folder of class folders; or ``train/ val/ test/``, of which ``test`` is left alone.
        out: Folder to write.
        config: As for :func:`trainer.training.fit.fit`; ``data.group_by`` keeps photos in one fold.
        folds: Into how many parts the photos are divided.
        repeats: How often, each time in another way and with another seed.
        jobs: Folds at a time, see :func:`trainer.crossval.parallel.run_all`.
        backend: What runs them.
        keep_models: Whether the network of each fold is kept.
        overwrite: Whether an existing result may be replaced.
        resume: Whether to go on with what was interrupted, by the same arguments.

    Returns:
        The contents of ``crossval.json``.

    Raises:
        UsageError: A path or value that makes no sense; ``out`` exists; nothing to go on with.
        DatasetError: The photos cannot be trained on, or are too few for the folds.
        MissingComponent: A package is missing.
        SystemFailure: No memory or disk left, or no permission.
    """
    config = config or Config()
    if config.strategy == MULTI_WORKER:
        raise UsageError(
            "strategy multi-worker: a fold is trained by one process. --backend ray or dask shares "
            "the folds out among several machines."
        )
    _check_out(out, data, overwrite, resume)
    plan = make_plan(data, config, folds, repeats)
    folder = unfinished(out)
    _begin(plan, folder, overwrite, resume)
    with system_failures(folder), locked(folder):
        try:
            _train(plan, folder, jobs, backend, keep_models)
            result = _sum_up(plan, folder, data, folds, repeats)
            refuse_existing(out, overwrite)
        except BaseException:  # whatever it was: the folds that are whole are worth keeping
            done = sum(is_finished(folder / FOLDS / fold.name) for fold in plan.folds)
            _log.warning(
                "Stopped with %d of %d trainings whole. Go on with the same command and --resume.",
                done,
                len(plan.folds),
            )
            raise
        replace_folder(folder, Path(out))
        (Path(out) / LOCK).unlink()
    return result


def _check_out(out: AnyPath, data: AnyPath, overwrite: bool, resume: bool) -> None:
    target = Path(out)
    if resume and not unfinished(out).is_dir():
        what = "is finished" if (target / RESULT).is_file() else "was not begun"
        raise UsageError(
            f"{target}: nothing to --resume, the cross-validation {what}. Leave --resume out."
        )
    refuse_existing(out, overwrite)
    refuse_overlap(
        out, data, f"{out}: overlaps the photos in {data}. Choose another place with --out."
    )
    refuse_other(out, (target / RESULT).is_file(), "result of crossval")


def _begin(plan: Plan, folder: Path, overwrite: bool, resume: bool) -> None:
    """Make the folder, or check that it is about the same."""
    texts = {rundir.CONFIG: dump_config(plan.config), PLAN: plan.table()}
    if resume:
        for name, text in texts.items():
            file = folder / name
            before = file.read_bytes() if file.is_file() else b""
            if before != text.encode("utf-8", "surrogateescape"):
                what = "options" if name == rundir.CONFIG else "photos, --folds or --repeats"
                raise UsageError(
                    f"{file}: the {what} are others than when the cross-validation began. Give the "
                    "same command with --resume, or begin again with --overwrite."
                )
        return
    with begin_unfinished(
        folder, overwrite, "a cross-validation", "the same command and --resume"
    ) as new:
        for name, text in texts.items():
            (new / name).write_bytes(text.encode("utf-8", "surrogateescape"))
        (new / FOLDS).mkdir()


def _train(
    plan: Plan, folder: Path, jobs: int | None, backend: Backend, keep_models: bool
) -> None:  # fmt: skip
    evaluation = plan.config.evaluation.model_copy(
        update={"train_photos": False, "shown_photos": 0, "out_of_fold": None}
    )
    tasks = []
    for fold in plan.folds:
        task = FoldTask(
            (folder / FOLDS / fold.name).resolve(),
            plan.dataset(fold),
            plan.config.model_copy(
                update={"evaluation": evaluation, "seed": plan.config.seed + fold.repeat - 1}
            ),
            keep_models,
            threads_each(jobs, backend),
            _log.getEffectiveLevel(),
        )
        if is_finished(task.out):
            trim(task)  # it may have been killed before that
        else:
            tasks.append(task)
    first = plan.folds[0]
    _log.info(
        "%d photos in %d classes, %d trainings (%d whole already); each learns from about %d "
        "photos, chooses by %d and is measured on %d.",
        len(plan.samples),
        len(plan.class_names),
        len(plan.folds),
        len(plan.folds) - len(tasks),
        len(first.train),
        len(first.val),
        len(first.test),
    )
    if plan.config.model.weights == IMAGENET and jobs != 1:
        run_all(fetch_weights, tasks[:1], jobs, backend)
    run_all(train_fold, tasks, jobs, backend)


def _sum_up(
    plan: Plan, folder: Path, data: AnyPath, folds: int, repeats: int
) -> dict[str, Any]:  # fmt: skip
    """Read what the folds left, and write the figures."""
    runs = [folder / FOLDS / fold.name for fold in plan.folds]
    metrics = [_read_metrics(run)["test"] for run in runs]
    answers = [read_predictions(run / rundir.PREDICTIONS).of("test") for run in runs]
    figures = [fold_figures(of) for of in metrics]
    ratio = np.mean([len(fold.test) / (len(fold.train) + len(fold.val)) for fold in plan.folds])
    sizes = _group_sizes(plan.groups)
    result: dict[str, Any] = {
        "data": os.fspath(data),
        "folds": folds,
        "repeats": repeats,
        "photos": len(plan.samples),
        "class_names": list(plan.class_names),
        "group_by": plan.config.data.group_by,
        "groups": {"groups": len(sizes), "photos": sum(sizes)},
        "metrics": over_folds(figures, float(ratio)),
        **pooled_figures(answers, repeats, metrics),
        "runs": [
            {
                "name": fold.name,
                "photos": {
                    "train": len(fold.train),
                    "val": len(fold.val),
                    "test": len(fold.test),
                },
                "seconds": rundir.read_environment(run).get("seconds"),
                "metrics": of,
            }
            for fold, run, of in zip(plan.folds, runs, figures, strict=True)
        ],
        "left_out": plan.left_out,
    }
    write_predictions(mean_predictions(answers), folder / rundir.PREDICTIONS)
    matrix = result["pooled"]["confusion_matrix"]
    plot_confusion(matrix, plan.class_names, folder / rundir.CONFUSION_PLOT)
    rundir.write_json(folder / RESULT, result)
    return result


def _group_sizes(groups: Sequence[int]) -> list[int]:
    return [int(size) for size in np.bincount(groups) if size > 1]


def _read_metrics(run: Path) -> dict[str, Any]:
    try:
        return rundir.read_metrics(run)
    except ModelError as error:
        raise ModelError(f"{error} Remove {run}, and go on with --resume.") from error
