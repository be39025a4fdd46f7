"""The part of the examination that opens no photo; ``edge-train fit`` runs it first."""

from __future__ import annotations

import logging
import os
from collections import Counter
from typing import TYPE_CHECKING

from ..data.folders import is_split
from .classes import balance_findings, name_findings
from .findings import Finding, in_order
from .layout import read_layout
from .report import brief

if TYPE_CHECKING:
    from ..data.dataset import Dataset


_log = logging.getLogger("trainer")


def warn_of_findings(dataset: Dataset, folder: str | os.PathLike[str]) -> None:
    """Log the :func:`quick_findings`, a line for each kind; not what listing the photos said."""
    root, split = os.path.normpath(folder), is_split(folder)

    def is_new(found: Finding) -> bool:
        if found.kind == "stray-photo":  # those beside the parts are in no folder of classes
            return split and os.path.normpath(os.path.dirname(found.paths[0])) == root
        return found.kind != "missing-class"

    for line in brief(filter(is_new, quick_findings(dataset, folder))):
        _log.warning("%s", line)


def quick_findings(dataset: Dataset, folder: str | os.PathLike[str] | None = None) -> list[Finding]:
    """What names and numbers tell about a data set.

    Args:
        dataset: As :func:`trainer.data.dataset.index_dataset` gives it.
        folder: Where it lies; then also files that are not used, by their place, name and, if
            their extension is not a photo's, first bytes. None to leave that out.

    Returns:
        Findings in the order of a report; errors among them are no reason to stop, ``fit`` has
        refused already what it cannot train on.
    """
    counts = {}
    for part, samples in dataset.parts.items():
        if samples:
            found = Counter(sample.label for sample in samples)
            counts[part] = {name: found[i] for i, name in enumerate(dataset.class_names)}
    findings = name_findings(dataset.class_names) + balance_findings(counts)
    if folder is not None:
        findings += read_layout(folder).findings
    return in_order(findings)
