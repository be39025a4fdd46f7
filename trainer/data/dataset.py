"""From a folder of photos to pixels: which photo is in which part, and the decoded cache."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass

from edge_runtime.errors import DatasetError, UsageError, shell_command

from .folders import (
    PARTS,
    VAL_ALIASES,
    class_photos,
    is_split,
    listing,
    sub_folders,
    training_photos,
)
from .split import check_ratios, split_classes

_log = logging.getLogger("trainer")

#: Largest share of a part that may be unreadable.
UNREADABLE_LIMIT = 0.05

_SHOWN_FAILURES = 5


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
        group_by: Regular expression of photos that stay in one part, for a folder that is not
            split, see :func:`trainer.data.grouping.match_group`.

    Returns:
        The data set; ``sha256`` of its samples is empty until :func:`trainer.data.pixels.load_part` fills it.

    Raises:
        UsageError: The folder does not exist, or the ratios make no sense.
        DatasetError: It cannot be trained on; the message says why.
    """
    if is_split(folder):
        by_part = _read_parts(folder)
    else:
        if check_ratios(ratios)[1] <= 0:
            raise UsageError("Ratios: the one of val must be above 0; training needs it.")
        by_part = split_classes(folder, ratios, seed, group_by)
    names = tuple(by_part["train"])
    parts = {
        part: [
            Sample(path, names.index(name))
            for name, paths in by_part.get(part, {}).items()
            for path in paths
        ]
        for part in PARTS
    }
    return Dataset(names, parts)


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


def check_failures(
    samples: Sequence[Sample],
    kept: Sequence[Sample],
    failures: Sequence[tuple[str, str]],
    part: str,
) -> None:
    """Warn of photos that cannot be read.

    Args:
        samples: All photos of a part.
        kept: Those that can be read.
        failures: Path and reason of the others.
        part: Name for messages.

    Raises:
        DatasetError: More than 5 % of the part, or every photo of a class of ``train``.
    """
    if len(failures) > UNREADABLE_LIMIT * len(samples):
        shown = [f"  {path}: {reason}" for path, reason in failures[:_SHOWN_FAILURES]]
        if len(failures) > len(shown):
            shown.append(f"  and {len(failures) - len(shown)} more")
        raise DatasetError(
            f"{part}: {len(failures)} of {len(samples)} photos cannot be read, "
            f"{len(failures) / len(samples):.1%}; at most {UNREADABLE_LIMIT:.0%} may be left out. "
            "Replace or remove them:\n" + "\n".join(shown)
        )
    for path, reason in failures:
        _log.warning("%s: %s Left out of %s.", path, reason, part)
    readable = {sample.label for sample in kept}
    for sample in samples:
        if part == "train" and sample.label not in readable:
            raise DatasetError(
                f"{part}: no photo of the class of {sample.path} can be read. "
                "Replace them or remove the class."
            )
