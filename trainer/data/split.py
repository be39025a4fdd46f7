"""Split a folder of class folders into train, val and test; ``edge-train split SRC DST``."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from edge_runtime.errors import DatasetError
from edge_runtime.files import atomic_folder, is_hidden, refuse_existing, refuse_overlap
from edge_runtime.rundir import PARTS

from .folders import is_split, training_photos
from .grouping import (
    compile_pattern,
    equal_files,
    group_keys,
    join_groups,
    match_group,
    similar_photos,
)
from .placing import Link, place_photo
from .stratify import check_ratios, stratified_parts

_log = logging.getLogger("trainer")


@dataclass(frozen=True)
class SplitPlan:
    """Which photo goes to which part, and what is kept together.

    Attributes:
        parts: Paths by part and class.
        groups: Number of groups of two or more photos.
        grouped: Number of photos in them.
        unmatched: Photos that ``group_by`` did not match; None without ``group_by``.
    """

    parts: dict[str, dict[str, list[str]]]
    groups: int
    grouped: int
    unmatched: int | None = None

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """Number of photos by part and class."""
        return count_parts(self.parts)

    @property
    def ratios(self) -> dict[str, float]:
        """The share of the photos that each part got."""
        totals = {part: sum(classes.values()) for part, classes in self.counts.items()}
        return {part: total / sum(totals.values()) for part, total in totals.items()}

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "counts": self.counts,
            "ratios": self.ratios,
            "groups": {
                "groups": self.groups,
                "photos": self.grouped,
                "unmatched": self.unmatched,
            },
        }


def create_train_val_test_split(
    source: str | os.PathLike[str],
    destination: str | os.PathLike[str],
    train_ratio: float = 0.8,
    val_ratio: float = 0.1,
    test_ratio: float = 0.1,
    seed: int = 0,
    overwrite: bool = False,
    *,
    group_by: str | None = None,
    near_duplicates: bool = False,
    link: Link = "copy",
) -> dict[str, dict[str, int]]:
    """Copy a folder of class folders into ``train/ val/ test/``, each class in proportion.

    The same photos, ratios and seed give the same split, whatever order the file system lists
    them in. Photos keep their name, their place below the class folder, and their times. Files
    that are not photos are not copied. Equal files stay in one part.

    Args:
        source: Folder that holds a folder for each class; it stays as it is.
        destination: Folder to write, whole or not at all; neither inside ``source`` nor around it.
        train_ratio: Share of the photos for training, above 0.
        val_ratio: Share for validation; 0 for none, then there is no ``val`` folder.
        test_ratio: Share for the test; 0 for none, then there is no ``test`` folder.
        seed: Which of the possible splits.
        overwrite: Whether an existing destination may be replaced as a whole.
        group_by: Regular expression; photos of one group stay in one part, see
            :func:`trainer.data.grouping.match_group`.
        near_duplicates: Whether photos that look the same stay in one part, too.
        link: ``copy``; ``hard`` for a second name of the file; ``symlink`` for a link to the
            photo's absolute path, so that the destination may be moved, but not the source.

    Returns:
        Number of photos by part and class, of the parts that were made.

    Raises:
        UsageError: ``source`` does not exist, the ratios make no sense, the folders overlap,
            ``group_by`` matches nothing, or hard links are not possible here.
        OutputExists: ``destination`` exists and ``overwrite`` is false.
        DatasetError: The source is no folder of classes, or has too few photos (or groups) of a
            class.
        MissingComponent: scikit-learn or, for ``near_duplicates``, ImageHash is not installed.
        SystemFailure: Disk full or no permission.
    """
    ratios = (train_ratio, val_ratio, test_ratio)
    plan = split_folder(
        source, destination, ratios, seed, overwrite, group_by, near_duplicates, link
    )
    return plan.counts


def split_folder(
    source: str | os.PathLike[str],
    destination: str | os.PathLike[str],
    ratios: Sequence[float],
    seed: int = 0,
    overwrite: bool = False,
    group_by: str | None = None,
    near_duplicates: bool = False,
    link: Link = "copy",
) -> SplitPlan:
    """:func:`create_train_val_test_split`, with what was kept together in the answer."""
    refuse_overlap(
        destination,
        source,
        f"{os.fspath(destination)}: the destination may neither be the source {os.fspath(source)} "
        "nor lie inside or around it. Choose a folder beside it.",
    )
    refuse_existing(destination, overwrite)
    if is_split(source):
        raise DatasetError(
            f"{os.fspath(source)}: holds train/, val/ or test/ already. Train on it as it is, or "
            "name a folder that holds a folder for each class."
        )
    plan = plan_split(source, ratios, seed, group_by, near_duplicates)
    with atomic_folder(destination, overwrite) as folder:
        for part, classes in plan.parts.items():
            for paths in classes.values():
                for path in paths:
                    place_photo(path, folder / part / os.path.relpath(path, source), link)
    _log_left_out(source, sum(sum(classes.values()) for classes in plan.counts.values()))
    return plan


def plan_split(
    folder: str | os.PathLike[str],
    ratios: Sequence[float],
    seed: int,
    group_by: str | None = None,
    near_duplicates: bool = False,
) -> SplitPlan:
    """Divide the photos of a folder of class folders; nothing is written.

    Equal files are kept together in any case: only photos of one size are opened for that.

    Raises:
        UsageError: The folder does not exist, the ratios make no sense, or ``group_by`` is no
            regular expression or matches nothing.
        DatasetError: It cannot be trained on, or has too few photos (or groups) of a class.
        MissingComponent: ImageHash is not installed, with ``near_duplicates``.
    """
    check_ratios(ratios)  # before photos are opened
    pattern = None if group_by is None else compile_pattern(group_by)
    photos = training_photos(folder)
    paths = [path for found in photos.values() for path in found]
    together = equal_files(paths)
    unmatched = None
    if group_by is not None and pattern is not None:
        keys: dict[str, list[int]] = {}
        for index, key in enumerate(group_keys(paths, group_by)):
            keys.setdefault(key, []).append(index)
        together += keys.values()
        unmatched = sum(match_group(path, pattern) is None for path in paths)
        if unmatched:
            _log.warning(
                "group-by %r does not match %d of %d photos; each of these is a group of its own.",
                group_by,
                unmatched,
                len(paths),
            )
    if near_duplicates:
        together += similar_photos(paths)
    groups = join_groups(len(paths), together)
    try:
        parts = assign_parts(photos, ratios, seed, groups)
    except DatasetError as error:
        raise DatasetError(f"{os.fspath(folder)}: {error}") from error
    several = [size for size in Counter(groups).values() if size > 1]
    return SplitPlan(parts, len(several), sum(several), unmatched)


def assign_parts(
    photos: dict[str, list[str]],
    ratios: Sequence[float],
    seed: int,
    groups: Sequence[int] | None = None,
) -> dict[str, dict[str, list[str]]]:
    """Divide the photos of each class among the parts whose ratio is above 0.

    Args:
        photos: Paths by class name, sorted, as :func:`trainer.data.folders.class_photos` gives them.
        ratios: Shares of train, val and test.
        seed: Which of the possible splits.
        groups: Number of the group of each photo, in the order of ``photos``; photos of one
            group go to one part. None if each is its own.

    Returns:
        Paths by part and class; every part has every class, each in the order of ``photos``.

    Raises:
        UsageError: The ratios make no sense.
        DatasetError: A class has too few photos or groups.
    """
    labels = [name for name, paths in photos.items() for _ in paths]
    paths = [path for paths in photos.values() for path in paths]
    parts: dict[str, dict[str, list[str]]] = {
        part: {name: [] for name in photos}
        for part, ratio in zip(PARTS, ratios, strict=True)
        if ratio > 0
    }
    assigned = stratified_parts(labels, ratios, seed, groups)
    for label, path, part in zip(labels, paths, assigned, strict=True):
        parts[part][label].append(path)
    return parts


def count_parts(parts: dict[str, dict[str, list[str]]]) -> dict[str, dict[str, int]]:
    """Number of photos by part and class, of what :func:`assign_parts` gave."""
    return {
        part: {name: len(paths) for name, paths in classes.items()}
        for part, classes in parts.items()
    }


def _log_left_out(source: str | os.PathLike[str], copied: int) -> None:
    count = -copied
    for _, folders, names in os.walk(source):
        folders[:] = [name for name in folders if not is_hidden(name)]
        count += sum(not is_hidden(name) for name in names)
    if count:
        _log.info("%s: %d files that are no photos of a class are not copied.", source, count)
