"""The part of the examination that opens no photo; ``edge-train fit`` runs it first."""

from __future__ import annotations

import os
from collections import Counter
from typing import TYPE_CHECKING

from .classes import balance_findings, name_findings
from .findings import Finding, in_order
from .layout import read_layout

if TYPE_CHECKING:
    from ..data.dataset import Dataset


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
