"""Which photo goes to which part: in proportion within each class, groups kept together."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from edge_runtime.errors import DatasetError, UsageError
from edge_runtime.rundir import PARTS

from ..packages import import_module

_SUM_TOLERANCE = 1e-6

#: Orders in which groups are placed; the result nearest to the wish is taken.
_TRIES = 10

#: Groups above which one order is tried: it is good enough then, and takes its time.
_MANY = 2_000

#: How far the order is disturbed, as a share of a group's size.
_DISTURBED = 0.5


def stratified_parts(
    labels: Sequence[str],
    ratios: Sequence[float],
    seed: int,
    groups: Sequence[int] | None = None,
) -> list[str]:
    """Assign items to train, val and test, in proportion within each label.

    Each label is divided by the largest-remainder method, ties broken at random, and every part
    with a ratio above 0 gets at least one item of it. Which items, is drawn from the seed and
    the label alone: adding a class does not move the photos of another.

    Items of one group stay in one part. The groups of two and more items are placed first, the
    larger first, each where the squared distance from the wished numbers (relative to the size
    of each label) grows least; of ten such orders the best is taken; single items then fill the
    parts up. scikit-learn has no splitter for this. StratifiedGroupKFold, with its equal folds
    put together to 0.8/0.1/0.1, missed a label's share by 3.4 points where the sizes of groups
    have a long tail (this: by 0.1) and by 2.2 where each of 20 people is in every label (1.3);
    with five groups a label a third of the parts lacked a label (none).

    Args:
        labels: Label of each item. The caller fixes the order (sorted paths).
        ratios: Shares of train, val and test, as :func:`check_ratios` takes them.
        seed: Which of the possible splits.
        groups: Number of the group of each item; None if each is its own.

    Returns:
        ``train``, ``val`` or ``test`` for each item.

    Raises:
        UsageError: The ratios make no sense.
        DatasetError: A label has fewer items or groups than there are parts to fill.
    """
    shares = check_ratios(ratios)
    members: dict[str, list[int]] = {}
    for index, label in enumerate(labels):
        members.setdefault(label, []).append(index)
    result = [""] * len(labels)
    needed = [part for part, share in zip(PARTS, shares, strict=True) if share > 0]
    wished, randoms = {}, {}
    for label, indices in sorted(members.items()):
        if len(indices) < len(needed):
            raise DatasetError(
                f"class {label!r} has {len(indices)} photo{'s' * (len(indices) != 1)}, and "
                f"{', '.join(needed)} need one each: at least {len(needed)} were expected. "
                "Add photos of it or remove the class."
            )
        randoms[label] = _random(seed, label)
        wished[label] = _part_sizes(len(indices), shares, randoms[label])
    placed = _place_groups(labels, groups, wished, shares, seed)
    for index, number in placed.items():
        result[index] = PARTS[number]
    for label, indices in sorted(members.items()):
        alone = [index for index in indices if index not in placed]
        taken = Counter(placed[index] for index in indices if index in placed)
        sizes = fill_up(wished[label], [taken[number] for number in range(3)], len(alone))
        for part, chosen in zip(PARTS, _draw(alone, sizes, randoms[label]), strict=True):
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


def fill_up(wished: Sequence[int], taken: Sequence[int], count: int) -> list[int]:
    """How many single items go to each part, groups having taken their places.

    Args:
        wished: Items of each part.
        taken: Items that groups brought into each part.
        count: Single items.

    Returns:
        Numbers that sum up to ``count``: what is missing, less where a group took more than was
        wished elsewhere; an empty part gets an item first.
    """
    sizes = [max(wish - have, 0) for wish, have in zip(wished, taken, strict=True)]
    while sum(sizes) > count:
        # The part that would lose the smallest share of its items.
        rest = [
            (size + have if size + have > 1 else 0) if size else -1
            for size, have in zip(sizes, taken, strict=True)
        ]
        sizes[int(np.argmax(rest))] -= 1
    return sizes


def _place_groups(
    labels: Sequence[str],
    groups: Sequence[int] | None,
    wished: dict[str, list[int]],
    shares: Sequence[float],
    seed: int,
) -> dict[int, int]:
    """Number of the part of each item that belongs to a group of two or more."""
    sizes = Counter(groups or ())
    several = sorted(group for group, size in sizes.items() if size > 1)
    if groups is None or not several:
        return {}
    columns = {label: column for column, label in enumerate(wished)}
    rows = {group: row for row, group in enumerate(several)}
    counts = np.zeros((len(several), len(columns)))
    for label, group in zip(labels, groups, strict=True):
        if group in rows:
            counts[rows[group], columns[label]] += 1
    wish = np.array([wished[label] for label in columns], float).T
    alone = wish.sum(0) - counts.sum(0)
    usable = [part for part, share in enumerate(shares) if share > 0]
    _check_units(list(columns), (counts > 0).sum(0) + alone, usable)
    # "\0" is in no label, so that no class shares the stream.
    random = _random(seed, "\0groups")
    tries = (
        _place_in_turn(counts, wish, usable, random, number)
        for number in range(_TRIES if len(several) <= _MANY else 1)
    )
    chosen, have = min(tries, key=lambda tried: _distance(tried[1], wish))
    _fill_empty(counts, chosen, have, wish, alone, usable, list(columns))
    return {index: int(chosen[rows[group]]) for index, group in enumerate(groups) if group in rows}


def _place_in_turn(
    counts: np.ndarray,
    wish: np.ndarray,
    usable: Sequence[int],
    random: np.random.RandomState,
    number: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Part of each group and the parts' sizes; after the first try with the order disturbed."""
    disturbed = counts.sum(1) * random.uniform(1 - _DISTURBED * (number > 0), 1, len(counts))
    have = np.zeros_like(wish)
    chosen = np.zeros(len(counts), int)
    # Ties in a random order: the sort is stable.
    shuffled = random.permutation(len(counts))
    for row in shuffled[np.argsort(-disturbed[shuffled], kind="stable")]:
        growth = (counts[row] * (2 * (have - wish) + counts[row]) / wish.sum(0)).sum(1)
        chosen[row] = min(usable, key=lambda part: growth[part])
        have[chosen[row]] += counts[row]
    return chosen, have


def _distance(have: np.ndarray, wish: np.ndarray) -> float:
    """What is too much in any part, squared; single items make up for what is missing."""
    return float(((have - wish) ** 2 / wish.sum(0)).sum())


def _check_units(names: Sequence[str], units: np.ndarray, usable: Sequence[int]) -> None:
    for name, count in zip(names, units, strict=True):
        if count < len(usable):
            raise _too_few_groups(name, int(count), usable)


def _too_few_groups(name: str, count: int, usable: Sequence[int]) -> DatasetError:
    parts = ", ".join(PARTS[part] for part in usable)
    return DatasetError(
        f"class {name!r}: its photos belong to {count} group{'s' * (count != 1)} that may not be "
        f"torn apart (by --group-by, or because they are the same or look it), and {parts} need "
        "one each. Add other photos of it, choose another --group-by, or fewer parts."
    )


def _fill_empty(
    counts: np.ndarray,
    chosen: np.ndarray,
    have: np.ndarray,
    wish: np.ndarray,
    alone: np.ndarray,
    usable: Sequence[int],
    names: Sequence[str],
) -> None:
    """Move groups into parts that would have no item of a label; changes chosen and have."""
    for _ in range(3 * len(names) * len(usable)):
        lacking = [
            (part, column)
            for column in range(len(names))
            for part in usable
            if not have[part, column] and (have[list(usable), column] == 0).sum() > alone[column]
        ]
        if not lacking:
            return
        part, column = lacking[0]
        moves = []
        for row in np.flatnonzero(counts[:, column]):
            left = have[chosen[row]] - counts[row]
            bare = (left == 0) & (counts[row] > 0)
            if chosen[row] == part or (bare & (alone < 1)).any() or bare[column]:
                continue
            after = have.copy()
            after[chosen[row]] -= counts[row]
            after[part] += counts[row]
            moves.append((_distance(after, wish), int(row)))
        if not moves:
            break
        best = min(moves)[1]
        have[chosen[best]] -= counts[best]
        have[part] += counts[best]
        chosen[best] = part
    raise _too_few_groups(names[lacking[0][1]], int((counts[:, lacking[0][1]] > 0).sum()), usable)


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
    if not sizes[0]:
        train, rest = [], indices
    elif sizes[0] < len(indices):
        train, rest = train_test_split(indices, train_size=sizes[0], random_state=random)
    if sizes[1] and sizes[2]:
        val, test = train_test_split(rest, train_size=sizes[1], random_state=random)
    elif sizes[1]:
        val = rest
    else:
        test = rest
    return train, val, test
