"""Two runs side by side on the same photos; ``edge-train compare RUN_A RUN_B [DATA]``."""

from __future__ import annotations

import csv
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edge_runtime import rundir
from edge_runtime.confidence import mcnemar
from edge_runtime.errors import DatasetError, UsageError
from edge_runtime.files import sha256_file, size_of
from edge_runtime.rundir import RunDir

from ..config.io import read_mapping
from ..data.dataset import Sample
from ..data.folders import class_photos, listing
from .answers import answer, count_learned
from .intervals import paired_difference, wilson

#: p-values below it are called a difference.
SIGNIFICANT = 0.05

_EITHER = "in the training or validation part of a run"
_GONE = "file gone"
_CHANGED = "changed since the training"
_OTHER_LABEL = "another label in each run"
_ONE_RUN = "in the test part of one run only"
_UNSHARED = "of a class that not both runs know"
_UNREADABLE = "unreadable"


@dataclass(frozen=True)
class _Photo:
    """A photo that both networks answer."""

    path: str
    label: str
    sha256: str | None = None  #: as the runs recorded it; None: not recorded


def compare_runs(
    first: RunDir, second: RunDir, data: str | os.PathLike[str] | None = None
) -> dict[str, Any]:
    """Answer the same photos with two runs.

    Each network sees the photos through its own preprocessing and answers among all of its own
    classes; photos of classes that only one of them knows are left out.

    Args:
        first: Run A.
        second: Run B.
        data: Folder of class folders; None for the photos that are in the test part of both runs
            and in no other part of either, by content.

    Returns:
        A dictionary of plain JSON types:

        - ``n``; ``left_out``: number of photos by reason;
        - ``a`` and ``b``: ``run``, ``accuracy``, ``accuracy_interval``, ``right``, ``epochs``,
          ``seconds`` (None where not recorded), ``bytes`` (of ``model.keras``), ``size``
          (pixels) and ``learned`` (photos of ``data`` that it was trained on or chosen by);
        - ``difference``: B minus A, of :func:`trainer.evaluation.intervals.paired_difference`;
        - ``mcnemar``: ``better`` and ``worse`` (photos that only B, only A gets right) and
          ``p_value``, exact and two-sided;
        - ``per_class``: by name, ``support``, ``recall_a``, ``recall_b``, ``better``, ``worse``;
        - ``changed``: photos with different answers, ``path``, ``label``, ``a``, ``b`` and
          ``change`` (``better``, ``worse``, or ``other``: wrong in both);
        - ``classes``: ``shared``, ``only_a``, ``only_b``;
        - ``config``: dotted keys that differ, each with both values.

    Raises:
        UsageError: The folder does not exist, or no class is shared.
        DatasetError: No photo is left.
        ModelError: A model is damaged or contradicts its run.
        MissingComponent: Keras or scipy is not installed.
    """
    shared = [name for name in first.class_names if name in second.class_names]
    if not shared:
        raise UsageError(
            f"{first.path} and {second.path} share no class: {listing(first.class_names)} and "
            f"{listing(second.class_names)}. Compare runs about the same things."
        )
    left_out: Counter[str] = Counter()
    photos = _test_photos(first, second, left_out) if data is None else _photos_in(data)
    kept = [photo for photo in photos if photo.label in shared]
    left_out[_UNSHARED] += len(photos) - len(kept)
    kept = _there(kept, left_out)
    if not kept:
        reasons = ", ".join(f"{n} {why}" for why, n in left_out.items() if n) or "there are none"
        raise DatasetError(
            f"No photo to compare {first.path} and {second.path} on: {reasons}. "
            "Name a folder of class folders that neither has seen."
        )
    answered = [_answers(run, kept) for run in (first, second)]
    rows = [
        (photo.path, photo.label, answered[0][photo.path][0], answered[1][photo.path][0])
        for photo in kept
        if all(photo.path in found for found in answered)
    ]
    left_out[_UNREADABLE] += len(kept) - len(rows)
    digests = [answered[0][path][1] for path, *_ in rows]
    learned = [
        count_learned(run, digests, "the comparison favours it") if data else 0
        for run in (first, second)
    ]
    return {
        "n": len(rows),
        "left_out": {why: n for why, n in left_out.items() if n},
        "a": _side(first, [label == a for _, label, a, _ in rows], learned[0]),
        "b": _side(second, [label == b for _, label, _, b in rows], learned[1]),
        **_paired(rows),
        "per_class": {name: _class_row(rows, name) for name in shared},
        "changed": [
            {"path": path, "label": label, "a": a, "b": b, "change": _change(label, a, b)}
            for path, label, a, b in rows
            if a != b
        ],
        "classes": {
            "shared": shared,
            "only_a": [n for n in first.class_names if n not in shared],
            "only_b": [n for n in second.class_names if n not in shared],
        },
        "config": config_difference(first, second),
    }


def config_difference(first: RunDir, second: RunDir) -> dict[str, list[Any]]:
    """Dotted keys of the configuration whose values differ; None where a run has no such key."""
    a, b = (_flat(read_mapping(run.path / rundir.CONFIG)) for run in (first, second))
    return {key: [a.get(key), b.get(key)] for key in {**a, **b} if a.get(key) != b.get(key)}


def _test_photos(first: RunDir, second: RunDir, left_out: Counter[str]) -> list[_Photo]:
    tests = [{row.sha256: row for row in run.split("test")} for run in (first, second)]
    used = {row.sha256 for run in (first, second) for row in run.split() if row.part != "test"}
    found = []
    for digest in {**tests[0], **tests[1]}:
        rows = [test[digest] for test in tests if digest in test]
        if digest in used:
            left_out[_EITHER] += 1
        elif len(rows) < 2:
            left_out[_ONE_RUN] += 1
        elif rows[0].label != rows[1].label:
            left_out[_OTHER_LABEL] += 1
        else:
            path = next((row.path for row in rows if os.path.isfile(row.path)), rows[0].path)
            found.append(_Photo(path, rows[0].label, digest))
    return found


def _photos_in(folder: str | os.PathLike[str]) -> list[_Photo]:
    photos = class_photos(folder)
    return [_Photo(path, name) for name, paths in photos.items() for path in paths]


def _there(photos: Sequence[_Photo], left_out: Counter[str]) -> list[_Photo]:
    kept = []
    for photo in photos:
        if not os.path.isfile(photo.path):
            left_out[_GONE] += 1
        elif photo.sha256 is not None and sha256_file(photo.path) != photo.sha256:
            left_out[_CHANGED] += 1
        else:
            kept.append(photo)
    return kept


def _answers(run: RunDir, photos: Sequence[_Photo]) -> dict[str, tuple[str, str]]:
    """Class name that a run answers, and checksum, by path; without the unreadable photos."""
    found = answer(run, [Sample(photo.path, 0) for photo in photos], "photos")
    indices = found.probabilities.argmax(axis=1)
    return {
        sample.path: (run.class_names[index], sample.sha256)
        for sample, index in zip(found.samples, indices, strict=True)
    }


def _side(run: RunDir, right: Sequence[bool], learned: int) -> dict[str, Any]:
    return {
        "run": os.fspath(run.path),
        "right": sum(right),
        "accuracy": sum(right) / len(right),
        "accuracy_interval": wilson(sum(right), len(right)),
        "epochs": _epochs(run),
        "seconds": run.environment().get("seconds"),
        "bytes": size_of(run.model_path),
        "size": run.info.preprocess.width,
        "learned": learned,
    }


def _paired(rows: Sequence[tuple[str, str, str, str]]) -> dict[str, Any]:
    changes = Counter(_change(label, a, b) for _, label, a, b in rows)
    better, worse = changes["better"], changes["worse"]
    return {
        "difference": paired_difference(better, worse, len(rows)),
        "mcnemar": {"better": better, "worse": worse, "p_value": mcnemar(better, worse)},
    }


def _class_row(rows: Sequence[tuple[str, str, str, str]], name: str) -> dict[str, Any]:
    own = [row for row in rows if row[1] == name]
    changes = Counter(_change(label, a, b) for _, label, a, b in own)
    return {
        "support": len(own),
        "recall_a": sum(a == name for _, _, a, _ in own) / len(own) if own else None,
        "recall_b": sum(b == name for *_, b in own) / len(own) if own else None,
        "better": changes["better"],
        "worse": changes["worse"],
    }


def _change(label: str, a: str, b: str) -> str:
    if (a == label) == (b == label):
        return "same" if a == b else "other"
    return "better" if b == label else "worse"


def _epochs(run: RunDir) -> int | None:
    file = run.path / rundir.HISTORY
    if not file.is_file():
        return None
    with open(file, newline="", encoding="utf-8") as stream:
        return sum(1 for _ in csv.DictReader(stream))


def _flat(data: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in data.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{prefix}{key}.")
        else:
            found[prefix + str(key)] = value
    return found
