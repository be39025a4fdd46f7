"""``edge-train fit``: from a folder of photos to a run directory."""

from __future__ import annotations

import logging
import os
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from edge_runtime import rundir
from edge_runtime.backends.full_model import load_keras_model
from edge_runtime.errors import DatasetError, UsageError
from edge_runtime.files import refuse_existing, refuse_other, refuse_overlap
from edge_runtime.manifest import ModelInfo
from edge_runtime.rundir import RunDir

from ..config.schema import Config
from ..data.dataset import Dataset, index_dataset
from ..data.pixels import Photos, load_parts
from ..devices import backend
from ..distribution import MULTI_WORKER, Distribution, choose_distribution
from ..doctor import resolve_duplicates, warn_of_findings
from ..evaluation.finish import finish_evaluation
from ..evaluation.predictions import read_out_of_fold
from ..network.model import FLOAT32
from ..network.network import Network, build_network
from ..network.warm_start import start_facts, start_network, warn_of_known_photos
from ..network.weights import WeightsSource
from ..packages import check_packages
from ..report.plots import plot_history
from ..stopping import patient_signals
from ..tracking.tracking import start_tracking
from ..workers import broadcast, broadcast_files, disconnect, is_worker, together
from .environment import describe_environment
from .job import Job, copied_job, resume_job, start_job, write_config, write_parts
from .phase import with_room
from .phases import Training
from .precision import Trial, choose_policy, try_steps
from .resolve import resolve

_log = logging.getLogger("trainer")

AnyPath = str | os.PathLike[str]

#: Modules that the end of a training needs, and the packages that have them.
_AT_THE_END = (
    ("sklearn", "scikit-learn"),
    ("scipy", "scipy"),
    ("matplotlib", "matplotlib"),
    ("jinja2", "jinja2"),
)


def fit(
    data: AnyPath, out: AnyPath, config: Config | None = None, overwrite: bool = False
) -> RunDir | None:
    """Train a classifier and write its run directory.

    Until the run is whole it is ``OUT.unfinished``, which :func:`resume` takes up. With the
    strategy ``multi-worker`` every process calls this, and process 0 alone writes: the others take
    the configuration and the list of photos from it.

    Args:
        data: ``train/ val/ test/`` with a folder for each class (``test`` may be absent), or one
            folder of class folders, which is split with the seed.
        out: Run directory to write.
        config: The configuration; None for the defaults.
        overwrite: Whether an existing run may be replaced; it stays as it is until the new one
            is whole.

    Returns:
        The run; None in a process that does not write it.

    Raises:
        UsageError: A path, backbone or weights file that does not exist; ``out`` exists, is no
            run, or overlaps ``data``.
        DatasetError: The photos cannot be trained on.
        DataError: The weights do not fit the backbone.
        ModelError: The training diverged.
        MissingComponent: A package is missing, or the ImageNet weights cannot be downloaded.
        SystemFailure: No memory or disk left, or no permission.
    """
    config = resolve(config or Config())
    check_out(out, data, overwrite)
    distribution = choose_distribution(config.strategy)
    with together():
        if not distribution.chief:
            return _follow(out, distribution)
        dataset = index_dataset(data, config.data.ratios, config.seed, config.data.group_by)
        warn_of_findings(dataset, data)
        return fit_dataset(dataset, out, config, overwrite, distribution)


def fit_dataset(
    dataset: Dataset,
    out: AnyPath,
    config: Config,
    overwrite: bool = False,
    distribution: Distribution | None = None,
) -> RunDir | None:
    """:func:`fit` on photos that are listed already.

    Args:
        dataset: The photos of each part.
        out: Run directory to write.
        config: Of :func:`trainer.training.resolve.resolve`.
        overwrite: As for :func:`fit`.
        distribution: The devices; None for those that the configuration names.

    Raises:
        SystemFailure: And the others of :func:`fit`.
    """

    def prepare(folder: Path) -> None:
        write_config(folder, config)
        # Without checksums, which say that the photos have been read; those of a fold have some.
        parts = {
            part: [replace(sample, sha256="") for sample in samples]
            for part, samples in dataset.parts.items()
        }
        write_parts(folder, dataset, parts)

    if config.evaluation.out_of_fold is not None:  # looked at now, because it is used at the end
        read_out_of_fold(config.evaluation.out_of_fold, dataset.class_names)
    facts = {"class_names": dataset.class_names, "overwrite": overwrite}
    facts |= start_facts(config, dataset.class_names, out)
    with patient_signals(), start_job(out, overwrite, prepare, facts) as job:
        return _run(job, distribution or choose_distribution(config.strategy))


def resume(out: AnyPath, overwrite: bool = False) -> RunDir | None:
    """Go on with a training that was interrupted, to the same result.

    Args:
        out: The run that :func:`fit` was to write. Where the environment names this process as a
            worker, only its process 0 sees it.
        overwrite: Whether what has come to be at ``out`` since may be replaced; what :func:`fit`
            was told stays true in any case.

    Returns:
        As :func:`fit`.

    Raises:
        UsageError: There is no interrupted training, or it ran on another Keras backend.
        OutputExists: Something is at ``out`` by now, and ``overwrite`` is false.
        ModelError: Its state is damaged.
        SystemFailure: As :func:`fit`.
    """
    if is_worker():
        distribution = choose_distribution(MULTI_WORKER)
        with together():
            return _follow(out, distribution)
    with patient_signals(), resume_job(out) as job:
        if overwrite:
            job.note({"overwrite": True})
        refuse_existing(job.out, bool(job.read()["overwrite"]))
        _refuse_other(job.out)
        distribution = choose_distribution(job.config.strategy)
        with together():
            return _run(job, distribution)


def check_out(out: AnyPath, data: AnyPath, overwrite: bool) -> None:
    """Raise UsageError if ``out`` must not be written: photos, or anything but a run, are there."""
    refuse_existing(out, overwrite)
    refuse_overlap(
        out, data, f"{out}: overlaps the photos in {data}. Choose another place with --out."
    )
    _refuse_other(out)


def _refuse_other(out: AnyPath) -> None:
    refuse_other(out, rundir.looks_like_run(Path(out)), "run directory")


def _follow(out: AnyPath, distribution: Distribution) -> RunDir | None:
    """Train with process 0, on a copy of what it has."""
    with patient_signals(), copied_job(out, broadcast_files({})) as job:
        return _run(job, distribution)


def _run(job: Job, distribution: Distribution) -> RunDir | None:
    """Train, or go on training, and finish the run."""
    start = time.perf_counter()
    check_packages(_AT_THE_END, "evaluate the training at its end")
    config, dataset = job.config, job.dataset()
    if distribution.chief and distribution.division.processes > 1:
        broadcast_files(job.state())
    classes = len(dataset.class_names)
    network = None
    if not job.start.is_file():  # first of all, because the weights may not fit
        network = start_network(config, dataset.class_names, FLOAT32, distribution)
    info = ModelInfo(dataset.class_names, config.image.spec())
    with job.progress.timed("photos"):
        parts = _load(job, dataset, info, config)
    if network:
        warn_of_known_photos(config, {part: photos.samples for part, photos in parts.items()})
    network = (
        _begin(job, network, parts["train"], config, dataset.class_names)
        if network
        else _again(job, config, distribution, classes)
    )
    _announce(parts, network, config, info)
    with start_tracking(
        job.folder, job.out.name, config, job.progress.rows, distribution.chief
    ) as tracking:
        training = Training(
            network,
            config,
            parts["train"],
            parts["val"],
            job.checkpoints,
            job.work,
            job.progress,
            job.write_history,
            tracking.callbacks,
        )
        kept = training.run()
        disconnect()
        if not distribution.chief:
            _log.info("The training has ended. Process 0 evaluates the network and writes the run.")
            return None
        _finish(job, network, config, parts, info, kept)
        tracking.finish(job.folder, parts)
    facts = job.read()
    job.finish(bool(facts["overwrite"]))
    _log.info(
        "%s: done in %.0f s, weights of phase %s.", job.out, time.perf_counter() - start, kept
    )
    return RunDir.open(job.out)


def _load(job: Job, dataset: Dataset, info: ModelInfo, config: Config) -> dict[str, Photos]:
    """The pixels of every part; the first time, the photos that are left out are noted."""
    listed = {part: samples for part, samples in dataset.parts.items() if samples}
    # The checksums are written last, when what was left out has been noted.
    first = not all(sample.sha256 for samples in listed.values() for sample in samples)
    parts, left_out = {}, []
    loaded = load_parts(listed, info.preprocess, config.cache.limit_gb)
    for part, (photos, failures) in loaded.items():
        before = [sample.sha256 for sample in listed[part]]
        if not first and before != [sample.sha256 for sample in photos.samples]:
            raise DatasetError(
                f"{part}: photos have changed or gone since the training began, so it cannot go "
                f"on. Bring them back, or start again with --overwrite."
            )
        parts[part] = photos
        left_out += [
            {"part": part, "path": path, "error": why, "kind": "unreadable"}
            for path, why in failures
        ]
    if first:
        keep, copies = resolve_duplicates({part: photos.samples for part, photos in parts.items()})
        for copy in copies:
            _log.warning("%s: %s Left out of %s.", copy.path, copy.reason, copy.part)
        left_out += [
            {"part": c.part, "path": c.path, "error": c.reason, "kind": c.kind} for c in copies
        ]
        parts = {part: _only(photos, keep[part]) for part, photos in parts.items()}
        job.note({"left_out": left_out})
        write_parts(job.folder, dataset, {part: photos.samples for part, photos in parts.items()})
    used = (job.folder / rundir.SPLIT).read_bytes()
    if broadcast(used) != used:
        raise DatasetError(
            "The photos differ from those that process 0 sees. Give every host the same ones, "
            "under the same paths."
        )
    return parts


def _only(photos: Photos, chosen: list[int]) -> Photos:
    return photos if len(chosen) == len(photos.labels) else photos.select(np.array(chosen))


def _begin(
    job: Job, network: Network, train: Photos, config: Config, names: tuple[str, ...]
) -> Network:
    """Choose the precision, and keep the weights that the training starts with."""

    def attempt(policy: str, size: int) -> Trial:
        tried = start_network(config, names, policy, network.distribution)
        return try_steps(tried, config, train, size)

    # One process may find it slower than another does.
    policy = broadcast(choose_policy(config, attempt).encode()).decode()
    if policy != network.policy:
        network = start_network(config, names, policy, network.distribution)
    job.note({"policy": policy, "weights": vars(network.source), "backend": backend()})
    new = job.start.with_name(f"new-{job.start.name}")
    network.model.save_weights(new)
    os.replace(new, job.start)
    return network


def _again(job: Job, config: Config, distribution: Distribution, classes: int) -> Network:
    """The network as :func:`_begin` left it."""
    facts = job.read()
    if facts["backend"] != backend():
        raise UsageError(
            f"{job.out}: the training ran on Keras's backend {facts['backend']}, this is "
            f"{backend()}. Set the variable KERAS_BACKEND={facts['backend']}."
        )
    source = WeightsSource(**facts["weights"])
    network = build_network(config, classes, facts["policy"], distribution, lambda base: source)
    network.model.load_weights(job.start)
    return network


def _announce(parts: dict[str, Photos], network: Network, config: Config, info: ModelInfo) -> None:
    counts = {part: len(photos.labels) for part, photos in parts.items()}
    _log.info(
        "Photos: %d to train, %d to validate, %d to test, in %d classes.",
        counts["train"],
        counts["val"],
        counts.get("test", 0),
        len(info.class_names),
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


def _finish(
    job: Job,
    network: Network,
    config: Config,
    parts: dict[str, Photos],
    info: ModelInfo,
    kept: str,
) -> None:
    """Write everything that a finished run has and an unfinished one lacks."""
    folder, facts = job.folder, job.read()
    network.finished_model(config).save(folder / rundir.MODEL)
    job.write_history()
    rows = job.progress.rows
    plot_history(rows, folder / rundir.HISTORY_PLOT)
    environment = describe_environment() | {
        "seed": config.seed,
        "weights": facts["weights"],
        "policy": network.policy,
        "strategy": network.distribution.name,
        "batch_size": job.progress.batch_size(config.batch_size),
        "kept_phase": kept,
        "seconds": round(job.progress.seconds, 1),
        "phase_seconds": job.progress.times(),
        "left_out": facts["left_out"],
    }
    if "from_run" in facts:
        environment["from_run"] = facts["from_run"]
    model = load_keras_model(folder / rundir.MODEL)  # as it is on disk
    info, metrics = with_room(
        lambda size: finish_evaluation(
            folder,
            model,
            parts,
            info,
            config,
            rows,
            facts["left_out"],
            environment,
            job.out.name,
            size,
        ),
        environment["batch_size"],
        "the answers for report.html",
    )
    rundir.write_info(folder, info)
    rundir.write_json(folder / rundir.ENVIRONMENT, environment)
    rundir.write_json(folder / rundir.METRICS, metrics)
