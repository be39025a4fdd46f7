"""The page of a repeated proof, like the ``parity.html`` of the bundle."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from edge_runtime.manifest import Manifest

from .evidence import Examined, Truth
from .lookup import Found
from .page import Page, changes
from .proof import facts


def verification_page(
    bundle: str,
    found: Found,
    rows: Sequence[Mapping[str, Any]],
    examined: Mapping[str, Examined],
    manifest: Manifest,
) -> Page:
    """What the page of a verification shows.

    Args:
        bundle: As it was named.
        found: The photos.
        rows: Of the files.
        examined: By format.
        manifest: Of the bundle.
    """
    failed = [row["format"] for row in rows if row["stated_passed"] and not row["passed"]]
    failed = [fmt for fmt in failed if not examined[fmt].figures.get("missing")]
    truth, counts = found.truth, found.counts
    golden = counts["source"] == "golden"
    photos = f"{len(truth)} {'golden' if golden else 'validation'} photos"
    return Page(
        title=f"Does {os.path.basename(os.path.abspath(bundle))} still answer like the model?",
        sentence=(
            f"Not as the bundle states, on {photos}: {', '.join(failed)}."
            if failed
            else f"Every file that could be run answers as the bundle states, on {photos}."
        ),
        mood="fails" if failed else "holds",
        intro=(
            f"Each file was run through edge_runtime in a process of its own, photo by photo, on "
            f"{photos}, and compared with the Keras model's answers that the bundle holds."
        ),
        fitted="the temperature and the “unknown” threshold are those that the file carries.",
        reference=truth.figures(),
        rows=rows,
        default=manifest.default,
        notes=_page_notes(truth, counts),
        changes=changes(truth, examined),
        facts=facts(manifest),
        calibration=manifest.calibration,
    )


def _page_notes(truth: Truth, counts: Mapping[str, Any]) -> list[str]:
    notes = []
    if counts["source"] == "golden":
        notes.append(
            f"Only the golden photos were at hand; they prove little. The bundle was proved on "
            f"{counts['expected']} validation photos."
        )
    elif counts["missing"] or counts["unreadable"]:
        notes.append(
            f"{counts['missing'] + counts['unreadable']} of {counts['expected']} validation photos "
            "were not there or could not be read."
        )
    if counts["decoded_differently"]:
        notes.append(
            f"{counts['decoded_differently']} of {len(truth)} photos are decoded on this machine to "
            "other pixels than at the export."
        )
    return notes
