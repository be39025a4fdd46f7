"""Split a folder of class folders into train, val and test; ``edge-train split SRC DST``."""

from __future__ import annotations

import hashlib
import logging
import math
import os
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from edge_runtime.errors import DatasetError, SystemFailure, UsageError
from edge_runtime.files import atomic_folder, is_hidden, refuse_existing

from .folders import PARTS, is_split, training_photos
from .packages import import_module

_log = logging.getLogger("trainer")

_SUM_TOLERANCE = 1e-6


def create_train_val_test_split(
    source: str | os.PathLike[str],
    destination: str | os.PathLike[str],
    train_ratio: float = 0.8,
    val_ratio: float = 0.1,
    test_ratio: float = 0.1,
    seed: int = 0,
    overwrite: bool = False,
) -> dict[str, dict[str, int]]:
    """Copy a folder of class folders into ``train/ val/ test/``, each class in proportion.

    The same photos, ratios and seed give the same split, whatever order the file system lists
    them in. Photos keep their name, their place below the class folder, and their times. Files
    that are not photos are not copied.

    Args:
        source: Folder that holds a folder for each class; it stays as it is.
        destination: Folder to write, whole or not at all; neither inside ``source`` nor around it.
        train_ratio: Share of the photos for training, above 0.
        val_ratio: Share for validation; 0 for none, then there is no ``val`` folder.
        test_ratio: Share for the test; 0 for none, then there is no ``test`` folder.
        seed: Which of the possible splits.
        overwrite: Whether an existing destination may be replaced as a whole.

    Returns:
        Number of photos by part and class, of the parts that were made.

    Raises:
        UsageError: ``source`` does not exist, the ratios make no sense or the folders overlap.
        OutputExists: ``destination`` exists and ``overwrite`` is false.
        DatasetError: The source is no folder of classes, or has too few photos of a class.
        SystemFailure: Disk full or no permission.
    """
    ratios = check_ratios((train_ratio, val_ratio, test_ratio))
    _check_apart(source, destination)
    refuse_existing(destination, overwrite)
    if is_split(source):
        raise DatasetError(
            f"{os.fspath(source)}: holds train/, val/ or test/ already. Train on it as it is, or "
            "name a folder that holds a folder for each class."
        )
    parts = split_classes(source, ratios, seed)
    with atomic_folder(destination, overwrite) as folder:
        for part, classes in parts.items():
            for paths in classes.values():
                for path in paths:
                    _copy(path, folder / part / os.path.relpath(path, source))
    counts = count_parts(parts)
    _log_left_out(source, sum(sum(classes.values()) for classes in counts.values()))
    return counts


def split_classes(
    folder: str | os.PathLike[str], ratios: Sequence[float], seed: int
) -> dict[str, dict[str, list[str]]]:
    """:func:`assign_parts` of the photos of a folder of class folders.

    Raises:
        UsageError: The folder does not exist, or the ratios make no sense.
        DatasetError: It cannot be trained on, or has too few photos of a class.
    """
    photos = training_photos(folder)
    try:
        return assign_parts(photos, ratios, seed)
    except DatasetError as error:
        raise DatasetError(f"{os.fspath(folder)}: {error}") from error


def assign_parts(
    photos: dict[str, list[str]], ratios: Sequence[float], seed: int
) -> dict[str, dict[str, list[str]]]:
    """Divide the photos of each class among the parts whose ratio is above 0.

    Args:
        photos: Paths by class name, sorted, as :func:`trainer.folders.class_photos` gives them.
        ratios: Shares of train, val and test.
        seed: Which of the possible splits.

    Returns:
        Paths by part and class; every part has every class, each in the order of ``photos``.

    Raises:
        UsageError: The ratios make no sense.
        DatasetError: A class has too few photos.
    """
    labels = [name for name, paths in photos.items() for _ in paths]
    paths = [path for paths in photos.values() for path in paths]
    parts: dict[str, dict[str, list[str]]] = {
        part: {name: [] for name in photos}
        for part, ratio in zip(PARTS, ratios, strict=True)
        if ratio > 0
    }
    for label, path, part in zip(
        labels, paths, stratified_parts(labels, ratios, seed), strict=True
    ):
        parts[part][label].append(path)
    return parts


def count_parts(parts: dict[str, dict[str, list[str]]]) -> dict[str, dict[str, int]]:
    """Number of photos by part and class, of what :func:`assign_parts` gave."""
    return {
        part: {name: len(paths) for name, paths in classes.items()}
        for part, classes in parts.items()
    }


def stratified_parts(labels: Sequence[str], ratios: Sequence[float], seed: int) -> list[str]:
    """Assign items to train, val and test, in proportion within each label.

    Each label is divided by the largest-remainder method, ties broken at random, and every part
    with a ratio above 0 gets at least one item of it. Which items, is drawn from the seed and
    the label alone: adding a class does not move the photos of another.

    Args:
        labels: Label of each item. The caller fixes the order (sorted paths).
        ratios: Shares of train, val and test, as :func:`check_ratios` takes them.
        seed: Which of the possible splits.

    Returns:
        ``train``, ``val`` or ``test`` for each item.

    Raises:
        UsageError: The ratios make no sense.
        DatasetError: A label has fewer items than there are parts to fill.
    """
    shares = check_ratios(ratios)
    members: dict[str, list[int]] = {}
    for index, label in enumerate(labels):
        members.setdefault(label, []).append(index)
    result = [""] * len(labels)
    needed = [part for part, share in zip(PARTS, shares, strict=True) if share > 0]
    for label, indices in sorted(members.items()):
        if len(indices) < len(needed):
            raise DatasetError(
                f"class {label!r} has {len(indices)} photo{'s' * (len(indices) != 1)}, and "
                f"{', '.join(needed)} need one each: at least {len(needed)} were expected. "
                "Add photos of it or remove the class."
            )
        random = _random(seed, label)
        sizes = _part_sizes(len(indices), shares, random)
        for part, chosen in zip(PARTS, _draw(indices, sizes, random), strict=True):
            for index in chosen:
                result[index] = part
    return result


def check_ratios(ratios: Sequence[float]) -> tuple[float, float, float]:
    """Return the shares of train, val and test if they can be ones.

    Raises:
        UsageError: Not three numbers, one below 0, train not above 0, or their sum not 1.
    """
    found = ", ".join(f"{ratio:g}" for ratio in ratios)
    if len(ratios) != 3 or not all(math.isfinite(ratio) and ratio >= 0 for ratio in ratios):
        raise UsageError(
            f"Ratios: expected three numbers from 0 to 1 for train, val and test, found {found}."
        )
    if ratios[0] <= 0:
        raise UsageError(f"Ratios: the one of train must be above 0, found {found}.")
    if abs(sum(ratios) - 1) > _SUM_TOLERANCE:
        raise UsageError(f"Ratios: expected a sum of 1, found {found} = {sum(ratios):g}.")
    train, val, test = ratios
    return train, val, test


def _random(seed: int, label: str) -> np.random.RandomState:
    # RandomState because numpy promises to keep its stream; a Generator's may change.
    digest = hashlib.sha256(f"{seed}:{label}".encode("utf-8", "surrogateescape")).digest()
    return np.random.RandomState(int.from_bytes(digest[:4], "little"))


def _part_sizes(count: int, shares: Iterable[float], random: np.random.RandomState) -> list[int]:
    exact = [count * share for share in shares]
    sizes = [math.floor(value + _SUM_TOLERANCE) for value in exact]
    # Rounded, so that 1 - 0.8 - 0.1 ties with 0.1. Ties are drawn: always the same part would
    # get a photo too many of every class of the same size.
    remainders = [round(value - size, 5) for value, size in zip(exact, sizes, strict=True)]
    ranks = random.permutation(len(exact))
    order = sorted(range(len(exact)), key=lambda part: (-remainders[part], ranks[part]))
    for part in order[: count - sum(sizes)]:
        sizes[part] += 1
    for part, value in enumerate(exact):
        if value > 0 and sizes[part] == 0:
            sizes[int(np.argmax(sizes))] -= 1
            sizes[part] = 1
    return sizes


def _draw(
    indices: list[int], sizes: list[int], random: np.random.RandomState
) -> tuple[list[int], list[int], list[int]]:
    # Class by class with fixed sizes: train_test_split(stratify=...) over all classes may leave a
    # part without a small class, and refuses a class of one.
    train_test_split = import_module(
        "sklearn.model_selection", "scikit-learn", "split photos"
    ).train_test_split
    train, rest, val, test = indices, [], [], []
    if sizes[0] < len(indices):
        train, rest = train_test_split(indices, train_size=sizes[0], random_state=random)
    if sizes[1] and sizes[2]:
        val, test = train_test_split(rest, train_size=sizes[1], random_state=random)
    elif sizes[1]:
        val = rest
    else:
        test = rest
    return train, val, test


def _check_apart(source: str | os.PathLike[str], destination: str | os.PathLike[str]) -> None:
    inner, outer = Path(destination).resolve(), Path(source).resolve()
    if inner == outer or outer in inner.parents or inner in outer.parents:
        raise UsageError(
            f"{os.fspath(destination)}: the destination may neither be the source "
            f"{os.fspath(source)} nor lie inside or around it. Choose a folder beside it."
        )


def _copy(path: str, target: Path) -> None:
    if not os.path.isfile(path):
        raise DatasetError(f"{path}: not a regular file, or a link to nothing. Remove it.")
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        shutil.copy2(path, target)
    except PermissionError as error:
        raise SystemFailure(
            f"{error.filename}: {error.strerror}. Check its permissions."
        ) from error


def _log_left_out(source: str | os.PathLike[str], copied: int) -> None:
    count = -copied
    for _, folders, names in os.walk(source):
        folders[:] = [name for name in folders if not is_hidden(name)]
        count += sum(not is_hidden(name) for name in names)
    if count:
        _log.info("%s: %d files that are no photos of a class are not copied.", source, count)
