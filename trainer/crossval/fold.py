"""One fold of a cross-validation, in whatever process it lands; importing this loads no Keras."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import sys
import threading
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from edge_runtime import rundir
from edge_runtime.errors import ModelError

from ..config.schema import Config
from ..data.dataset import Dataset

#: Of the environment, what decides how a fold is trained.
_PASSED = ("KERAS_BACKEND", "EDGE_CLASSIFY_CACHE", "KERAS_HOME", "XDG_CACHE_HOME", "WANDB_MODE")

#: A process has one Keras, with one seed and one precision.
_one_at_a_time = threading.Lock()


@dataclass(frozen=True)
class FoldTask:
    """A fold to train; travels to another process.

    Attributes:
        out: Folder for its results.
        dataset: Its photos: ``test`` is what it holds out.
        config: The configuration, of :func:`trainer.training.resolve.resolve`.
        keep_model: Whether the network stays in the folder.
        threads: Processor threads that it may use; None for all.
        level: Of the log.
        home: Number of the process that shares the folds out.
        environment: Variables of that process.
    """

    out: Path
    dataset: Dataset
    config: Config
    keep_model: bool = False
    threads: int | None = None
    level: int = logging.WARNING
    home: int = field(default_factory=os.getpid)
    environment: Mapping[str, str] = field(
        default_factory=lambda: {name: os.environ[name] for name in _PASSED if name in os.environ}
    )


def train_fold(task: FoldTask) -> None:
    """Train a fold as ``edge-train fit`` trains a run, or go on where it was interrupted.

    Raises:
        DatasetError: And the others of :func:`trainer.training.fit.fit`.
    """
    with _prepared(task):
        from edge_runtime.backends.full_model import import_keras

        from ..training import fit as train

        folder = rundir.unfinished(task.out)
        try:
            if folder.is_dir():
                with contextlib.suppress(ModelError):  # its state is damaged: from the beginning
                    train.resume(task.out)
            if not is_finished(task.out):
                train.fit_dataset(task.dataset, task.out, task.config, overwrite=True)
        finally:
            import_keras().utils.clear_session()  # or each fold of this process takes memory
        trim(task)


def fetch_weights(task: FoldTask) -> None:
    """Download the ImageNet weights before several folds want them at once.

    Raises:
        MissingComponent: They cannot be downloaded.
    """
    with _prepared(task):
        from ..network.backbones import build_base, get_backbone
        from ..network.weights import load_weights

        backbone = get_backbone(task.config.model.backbone)
        load_weights(build_base(backbone, 32), backbone, task.config.model.weights)


def is_finished(out: Path) -> bool:
    """Whether a fold has its results."""
    return (out / rundir.METRICS).is_file()


def trim(task: FoldTask) -> None:
    """Remove what is large from the results of a fold."""
    shutil.rmtree(task.out / rundir.CHECKPOINTS, ignore_errors=True)
    if not task.keep_model:
        (task.out / rundir.MODEL).unlink(missing_ok=True)


@contextlib.contextmanager
def _prepared(task: FoldTask) -> Iterator[None]:
    """The process as a fold needs it; each line of its log begins with the fold's name."""
    logger, elsewhere = logging.getLogger("trainer"), task.home != os.getpid()

    remedy = rundir.resume_command(task.out)

    def name_the_fold(record: logging.LogRecord) -> bool:
        if remedy in record.getMessage():  # how to go on is for the whole to say
            return False
        record.msg = f"{task.out.name}: {record.msg}"
        return True

    with _one_at_a_time, warnings.catch_warnings():
        if elsewhere:
            os.environ.update(task.environment)
            _limit_threads(task.threads)
            logger.setLevel(task.level)
            if not logger.handlers:
                logger.addHandler(logging.StreamHandler(sys.stderr))
            warnings.simplefilter("ignore")  # Python's own warnings speak to developers
        logger.addFilter(name_the_fold)
        try:
            yield
        finally:
            logger.removeFilter(name_the_fold)


def _limit_threads(threads: int | None) -> None:
    """TensorFlow reads these when it starts; it does not care for those that joblib sets."""
    if threads is not None:
        for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"):
            os.environ[name] = str(threads)
