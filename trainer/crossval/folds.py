"""Which photos each training of a cross-validation learns from, chooses by, and is measured on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from edge_runtime.errors import DatasetError, UsageError

from ..data.stratify import stratified_parts
from ..packages import import_module


@dataclass(frozen=True)
class Fold:
    """One training; every photo is in one of the three parts."""

    repeat: int  #: from 1
    number: int  #: from 1, within the repeat
    train: np.ndarray  #: int (n,), photos to learn from
    val: np.ndarray  #: int (n,), photos that choose the best epoch
    test: np.ndarray  #: int (n,), photos that are held out: nothing is chosen by them

    @property
    def name(self) -> str:
        """Of its folder."""
        return f"repeat-{self.repeat}-fold-{self.number}"


def plan_folds(
    labels: Sequence[str],
    groups: Sequence[int],
    folds: int,
    repeats: int,
    val_share: float,
    seed: int,
) -> list[Fold]:
    """Divide photos into folds, each class in proportion.

    scikit-learn's ``RepeatedStratifiedKFold``; where photos belong together its
    ``StratifiedGroupKFold``, once for each repeat. Of what a fold does not hold out, a share is
    drawn as validation photos by :func:`trainer.data.stratify.stratified_parts`, groups kept together.

    Args:
        labels: Class name of each photo.
        groups: Group of each photo; photos of one group are in one part of a fold.
        folds: Into how many parts the photos are divided, at least 2.
        repeats: How often, each time in another way.
        val_share: Share of a fold's other photos that are validation photos, above 0, below 1.
        seed: Which of the possible divisions.

    Returns:
        ``folds * repeats`` of them.

    Raises:
        UsageError: Fewer than two folds or one repeat.
        DatasetError: A class has too few photos, or groups, for this.
        MissingComponent: scikit-learn is not installed.
    """
    if folds < 2 or repeats < 1:
        raise UsageError(
            f"Expected at least 2 folds and 1 repeat, found {folds} and {repeats}. The usual are "
            "5 or 10 folds."
        )
    _check_units(labels, groups, folds)
    names, owners = np.array(labels, dtype=object), np.array(groups)
    found = []
    for index, test in enumerate(_held_out(labels, owners, folds, repeats, seed)):
        rest = np.setdiff1d(np.arange(len(names)), test)
        if set(names[rest]) != set(labels):
            raise _torn(sorted(set(labels) - set(names[rest])), folds)
        parts = np.array(
            stratified_parts(
                list(names[rest]), (1 - val_share, val_share, 0.0), seed, list(owners[rest])
            )
        )
        repeat, number = divmod(index, folds)
        train, val = rest[parts == "train"], rest[parts == "val"]
        found.append(Fold(repeat + 1, number + 1, train, val, np.sort(test)))
    return found


def _held_out(
    labels: Sequence[str], groups: np.ndarray, folds: int, repeats: int, seed: int
) -> Iterator[np.ndarray]:
    selection = import_module("sklearn.model_selection", "scikit-learn", "divide photos into folds")
    classes = np.unique(np.array(labels, dtype=object), return_inverse=True)[1]
    if len(set(groups.tolist())) == len(groups):
        splitter = selection.RepeatedStratifiedKFold(
            n_splits=folds, n_repeats=repeats, random_state=seed
        )
        for _, test in splitter.split(classes, classes):
            yield test
        return
    for repeat in range(repeats):
        splitter = selection.StratifiedGroupKFold(folds, shuffle=True, random_state=seed + repeat)
        for _, test in splitter.split(classes, classes, groups):
            yield test


def _check_units(labels: Sequence[str], groups: Sequence[int], folds: int) -> None:
    """Each part of each fold needs a photo of each class."""
    units = Counter(label for label, _ in set(zip(labels, groups, strict=True)))
    photos = Counter(labels)
    needed = max(folds, 4 if folds == 2 else 3)
    for label, count in sorted(units.items()):
        if count < needed:
            together = f" in {count} groups that stay together" if count < photos[label] else ""
            raise DatasetError(
                f"class {label!r}: {photos[label]} photos{together} are too few for {folds} folds, "
                f"which need {needed}. Add photos of it, or choose fewer --folds."
            )


def _torn(names: Sequence[str], folds: int) -> DatasetError:
    return DatasetError(
        f"class {names[0]!r}: its groups are so uneven that one of {folds} folds would hold out "
        "all of them. Choose fewer --folds, another --group-by or another --seed."
    )
