"""From a folder of photos to samples: which photo is in which part, and of which class."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass

from edge_runtime.errors import DatasetError, UsageError, shell_command
from edge_runtime.rundir import PARTS

from .folders import (
    VAL_ALIASES,
    class_photos,
    is_split,
    listing,
    sub_folders,
    training_photos,
)
from .grouping import group_keys
from .split import plan_split
from .stratify import check_ratios

_log = logging.getLogger("trainer")


@dataclass(frozen=True)
class Sample:
    """One photo of a data set."""

    path: str  #: the folder as it was given, joined with the file below it
    label: int  #: index of the class
    sha256: str = ""  #: of the file, 64 hexadecimal digits; empty until it was decoded


@dataclass(frozen=True)
class Dataset:
    """The photos of a data set.

    Attributes:
        class_names: In index order: sorted names of the training folder.
        parts: Samples of ``train``, ``val`` and ``test``, by class and path; ``test`` may be empty.
    """

    class_names: tuple[str, ...]
    parts: dict[str, list[Sample]]


def index_dataset(
    folder: str | os.PathLike[str],
    ratios: Sequence[float] = (0.8, 0.1, 0.1),
    seed: int = 0,
    group_by: str | None = None,
) -> Dataset:
    """List the photos of a data set; opened are those of a folder to split that have one size.

    Args:
        folder: ``train/ val/ test/`` with a folder for each class (``test`` may be absent), or
            one folder of class folders, which is then split, stratified.
        ratios: Shares of train, val and test, for a folder that is not split.
        seed: Which of the possible splits, for a folder that is not split.
        group_by: Regular expression of photos that stay in one part, see
            :func:`trainer.data.grouping.match_group`; in a folder that is split already, those in
            several parts are warned of.

    Returns:
        The data set; ``sha256`` of its samples is empty until :func:`trainer.data.pixels.load_part` fills it.

    Raises:
        UsageError: The folder does not exist, the ratios make no sense, or ``group_by`` is no
            regular expression or matches nothing.
        DatasetError: It cannot be trained on; the message says why.
    """
    if is_split(folder):
        by_part = _read_parts(folder)
        if group_by is not None:
            _warn_of_torn_groups(by_part, group_by)
    else:
        if check_ratios(ratios)[1] <= 0:
            raise UsageError("Ratios: the one of val must be above 0; training needs it.")
        by_part = plan_split(folder, ratios, seed, group_by).parts
    names = {name: index for index, name in enumerate(by_part["train"])}
    parts = {
        part: [
            Sample(path, names[name])
            for name, paths in by_part.get(part, {}).items()
            for path in paths
        ]
        for part in PARTS
    }
    return Dataset(tuple(names), parts)


def _read_parts(folder: str | os.PathLike[str]) -> dict[str, dict[str, list[str]]]:
    found = sub_folders(folder)
    paths = {part: os.path.join(folder, part) for part in PARTS}
    if "train" not in found:
        raise DatasetError(
            f"{os.fspath(folder)}: found {', '.join(found)}, but no train folder. "
            "Expected train/, val/ and, if there is one, test/."
        )
    if "val" not in found:
        alias = next((name for name in VAL_ALIASES if name in found), None)
        remedy = (
            f"Rename {alias} to val."
            if alias
            else f"Make one with: {shell_command('edge-train', 'split', paths['train'], 'NEW_FOLDER')}"
        )
        raise DatasetError(f"{os.fspath(folder)}: train is there, but no val folder. {remedy}")
    photos = {"train": training_photos(paths["train"])}
    for part in PARTS[1:]:
        if part in found:
            photos[part] = class_photos(paths[part])
            _check_part(paths[part], photos[part], photos["train"])
    return photos


def _warn_of_torn_groups(by_part: dict[str, dict[str, list[str]]], group_by: str) -> None:
    places = [
        (part, path)
        for part, classes in by_part.items()
        for paths in classes.values()
        for path in paths
    ]
    groups: dict[str, dict[str, str]] = {}
    for (part, path), key in zip(
        places, group_keys((path for _, path in places), group_by), strict=True
    ):
        groups.setdefault(key, {}).setdefault(part, path)
    torn = [found for found in groups.items() if len(found[1]) > 1]
    if torn:
        key, examples = torn[0]
        _log.warning(
            "group-by %r: %d group%s in several of %s, which makes their figures too good, for "
            "example %r: %s. Divide the photos again with edge-train split --group-by.",
            group_by,
            len(torn),
            " lies" if len(torn) == 1 else "s lie",
            ", ".join(by_part),
            key,
            " and ".join(examples.values()),
        )


def _check_part(folder: str, photos: dict[str, list[str]], training: dict[str, list[str]]) -> None:
    unknown = set(photos) - set(training)
    if unknown:
        raise DatasetError(
            f"{folder}: {listing(unknown)} is no class of the training folder, which has "
            f"{listing(training)}. Rename the folder, remove it, or add the class to train."
        )
    if not any(photos.values()):
        raise DatasetError(f"{folder}: no photo in it. Add photos or remove the folder.")
    missing = {name for name in training if not photos.get(name)}
    if missing:
        _log.warning(
            "%s: no photo of %s; the figures of this part say nothing about it.",
            folder,
            listing(missing),
        )
