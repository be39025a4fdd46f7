"""Repeat the proof of a bundle: ``edge-export verify BUNDLE [--data DIR]``.

Neither Keras nor TensorFlow is needed: the bundle remembers the Keras model's answers. Each file
runs in a child process, as it did when it was exported.
"""

from __future__ import annotations

import json
import logging
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge_runtime.bundle import Bundle
from edge_runtime.confidence import wilson
from edge_runtime.errors import BundleError, CheckFailed, MissingComponent
from edge_runtime.manifest import PARITY_NAME, Artifact, Manifest

from . import scoring
from .evidence import Examined, examine
from .lookup import Found, More, find_golden, find_in
from .page import Page, write_page
from .parity import accuracy
from .record import read_record
from .report import print_rows, summary
from .thresholds import THRESHOLDS, device_tolerance
from .verify_page import verification_page

_log = logging.getLogger("exporter")

#: A smaller change of the mean heat-map correlation is rounding.
_HEATMAP_CHANGE = 1e-3


@dataclass(frozen=True)
class Verification:
    """What a repeated proof found.

    Attributes:
        bundle: As it was named.
        photos: Counts of :class:`exporter.lookup.Found`.
        reference: ``n`` and ``accuracy`` of the Keras model on these photos.
        artifacts: Rows as in ``parity.json``, with ``stated_passed`` (whether the bundle calls the
            file good), ``changes`` (sentences on figures that no longer hold) and ``more``
            (``n``, ``accuracy``, ``accuracy_interval`` on photos that the bundle does not know).
        page: What ``parity.html`` shows.
    """

    bundle: str
    photos: Mapping[str, Any]
    reference: Mapping[str, Any]
    artifacts: Sequence[Mapping[str, Any]]
    page: Page

    @property
    def failed(self) -> list[Mapping[str, Any]]:
        """Rows that the bundle calls good and that are not; what could not be tried is none."""
        return [
            row
            for row in self.artifacts
            if row["stated_passed"] and not row["passed"] and not row.get("missing")
        ]

    def to_dict(self) -> dict[str, Any]:
        """The JSON object that ``--json`` prints."""
        return {
            "bundle": self.bundle,
            "passed": not self.failed and any(not row.get("missing") for row in self.artifacts),
            "photos": dict(self.photos),
            "reference": dict(self.reference),
            "artifacts": [dict(row) for row in self.artifacts],
        }

    def check(self) -> None:
        """Raise if the proof does not hold.

        Raises:
            CheckFailed: A file that the bundle calls good is not.
            MissingComponent: No file could be run, for want of its interpreter.
        """
        if self.failed:
            raise CheckFailed(
                f"{self.bundle}: {len(self.failed)} of {len(self.artifacts)} files do not answer "
                "as the bundle states: " + "; ".join(_reason(row) for row in self.failed)
            )
        if all(row.get("missing") for row in self.artifacts):
            raise MissingComponent("; ".join(summary(row) for row in self.artifacts))


def verify_bundle(
    path: str | os.PathLike[str], data: str | os.PathLike[str] | None = None
) -> Verification:
    """Repeat the proof.

    Args:
        path: The bundle, a folder or a zip file.
        data: Folder with the validation photos, wherever they lie in it; None for the golden
            photos alone.

    Raises:
        UsageError: There is no such bundle or folder.
        BundleError: The bundle is damaged, or of a version that remembers no answers.
        DataError: None of the photos is below ``data``.
    """
    bundle = Bundle.open(path)
    bundle.verify()
    manifest = bundle.manifest
    record = read_record(bundle.path, manifest.info.class_names)
    stated = _stated(bundle.path)
    with tempfile.TemporaryDirectory(prefix="edge-verify-") as name:
        work = Path(name)
        if data is None:
            found = find_golden(bundle.path, record, manifest, work)
        else:
            found = find_in(data, record, manifest.info, work)
        _say(found.counts)
        rows: list[dict[str, Any]] = []
        examined: dict[str, Examined] = {}
        for artifact in manifest.artifacts:
            _log.info("%s: comparing on %d photos", artifact.format, len(found.truth))
            _, file = bundle.file(artifact.format)
            info = manifest.info_of(artifact)
            result = examine(found.truth, artifact.format, file, info, described=True)
            row = _row(artifact, result, stated.get(artifact.format, {}))
            if result.scores is not None:
                _compare_stated(row, result.scores, found)
                if found.counts["n"] == found.counts["expected"] and data is not None:
                    row["changes"] = changed_figures(row, row["stated"])
            if found.more is not None and result.scores is not None:
                row["more"] = _more(artifact, file, found.more, manifest)
            examined[artifact.format] = result
            rows.append(row)
        page = verification_page(os.fspath(path), found, rows, examined, manifest)
    return Verification(os.fspath(path), found.counts, found.truth.figures(), rows, page)


def changed_figures(row: Mapping[str, Any], stated: Mapping[str, Any]) -> list[str]:
    """Sentences on the figures that are not what the bundle states.

    Args:
        row: Figures of now.
        stated: Of ``parity.json``.
    """
    if stated.get("n") != row["n"]:
        return []
    found = [
        f"{name} is {row[key]:.1%}; the bundle states {stated[key]:.1%}."
        for key, name in (("agreement", "Agreement"), ("accuracy", "Accuracy"))
        if row[key] != stated[key]
    ]
    limit = device_tolerance(row["format"])["max_abs_diff"]
    if abs(row["max_abs_diff"] - stated["max_abs_diff"]) > limit:
        found.append(
            f"The largest difference is {row['max_abs_diff']:.2g}; the bundle states "
            f"{stated['max_abs_diff']:.2g}."
        )
    now, then = ((figures.get("heatmap") or {}).get("mean") for figures in (row, stated))
    if now is not None and then is not None and abs(now - then) > _HEATMAP_CHANGE:
        found.append(f"The heat maps correlate by {now:.4f}; the bundle states {then:.4f}.")
    return found


def print_verification(found: Verification) -> None:
    """Print the rows as a table on stdout, and which photos they rest on.

    Raises:
        MissingComponent: rich is not installed.
    """
    import click

    print_rows(found.reference, found.artifacts, None)
    counts = found.photos
    if counts["source"] == "golden":
        click.echo(
            f"{found.bundle}: checked on its {counts['n']} golden photos alone, which prove little; "
            f"with --data it is checked on the {counts['expected']} validation photos."
        )
    else:
        click.echo(
            f"{found.bundle}: checked on {counts['n']} of {counts['expected']} validation photos"
        )
    for row in found.artifacts:
        for text in row["changes"]:
            click.echo(f"{row['format']}: {text}")
        if more := row.get("more"):
            low, high = more["accuracy_interval"]
            click.echo(
                f"{row['format']}: accuracy {more['accuracy']:.1%} ({low:.1%} to {high:.1%}) on "
                f"other photos in class folders ({more['n']}; those that it was trained on count, "
                "too, if they lie there)"
            )


def write_verification(found: Verification, file: str | os.PathLike[str], overwrite: bool) -> None:
    """Write what was found as a page like ``parity.html``.

    Raises:
        OutputExists: The file exists and ``overwrite`` is false.
        MissingComponent: Jinja is not installed.
    """
    write_page(found.page, Path(file), overwrite)


def _reason(row: Mapping[str, Any]) -> str:
    """Figures of a row that failed, and what does not hold."""
    return summary(row) if "error" in row else f"{summary(row)}. {' '.join(row['failures'])}"


def _stated(folder: Path) -> dict[str, dict[str, Any]]:
    """Rows of ``parity.json``, by format."""
    file = folder / PARITY_NAME
    try:
        return {row["format"]: row for row in json.loads(file.read_bytes())["artifacts"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BundleError(
            f"{file}: missing or damaged ({error}). Copy the bundle again."
        ) from error


def _row(artifact: Artifact, result: Examined, stated: dict[str, Any]) -> dict[str, Any]:
    return {
        "format": artifact.format,
        "file": artifact.file,
        "bytes": artifact.bytes,
        "quantization": artifact.quantization,
        **result.figures,
        "threshold": THRESHOLDS[artifact.format].to_dict(),
        "stated_passed": artifact.passed,
        "stated": {key: stated.get(key) for key in (*artifact.parity, "passed")},
        "changes": [],
        **{key: stated[key] for key in ("recipe", "trail") if key in stated},
    }


def _compare_stated(row: dict[str, Any], scores: np.ndarray, found: Found) -> None:
    """Hold the golden photos' scores to those that the bundle states for this very file."""
    expected = found.stated.get(row["format"])
    if expected is None:
        return
    limit = device_tolerance(row["format"])["max_abs_diff"]
    difference = float(np.abs(scores - expected).max())
    row["max_abs_diff_to_stated"] = difference
    if not difference <= limit:
        row["failures"] = [
            *row["failures"],
            f"A golden photo's score differs by {difference:.2g} from the one that this file gave "
            f"when it was exported; allowed are {limit:.2g}.",
        ]
        row["passed"] = False


def _more(artifact: Artifact, file: Path, more: More, manifest: Manifest) -> dict[str, Any] | None:
    """Accuracy on photos that the bundle does not know."""
    n = len(more.labels)
    try:
        found = scoring.answers(file, more.pixels, n, manifest.info_of(artifact))
    except scoring.NotRun as error:
        _log.warning("%s: %s", artifact.format, error)
        return None
    right = int((found.scores.argmax(axis=1) == more.labels).sum())
    return {
        "n": n,
        "accuracy": accuracy(found.scores, more.labels),
        "accuracy_interval": wilson(right, n),
    }


def _say(counts: Mapping[str, Any]) -> None:
    if counts["missing"] and counts["source"] == "data":
        _log.warning(
            "%d of %d validation photos are not there; the figures rest on the others.",
            counts["missing"],
            counts["expected"],
        )
    if counts["decoded_differently"]:
        _log.warning(
            "%d of %d photos are decoded here to other pixels than at the export (another JPEG "
            "decoder). Float files are held to their probabilities on the others.",
            counts["decoded_differently"],
            counts["n"],
        )
    if counts["unknown"]:
        _log.info(
            "%d photos are not among those that the bundle was proved on; %d lie in class folders "
            "and give an accuracy.",
            counts["unknown"],
            counts["in_class_folders"],
        )
