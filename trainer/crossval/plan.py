"""What a cross-validation does: which photos, and which of them in which fold."""

from __future__ import annotations

import csv
import io
import logging
import os
from dataclasses import dataclass, replace

import numpy as np

from edge_runtime.errors import UsageError

from ..config.schema import Config
from ..data.dataset import Dataset, Sample, index_dataset
from ..data.folders import is_split, training_photos
from ..data.grouping import group_keys, join_groups
from ..data.pixels import load_part
from ..doctor import resolve_duplicates, warn_of_findings
from ..doctor.duplicates import equal_groups
from ..training.resolve import resolve
from .folds import Fold, plan_folds

_log = logging.getLogger("trainer")


@dataclass(frozen=True)
class Plan:
    """What a cross-validation does.

    Attributes:
        class_names: In index order.
        samples: All photos, with checksums.
        groups: Group of each.
        folds: The trainings.
        left_out: ``path`` and ``error`` of the photos that are not used.
        config: The configuration, of :func:`trainer.training.resolve.resolve`.
    """

    class_names: tuple[str, ...]
    samples: list[Sample]
    groups: list[int]
    folds: list[Fold]
    left_out: list[dict[str, str]]
    config: Config

    def dataset(self, fold: Fold) -> Dataset:
        """The photos of a fold by part."""
        parts = {"train": fold.train, "val": fold.val, "test": fold.test}
        return Dataset(
            self.class_names,
            {part: [self.samples[index] for index in chosen] for part, chosen in parts.items()},
        )

    def table(self) -> str:
        """``folds.csv``: path, checksum, class, group, and for each repeat the fold."""
        repeats = max(fold.repeat for fold in self.folds)
        held = np.zeros((len(self.samples), repeats), int)
        for fold in self.folds:
            held[fold.test, fold.repeat - 1] = fold.number
        stream = io.StringIO()
        writer = csv.writer(stream)
        writer.writerow(
            ["path", "sha256", "class", "group", *(f"repeat_{n + 1}" for n in range(repeats))]
        )
        for sample, group, row in zip(self.samples, self.groups, held, strict=True):
            label = self.class_names[sample.label]
            writer.writerow([os.path.abspath(sample.path), sample.sha256, label, group, *row])
        return stream.getvalue()


def make_plan(data: str | os.PathLike[str], config: Config, folds: int, repeats: int) -> Plan:
    """Read every photo once, so that the folds find them decoded, and divide them.

    Photos that lie in two classes are left out; other copies of one file are one group.

    Args:
        data: As for :func:`trainer.crossval.crossval.cross_validate`, and so are the others.
        config: The configuration.
        folds: Into how many parts.
        repeats: How often.

    Raises:
        UsageError: And the others of :func:`trainer.crossval.crossval.cross_validate`.
    """
    if config.model.from_run is not None:
        raise UsageError(
            "crossval cannot start from a run (model.from_run): the run has learned photos that "
            "the folds hold out. Leave it out."
        )
    config = resolve(config)
    names, found = _photos(data)
    photos, failures = load_part(found, config.image.spec(), "train", config.cache.limit_gb)
    keep, copies = resolve_duplicates({"train": photos.samples})
    for copy in copies:
        _log.warning("%s: %s Left out.", copy.path, copy.reason)
    samples = [photos.samples[index] for index in keep["train"]]
    together = equal_groups([sample.sha256 for sample in samples])
    if config.data.group_by is not None:
        together += equal_groups(group_keys([s.path for s in samples], config.data.group_by))
    groups = join_groups(len(samples), together)
    train, val, _ = config.data.ratios
    labels = [names[sample.label] for sample in samples]
    plan = plan_folds(labels, groups, folds, repeats, val / (train + val), config.seed)
    left_out = [{"path": path, "error": why} for path, why in failures]
    left_out += [{"path": copy.path, "error": copy.reason} for copy in copies]
    return Plan(names, samples, groups, plan, left_out, config)


def _photos(data: str | os.PathLike[str]) -> tuple[tuple[str, ...], list[Sample]]:
    """Class names and photos of a folder, with absolute paths; a test part is left alone."""
    if is_split(data):
        dataset = index_dataset(data)
        if dataset.parts["test"]:
            _log.info("%s: test is left alone; train and val are divided anew.", os.fspath(data))
        samples = dataset.parts["train"] + dataset.parts["val"]
    else:
        photos = training_photos(data)
        names = tuple(photos)
        samples = [Sample(path, i) for i, name in enumerate(names) for path in photos[name]]
        dataset = Dataset(names, {"train": samples, "val": [], "test": []})
    warn_of_findings(dataset, data)
    # A process on another machine is in another folder.
    return dataset.class_names, [replace(s, path=os.path.abspath(s.path)) for s in samples]
