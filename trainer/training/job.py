"""A training under way: ``RUN.unfinished/`` beside the place of the run, until it is whole.

Whatever happens to the process, the folder holds a training that can go on, and ``RUN`` itself is
there only when it is finished. A lock keeps two processes out of one training.
"""

from __future__ import annotations

import contextlib
import csv
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from edge_runtime import rundir
from edge_runtime.console import Terminated
from edge_runtime.errors import ModelError, OutputExists, SystemFailure, UsageError
from edge_runtime.files import (
    atomic_file,
    atomic_folder,
    refuse_existing,
    replace_folder,
    system_failures,
)
from edge_runtime.rundir import PARTS, SplitRow, resume_command, unfinished

from ..config.io import dump_config, read_config
from ..config.schema import Config
from ..data.dataset import Dataset, Sample
from .errors import Diverged
from .progress import Progress

_log = logging.getLogger("trainer")

LOCK = "lock"

_JOB, _STATE, _START, _WORK = "job.json", "state.npz", "start.weights.h5", "work"

AnyPath = str | os.PathLike[str]


class Job:
    """The folder of a training under way."""

    def __init__(self, out: Path) -> None:
        """Read what is there; see :func:`start_job` and :func:`resume_job`."""
        self.out, self.folder = out, unfinished(out)
        self.progress = Progress(self.checkpoints / _STATE)

    @property
    def checkpoints(self) -> Path:
        """For the best weights of each phase."""
        return self.folder / rundir.CHECKPOINTS

    @property
    def work(self) -> Path:
        """For what the finished run does not need."""
        return self.folder / _WORK

    @property
    def start(self) -> Path:
        """Weights that the training began with; there once it has begun."""
        return self.checkpoints / _START

    @property
    def config(self) -> Config:
        """The resolved configuration."""
        return read_config(self.folder / rundir.CONFIG)

    def read(self) -> dict[str, Any]:
        """What was noted with :meth:`note`.

        Raises:
            ModelError: It is damaged.
        """
        try:
            found = json.loads((self.folder / _JOB).read_bytes())
        except (OSError, ValueError) as error:
            raise ModelError(
                f"{self.folder}: {_JOB} is damaged or missing ({error}). Start the training again "
                "with --overwrite."
            ) from error
        return dict(found)

    def note(self, facts: Mapping[str, Any]) -> None:
        """Add facts about the training, as JSON."""
        known = self.read() if (self.folder / _JOB).exists() else {}
        with atomic_file(self.folder / _JOB) as temporary:
            rundir.write_json(temporary, known | dict(facts))

    def state(self) -> dict[str, bytes]:
        """The files that a training needs to go on, by their place in the folder."""
        files = [self.folder / name for name in (rundir.CONFIG, rundir.SPLIT, _JOB)]
        files += sorted(self.checkpoints.iterdir())
        return {str(file.relative_to(self.folder)): file.read_bytes() for file in files}

    def dataset(self) -> Dataset:
        """The photos as they were when the training began."""
        names = {name: index for index, name in enumerate(self.read()["class_names"])}
        parts: dict[str, list[Sample]] = {part: [] for part in PARTS}
        for row in rundir.read_split(self.folder / rundir.SPLIT):
            parts[row.part].append(Sample(row.path, names[row.label], row.sha256))
        return Dataset(tuple(names), parts)

    def write_history(self) -> None:
        """Write ``history.csv``."""
        rows = self.progress.rows
        columns = list(dict.fromkeys(key for row in rows for key in row))
        file = self.folder / rundir.HISTORY
        with atomic_file(file) as new, open(new, "w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, columns)
            writer.writeheader()
            writer.writerows(rows)

    def finish(self, overwrite: bool) -> None:
        """Move the whole run to its place, without what only the training needed.

        What a resumed training needs goes last, once the run is where it belongs.

        Raises:
            OutputExists: Something is there by now, and ``overwrite`` is false.
        """
        refuse_existing(self.out, overwrite)
        shutil.rmtree(self.work, ignore_errors=True)
        replace_folder(self.folder, self.out)
        checkpoints = self.out / rundir.CHECKPOINTS
        for file in (
            checkpoints / _START,
            checkpoints / _STATE,
            self.out / _JOB,
            self.out / LOCK,
            *checkpoints.glob("new-*"),
        ):
            file.unlink(missing_ok=True)


@contextlib.contextmanager
def begin_unfinished(folder: Path, overwrite: bool, what: str, go_on: str) -> Iterator[Path]:
    """Make the folder of something that takes long, whole from the first moment.

    Args:
        folder: The folder, see :func:`edge_runtime.rundir.unfinished`.
        overwrite: Whether what was interrupted there before may be thrown away.
        what: What that is, for the message.
        go_on: The command that goes on with it.

    Yields:
        The folder to fill.

    Raises:
        OutputExists: Something was interrupted there, and ``overwrite`` is false.
        SystemFailure: Disk full, no permission, or another process works there.
    """
    if folder.exists():
        if not overwrite:
            raise OutputExists(
                f"{folder}: {what} that was interrupted is there. Start again with --overwrite, or "
                f"go on with: {go_on}"
            )
        with locked(folder):
            shutil.rmtree(folder)
    with atomic_folder(folder) as new:
        yield new


@contextlib.contextmanager
def start_job(
    out: AnyPath,
    overwrite: bool,
    prepare: Callable[[Path], None],
    facts: Mapping[str, Any],
) -> Iterator[Job]:
    """A new training; the folder goes again if nothing of it is worth keeping.

    Args:
        out: The run.
        overwrite: Whether an interrupted training may be thrown away.
        prepare: Writes the configuration and the list of photos into a folder.
        facts: For :meth:`Job.note`.

    Raises:
        OutputExists: A training for this run was interrupted, and ``overwrite`` is false.
        SystemFailure: Disk full, no permission, or another process trains there.
    """
    folder = unfinished(out)
    with begin_unfinished(folder, overwrite, "a training", resume_command(out)) as new:
        prepare(new)
        (new / rundir.CHECKPOINTS).mkdir()
        (new / _WORK).mkdir()
        rundir.write_json(new / _JOB, dict(facts))
    with system_failures(folder), locked(folder):
        job = Job(Path(out))
        try:
            yield job
        except BaseException as error:
            asked = isinstance(error, (KeyboardInterrupt, Terminated))
            begun = job.progress.rows or (asked and job.start.is_file())
            if isinstance(error, Diverged) or not begun:
                shutil.rmtree(folder, ignore_errors=True)
            else:
                _say_how_to_go_on(job)
            raise


@contextlib.contextmanager
def resume_job(out: AnyPath) -> Iterator[Job]:
    """A training that was interrupted.

    Args:
        out: The run, or its ``.unfinished`` folder.

    Raises:
        UsageError: There is none.
        ModelError: It is damaged.
        SystemFailure: Disk full, no permission, or another process trains there.
    """
    path = Path(out)
    if path.name.endswith(rundir.UNFINISHED) and path.is_dir():
        path = path.with_name(path.name.removesuffix(rundir.UNFINISHED))
    folder = unfinished(path)
    if not folder.is_dir():
        what = "is finished" if rundir.looks_like_run(path) else f"no {folder.name} beside it"
        raise UsageError(f"{path}: no interrupted training to resume: {what}.")
    with system_failures(folder), locked(folder):
        job = Job(path)
        job.read()
        job.work.mkdir(exist_ok=True)
        try:
            yield job
        except BaseException:
            _say_how_to_go_on(job)
            raise


@contextlib.contextmanager
def copied_job(out: AnyPath, state: Mapping[str, bytes]) -> Iterator[Job]:
    """The training of another process, in a temporary folder that goes again.

    Args:
        out: The run that the other process writes.
        state: Of its :meth:`Job.state`.
    """
    with tempfile.TemporaryDirectory(prefix="edge-train-") as folder:
        path = Path(folder) / Path(out).name
        for name in (rundir.CHECKPOINTS, _WORK):
            (unfinished(path) / name).mkdir(parents=True)
        for name, data in state.items():
            (unfinished(path) / name).write_bytes(data)
        yield Job(path)


def _say_how_to_go_on(job: Job) -> None:
    epochs = len(job.progress.rows)
    kept = f"; the best weights so far are in {job.checkpoints}" if epochs else ""
    _log.warning(
        "Stopped after %d whole epochs%s. Go on with: %s", epochs, kept, resume_command(job.out)
    )


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes out of a folder.

    Raises:
        SystemFailure: Another process is in it.
    """
    import fcntl

    with open(folder / LOCK, "w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise SystemFailure(f"{folder}: another process trains here. Wait for it.") from error
        yield


def write_config(folder: Path, config: Config) -> None:
    """Write ``config.yaml``."""
    with atomic_file(folder / rundir.CONFIG) as new:
        new.write_text(dump_config(config), encoding="utf-8")


def write_parts(folder: Path, dataset: Dataset, parts: Mapping[str, Sequence[Sample]]) -> None:
    """Write ``split.csv``."""
    rows = [
        SplitRow(
            os.path.abspath(sample.path), sample.sha256, dataset.class_names[sample.label], part
        )
        for part, samples in parts.items()
        for sample in samples
    ]
    rundir.write_split(folder, rows)
