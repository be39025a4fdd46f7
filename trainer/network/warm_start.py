"""Starting from an earlier run: its backbone, and the head's columns of the classes it knows.

A class that the run does not know begins as the mean of the kept ones, kernel and bias, as in
Hewitt 2021, "Initializing New Word Embeddings for Pretrained Language Models": its logit is the
mean of theirs, so that it never wins before it has learned something.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge_runtime import rundir
from edge_runtime.backends.full_model import import_keras, load_keras_model
from edge_runtime.errors import UsageError
from edge_runtime.files import sha256_file
from edge_runtime.rundir import RunDir

from ..config.io import read_config
from ..config.schema import Config
from ..data.dataset import Sample
from ..distribution import Distribution
from .model import FLOAT32, LOGITS, POOL
from .network import Network, build_network
from .weights import WeightsSource, copy_layers

_log = logging.getLogger("trainer")


@dataclass(frozen=True)
class WarmStart:
    """What a training took over from a run.

    Attributes:
        path: The run.
        sha256: Of its ``model.keras``.
        kept: Classes whose columns of the head were taken over.
        new: Classes that the run does not know.
        dropped: Classes of the run that are no longer there.
    """

    path: str
    sha256: str
    kept: tuple[str, ...]
    new: tuple[str, ...]
    dropped: tuple[str, ...]


def describe_start(run: RunDir, class_names: Sequence[str]) -> WarmStart:
    """Compare the classes of a run with those of a new training."""
    old = run.class_names
    return WarmStart(
        str(run.path.resolve()),
        sha256_file(run.model_path),
        tuple(name for name in class_names if name in old),
        tuple(name for name in class_names if name not in old),
        tuple(name for name in old if name not in class_names),
    )


def resolve_start(config: Config) -> Config:
    """Take path and input size from the run that ``model.from_run`` names.

    Raises:
        UsageError: There is no such run, or the configuration contradicts it.
        ModelError: The run is damaged.
    """
    run = RunDir.open(str(config.model.from_run))
    before = read_config(run.path / rundir.CONFIG)
    size = config.image.size or run.info.preprocess.width
    image = config.image.model_copy(update={"size": size})
    model = config.model.model_copy(update={"from_run": str(run.path.resolve())})
    weights = run.model_path
    if model.backbone != before.model.backbone:
        raise UsageError(
            f"model.backbone is {model.backbone}, but {run.path} holds {before.model.backbone}. "
            "Leave the backbone out, or train another one without --from-run."
        )
    if image.spec() != run.info.preprocess:
        expected, found = (
            f"size {s.width}, fit {s.fit}, kernel {s.kernel}"
            for s in (run.info.preprocess, image.spec())
        )
        raise UsageError(
            f"{run.path} was trained with the image section {expected}, and its head fits no "
            f"other; found {found}. Leave the section out, or take over the backbone alone with "
            f"--weights {weights} in place of --from-run."
        )
    if model.weights not in (before.model.weights, os.fspath(weights)):
        raise UsageError(
            f"model.weights is {model.weights}, but the weights come from {run.path}, where it is "
            f"{before.model.weights}. Leave it out, or leave --from-run out."
        )
    return config.model_copy(update={"image": image, "model": model})


def start_facts(
    config: Config, class_names: Sequence[str], out: str | os.PathLike[str]
) -> dict[str, Any]:
    """Say what a training takes over.

    Args:
        config: The resolved configuration.
        class_names: The classes of the training.
        out: The run that it writes.

    Returns:
        ``from_run``, a :class:`WarmStart` as JSON; nothing for a training without one.

    Raises:
        UsageError: ``out`` is the run that it starts from.
    """
    if config.model.from_run is None:
        return {}
    run = RunDir.open(config.model.from_run)
    if Path(out).resolve() == run.path.resolve():
        raise UsageError(f"{out}: is the run to start from. Write the new one elsewhere.")
    start = describe_start(run, class_names)
    listed = ", ".join(start.new) or "none"
    _log.info("From %s: %d classes known, new: %s.", run.path, len(start.kept), listed)
    if start.dropped:
        _log.warning(
            "%s knows %s, of which there are no photos: dropped. A class that was renamed is a "
            "new one.",
            run.path,
            ", ".join(start.dropped),
        )
    if not start.kept:
        _log.warning("%s: no class in common; only its backbone is taken over.", run.path)
    return {"from_run": asdict(start)}


def start_network(
    config: Config,
    class_names: Sequence[str],
    policy: str = FLOAT32,
    distribution: Distribution | None = None,
) -> Network:
    """The network that a training starts with: as configured, or out of a run.

    Args:
        config: The resolved configuration.
        class_names: The classes in index order.
        policy: Keras dtype policy.
        distribution: Devices; None for one.

    Raises:
        UsageError, DataError, ModelError, MissingComponent: As
            :func:`trainer.network.network.build_network` and :func:`warm_start`.
    """
    if config.model.from_run is None:
        return build_network(config, len(class_names), policy, distribution)
    run = RunDir.open(config.model.from_run)
    source = WeightsSource("run", str(run.model_path), sha256_file(run.model_path))
    network = build_network(config, len(class_names), policy, distribution, lambda base: source)
    warm_start(network.model, run, class_names)
    return network


def warm_start(model: Any, run: RunDir, class_names: Sequence[str]) -> None:
    """Give a classifier the weights of a run.

    Args:
        model: Of :func:`trainer.network.model.build_classifier`, in any precision; changed in place. Its
            head stays as it is if the run knows none of the classes.
        run: The run; its backbone must be the same.
        class_names: What ``model`` tells apart, in index order.

    Raises:
        DataError: The run's network is another one; the message names the first mismatch.
        ModelError: ``model.keras`` of the run is damaged.
    """
    old = load_keras_model(run.model_path)
    base = import_keras().Model(model.input, model.get_layer(POOL).input)
    copy_layers(old, base, f"{run.model_path}: does not fit")
    if set(class_names) & set(run.class_names):
        kernel, bias = old.get_layer(LOGITS).get_weights()
        grown = grow_head(kernel, bias, run.class_names, class_names)
        model.get_layer(LOGITS).set_weights(grown)


def grow_head(
    kernel: np.ndarray, bias: np.ndarray, old: Sequence[str], new: Sequence[str]
) -> list[np.ndarray]:
    """Columns of a linear head for other classes, or the same in another order.

    Args:
        kernel: float32 (k, classes), a column for each name in ``old``.
        bias: float32 (classes,).
        old: Class names; at least one is in ``new``, too.
        new: Class names.

    Returns:
        Kernel and bias for ``new``; an unknown class has the mean of the kept ones.
    """
    places = {name: index for index, name in enumerate(old)}
    kept = [places[name] for name in new if name in places]
    mean_kernel, mean_bias = kernel[:, kept].mean(axis=1), bias[kept].mean()
    columns = [kernel[:, places[name]] if name in places else mean_kernel for name in new]
    biases = [bias[places[name]] if name in places else mean_bias for name in new]
    return [np.stack(columns, axis=1), np.array(biases, bias.dtype)]


def warn_of_known_photos(config: Config, parts: Mapping[str, Sequence[Sample]]) -> None:
    """Warn if the run saw photos in another part than the new training does.

    Args:
        config: The resolved configuration.
        parts: Photos with checksums, by part.
    """
    if config.model.from_run is None:
        return
    run = RunDir.open(config.model.from_run)
    judged = {row.sha256 for row in run.split() if row.part != "train"}
    learned = _learned(run)
    count = sum(sample.sha256 in judged for sample in parts.get("train", ()))
    if count:
        _log.warning(
            "train: %d of %d photos are from the validation or test part of %s: on those, the new "
            "network is not comparable with it. Keep the parts of a data set as they are "
            "(edge-train split), and add new photos to each.",
            count,
            len(parts["train"]),
            run.path,
        )
    for part in ("val", "test"):
        count = sum(sample.sha256 in learned for sample in parts.get(part, ()))
        if count:
            _log.warning(
                "%s: %d of %d photos are from the training part of %s, or of a run that it started "
                "from: the figures of this part flatter. Keep the parts of a data set as they are.",
                part,
                count,
                len(parts[part]),
                run.path,
            )


def _learned(run: RunDir) -> set[str]:
    """Checksums of the training photos of a run, and of the runs before it that are still there."""
    found: set[str] = set()
    seen: set[Path] = set()
    path: Path | None = run.path.resolve()
    while path is not None and path not in seen and (path / rundir.SPLIT).is_file():
        seen.add(path)
        rows = rundir.read_split(path / rundir.SPLIT)
        found |= {row.sha256 for row in rows if row.part == "train"}
        before = read_config(path / rundir.CONFIG).model.from_run
        path = Path(before) if before else None
    return found
