"""Photos that lie twice in a data set, byte by byte, and what becomes of the copies."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.errors import DatasetError
from edge_runtime.rundir import PARTS

from ..data.folders import listing
from .findings import Finding
from .layout import Entry
from .near import near_groups

if TYPE_CHECKING:
    from ..data.dataset import Sample

_REASONS = {
    "contradiction": "The same file lies in another class: {}.",
    "leakage": "The same file is used to measure: {}.",
}


@dataclass(frozen=True)
class LeftOut:
    """A photo that a training does without.

    Attributes:
        path: The photo.
        part: The part that it lies in.
        kind: ``leakage`` or ``contradiction``.
        reason: Why, a sentence.
        copies: The other photos with the same bytes.
    """

    path: str
    part: str
    kind: str
    reason: str
    copies: tuple[str, ...]


def equal_groups(keys: Sequence[Hashable]) -> list[list[int]]:
    """Indices of items with equal keys, two or more each, by their first; empty keys are unique."""
    first: dict[Hashable, int] = {}
    groups: dict[Hashable, list[int]] = {}
    for index, key in enumerate(keys):
        if not key:
            continue
        if key in first:
            groups.setdefault(key, [first[key]]).append(index)
        else:
            first[key] = index
    return sorted(groups.values())


def judge_copies(places: Sequence[tuple[str, Hashable]]) -> tuple[str, list[int]]:
    """What copies of one file mean, and which of them have to go.

    Two classes: nobody knows which is right, so every copy goes. Two parts: the copy in the part
    that is measured last stays (test, then val), because a photo that was trained on makes the
    figures of that part too good. Within a class of one part every copy stays: it weighs a photo
    twice, which somebody may want (oversampling a rare class), and shows nothing beforehand.

    Args:
        places: Part and class of each copy.

    Returns:
        ``contradiction``, ``leakage`` or ``duplicate``; and the indices of those that go.
    """
    if len({label for _, label in places}) > 1:
        return "contradiction", list(range(len(places)))
    ranks = [PARTS.index(part) if part in PARTS else -1 for part, _ in places]
    if len(set(ranks)) > 1:
        last = max(ranks)
        return "leakage", [index for index, rank in enumerate(ranks) if rank < last]
    return "duplicate", []


def duplicate_findings(entries: Sequence[Entry], digests: Sequence[bytes]) -> list[Finding]:
    """Findings about equal files.

    Args:
        entries: Photos.
        digests: Checksum of each; empty for a photo that cannot be read.
    """
    findings = []
    for group in equal_groups(digests):
        places = [(entries[index].part, entries[index].label) for index in group]
        kind, leaving = judge_copies(places)
        paths = tuple(entries[index].path for index in group)
        moved = range(1, len(paths)) if kind == "duplicate" else leaving
        findings.append(
            Finding(
                kind,
                f"{len(group)} copies of one file{_where(places)}.",
                paths,
                tuple(paths[index] for index in moved),
                {"sha256": digests[group[0]].hex()},
            )
        )
    return findings


def near_findings(
    entries: Sequence[Entry],
    digests: Sequence[bytes],
    looks: np.ndarray,
    hashed: Sequence[int],
    distance: int,
) -> list[Finding]:
    """Findings about photos that look the same and are not the same file.

    Args:
        entries: Photos.
        digests: Checksum of each.
        looks: uint8 (n, 32), perceptual hashes.
        hashed: Index in ``entries`` of each of them.
        distance: Largest number of different bits.
    """
    findings = []
    for members in near_groups(looks, distance):
        group = [hashed[member] for member in members]
        if len({digests[index] for index in group}) == 1:
            continue
        places = [(entries[index].part, entries[index].label) for index in group]
        kind, _ = judge_copies(places)
        paths = tuple(entries[index].path for index in group)
        message = f"{len(group)} photos look the same{_where(places)}."
        findings.append(Finding(f"near-{kind}", message, paths, paths[1:]))
    return findings


def _where(places: Sequence[tuple[str, str]]) -> str:
    labels, parts = {label for _, label in places}, {part for part, _ in places}
    in_classes = f", in the classes {listing(labels)}" if len(labels) > 1 else ""
    named = [part for part in PARTS if part in parts]
    return in_classes + (f", in {' and '.join(named)}" if len(named) > 1 else "")


def resolve_duplicates(
    parts: Mapping[str, Sequence[Sample]],
) -> tuple[dict[str, list[int]], list[LeftOut]]:
    """Which photos a training may use without fooling itself.

    See :func:`judge_copies` for the rule.

    Args:
        parts: Samples with their checksum by part; one without a checksum has no copies.

    Returns:
        keep: Indices of the samples to use, ascending, by part.
        left_out: The others.

    Raises:
        DatasetError: A class of ``train``, or all of another part, would have no photo left.
    """
    places = [(part, index) for part in parts for index in range(len(parts[part]))]
    samples = [parts[part][index] for part, index in places]
    left_out: dict[int, LeftOut] = {}
    for group in equal_groups([sample.sha256 for sample in samples]):
        kind, leaving = judge_copies([(places[i][0], samples[i].label) for i in group])
        for index in (group[i] for i in leaving):
            others = [i for i in group if i != index]
            cause = [i for i in others if samples[i].label != samples[index].label]
            # Without another class it is another part; the last of them is measured on.
            reason = _REASONS[kind].format(samples[(cause or others)[-1]].path)
            copies = tuple(samples[i].path for i in others)
            left_out[index] = LeftOut(samples[index].path, places[index][0], kind, reason, copies)
    keep: dict[str, list[int]] = {part: [] for part in parts}
    for number, (part, index) in enumerate(places):
        if number not in left_out:
            keep[part].append(index)
    _check_training(parts.get("train", ()), keep.get("train", []))
    for part, photos in parts.items():
        if photos and not keep[part]:
            raise DatasetError(
                f"{part}: each of its {len(photos)} photos has a copy in "
                f"{'test or in ' * (part == 'val')}another class, so none is left to measure with. "
                "edge-train check lists them; use each photo in one place, for example by "
                "edge-train split."
            )
    return keep, [left_out[number] for number in sorted(left_out)]


def _check_training(training: Sequence[Sample], kept: Sequence[int]) -> None:
    lost = {sample.label for sample in training} - {training[index].label for index in kept}
    for sample in training:
        if sample.label in lost:
            raise DatasetError(
                f"{sample.path}: every photo of its class in train has a copy in val, in test or "
                "in another class, so nothing is left to learn from. edge-train check lists them; "
                "use each photo in one place, for example by edge-train split."
            )
