"""``edge-train fit``: from a folder of photos to a run directory."""

from __future__ import annotations

import contextlib
import csv
import logging
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edge_runtime import rundir
from edge_runtime.backends.full_model import load_keras_model
from edge_runtime.console import Terminated
from edge_runtime.errors import UsageError
from edge_runtime.files import atomic_folder, refuse_existing
from edge_runtime.manifest import ModelInfo
from edge_runtime.rundir import RunDir

from .backbones import get_backbone
from .config import Config
from .config_io import dump_config
from .data import Dataset, decode_part, index_dataset
from .environment import describe_environment
from .evaluate import predict
from .metrics import classification_metrics
from .report import plot_confusion, plot_history
from .training import Network, Photos, build_network, finished_model, train_network
from .weights import check_weights

_log = logging.getLogger("trainer")

HISTORY_COLUMNS = (
    "epoch",
    "phase",
    "loss",
    "accuracy",
    "val_loss",
    "val_accuracy",
    "learning_rate",
    "seconds",
)

AnyPath = str | os.PathLike[str]


def fit(
    data: AnyPath, out: AnyPath, config: Config | None = None, overwrite: bool = False
) -> RunDir:
    """Train a classifier and write its run directory.

    Args:
        data: ``train/ val/ test/`` with a folder for each class (``test`` may be absent), or one
            folder of class folders, which is split with the seed.
        out: Run directory to write, whole or not at all.
        config: The configuration; None for the defaults.
        overwrite: Whether an existing run may be replaced; it stays as it is until the new one
            is whole.

    Returns:
        The run.

    Raises:
        UsageError: A path, backbone or weights file that does not exist; ``out`` exists, is no
            run, or overlaps ``data``.
        DatasetError: The photos cannot be trained on.
        DataError: The weights do not fit the backbone.
        ModelError: The training diverged.
        MissingComponent: A package is missing, or the ImageNet weights cannot be downloaded.
        SystemFailure: No memory or disk left, or no permission.
    """
    start = time.perf_counter()
    config = resolve(config or Config())
    check_out(out, data, overwrite)
    dataset = index_dataset(data, config.data.ratios, config.seed)
    network = build_network(config, len(dataset.class_names))
    _announce(dataset, network, config)
    rows: list[dict[str, Any]] = []
    with _stop_message(out, rows), atomic_folder(out, overwrite) as folder:
        work, checkpoints = folder / "work", folder / rundir.CHECKPOINTS
        work.mkdir()
        checkpoints.mkdir()
        info = ModelInfo(dataset.class_names, config.image.spec())
        parts, left_out = _decode(dataset, info, work)
        kept = train_network(network, config, parts["train"], parts["val"], work, checkpoints, rows)
        finished_model(network, config).save(folder / rundir.MODEL)
        metrics = _evaluate(folder / rundir.MODEL, parts, info)
        _write_history(folder, rows)
        _write_confusion(folder, metrics, info)
        rundir.write_info(folder, info)
        rundir.write_split(folder, _split_rows(parts, info))
        (folder / rundir.CONFIG).write_text(dump_config(config), encoding="utf-8")
        training = {
            "seed": config.seed,
            "weights": vars(network.source),
            "policy": network.policy,
            "kept_phase": kept,
            "seconds": round(time.perf_counter() - start, 1),
            "left_out": left_out,
        }
        rundir.write_json(folder / rundir.ENVIRONMENT, describe_environment() | training)
        del parts  # unmapped before its files go
        shutil.rmtree(work)
        rundir.write_json(folder / rundir.METRICS, metrics)
    _log.info("%s: done in %.0f s, weights of phase %s.", out, time.perf_counter() - start, kept)
    return RunDir.open(out)


def resolve(config: Config) -> Config:
    """Fill in what follows from other values: the backbone's ``fine_tune_at``, absolute paths.

    Raises:
        UsageError: Unknown backbone, or no such weights file.
    """
    backbone = get_backbone(config.model.backbone)
    check_weights(config.model.weights)
    update: dict[str, Any] = {}
    if os.path.isfile(config.model.weights):
        update["weights"] = os.path.abspath(config.model.weights)
    if config.model.fine_tune_at is None and not config.from_scratch:
        update["fine_tune_at"] = backbone.fine_tune_at
    return config.model_copy(update={"model": config.model.model_copy(update=update)})


def check_out(out: AnyPath, data: AnyPath, overwrite: bool) -> None:
    """Raise UsageError if ``out`` must not be written: photos, or anything but a run, are there."""
    refuse_existing(out, overwrite)
    target, photos = Path(out).resolve(), Path(data).resolve()
    if target == photos or target in photos.parents or photos in target.parents:
        raise UsageError(f"{out}: overlaps the photos in {data}. Choose another place with --out.")
    if target.is_dir() and any(target.iterdir()) and not rundir.looks_like_run(target):
        raise UsageError(
            f"{out}: is no run directory, so --overwrite does not replace it. "
            "Choose another name, or remove it yourself."
        )


def _announce(dataset: Dataset, network: Network, config: Config) -> None:
    counts = {part: len(samples) for part, samples in dataset.parts.items()}
    _log.info(
        "Photos: %d to train, %d to validate, %d to test, in %d classes.",
        counts["train"],
        counts["val"],
        counts["test"],
        len(dataset.class_names),
    )
    name, size = network.backbone.name, config.image.size
    if config.from_scratch:
        _log.info(
            "Network: %s at %d pixels, WITHOUT ImageNet weights: everything is trained from "
            "scratch, BatchNorm included.",
            name,
            size,
        )
        return
    _log.info(
        "Network: %s at %d pixels, %s. First the head on the frozen backbone (%d epochs), then "
        "the backbone from layer %s up with BatchNorm frozen (%d epochs).",
        name,
        size,
        network.source.describe(),
        config.head.epochs,
        config.model.fine_tune_at,
        config.finetune.epochs,
    )


def _decode(
    dataset: Dataset, info: ModelInfo, work: Path
) -> tuple[dict[str, Photos], list[dict[str, str]]]:
    parts, left_out = {}, []
    for part, samples in dataset.parts.items():
        if not samples:
            continue
        images, labels, kept, failures = decode_part(
            samples, info.preprocess, work / f"photos-{part}.npy", part
        )
        parts[part] = Photos(images, labels, kept)
        left_out += [{"part": part, "path": path, "error": why} for path, why in failures]
    return parts, left_out


def _evaluate(file: Path, parts: dict[str, Photos], info: ModelInfo) -> dict[str, Any]:
    """Figures of the model as it is on disk."""
    model = load_keras_model(file)
    metrics: dict[str, Any] = {"val": None, "test": None}
    for part in metrics:
        if part in parts:
            probabilities = predict(model, parts[part].images)
            metrics[part] = classification_metrics(
                parts[part].labels, probabilities, info.class_names
            )
    return metrics


def _split_rows(parts: dict[str, Photos], info: ModelInfo) -> list[rundir.SplitRow]:
    return [
        rundir.SplitRow(
            os.path.abspath(sample.path), sample.sha256, info.class_names[sample.label], part
        )
        for part, photos in parts.items()
        for sample in photos.samples
    ]


def _write_history(folder: Path, rows: list[dict[str, Any]]) -> None:
    with open(folder / rundir.HISTORY, "w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, HISTORY_COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    plot_history(rows, folder / rundir.HISTORY_PLOT)


def _write_confusion(folder: Path, metrics: dict[str, Any], info: ModelInfo) -> None:
    shown = metrics["test"] or metrics["val"]
    plot_confusion(shown["confusion_matrix"], info.class_names, folder / rundir.CONFUSION_PLOT)


@contextlib.contextmanager
def _stop_message(out: AnyPath, rows: list[dict[str, Any]]) -> Iterator[None]:
    try:
        yield
    except (KeyboardInterrupt, Terminated):
        kept = f"{out} is as it was" if os.path.lexists(out) else f"{out} was not written"
        _log.warning("Stopped after %d whole epochs of training; %s.", len(rows), kept)
        raise
