"""What the data doctor can find, how bad it is, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

Severity = Literal["error", "warning", "note"]

#: From the worst to the least.
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")


@dataclass(frozen=True)
class Kind:
    """A sort of finding: ``error`` is what would spoil a training or its figures."""

    severity: Severity
    meaning: str  #: for the table, completes "These photos ..." or names the fact
    remedy: str  #: what to do, a sentence


_REPLACE = "Replace it, or move it away with --quarantine."

#: Every kind of finding by its name, in the order in which a report lists them.
KINDS: dict[str, Kind] = {
    # What fit refuses.
    "layout": Kind("error", "the folders are not what fit expects", "Arrange them as said."),
    "class-name": Kind("error", "a class folder's name cannot be a label", "Rename it."),
    "same-class-name": Kind(
        "error", "two class folders have what looks like one name", "Merge or rename them."
    ),
    "unknown-class": Kind(
        "error", "val or test has a class that train has not", "Rename it, or add it to train."
    ),
    "no-photo": Kind("error", "a class has no photo to learn from", "Add photos or remove it."),
    "too-few-photos": Kind(
        "error", "a class has fewer photos than fit makes parts", "Add photos of it or remove it."
    ),
    # What fit leaves out.
    "unreadable": Kind("error", "cannot be read; fit leaves it out", _REPLACE),
    "too-many-unreadable": Kind(
        "error", "too much of a part is unreadable", "Replace the photos, or quarantine them."
    ),
    "contradiction": Kind(
        "error",
        "the same file in two classes; fit leaves out every copy",
        "Keep the copy in the right class, or move all away with --quarantine.",
    ),
    "leakage": Kind(
        "error",
        "the same file in two of train, val and test",
        "Keep the copy of test (or val), or move the others away with --quarantine.",
    ),
    # What a person should look at.
    "unsearched-photo": Kind(
        "warning",
        "a photo that fit does not find by its extension",
        "Rename it, or convert it to JPEG.",
    ),
    "stray-photo": Kind(
        "warning", "lies in no class folder; fit leaves it out", "Move it into one."
    ),
    "linked-folder": Kind(
        "warning", "a linked folder; fit does not follow it", "Put the photos in its place."
    ),
    "other-folder": Kind(
        "warning", "a folder beside train, val and test; fit ignores it", "Move it away."
    ),
    "near-contradiction": Kind(
        "warning",
        "look the same, in different classes",
        "Look at them; one class is probably wrong.",
    ),
    "near-leakage": Kind(
        "warning",
        "look the same, in different parts",
        "Split again with edge-train split --near-duplicates, or --group-by.",
    ),
    "near-duplicate": Kind(
        "warning", "look the same", "Keep them in one part: edge-train split --near-duplicates."
    ),
    "duplicate": Kind(
        "warning", "the same file twice in a class", "Keep one, unless it is there on purpose."
    ),
    "wrong-extension": Kind(
        "warning", "holds another format than its name says", "Rename it; it is read as it is."
    ),
    "bad-checksum": Kind(
        "warning",
        "a checksum in the file is wrong, its pixels may be, too",
        "Replace it if you can.",
    ),
    "animated": Kind(
        "warning", "holds several pictures; only the first is used", "Save the one that you mean."
    ),
    "blank": Kind("warning", "hardly a difference between its pixels", "Look at it."),
    "tiny": Kind("warning", "smaller than 32 pixels", "Replace it with a larger one."),
    "extreme-shape": Kind(
        "warning",
        "more than 4 times as long as wide; most of it is cut off",
        "Cut it, or train with --set image.fit=pad.",
    ),
    "huge": Kind("warning", "more pixels than cameras make", "Scale it down."),
    "similar-class-name": Kind(
        "warning", "class names that differ in spelling only", "Merge them if they mean one class."
    ),
    "imbalance": Kind(
        "warning", "a class has many times the photos of another", "Add photos of the rare one."
    ),
    "few-photos": Kind("warning", "a class has very few photos", "Add photos of it."),
    "missing-class": Kind(
        "warning", "val or test has no photo of a class", "Add some; its figures say nothing."
    ),
    # What does no harm.
    "system-file": Kind("note", "hidden or made by the system; not used", "Nothing to do."),
    "other-file": Kind("note", "not a photo; not used", "Nothing to do."),
}


@dataclass(frozen=True)
class Finding:
    """One thing that was found.

    Attributes:
        kind: A key of :data:`KINDS`.
        message: What was found here, a sentence without the path.
        paths: Files or folders that it is about, as the user would type them; may be empty.
        movable: Those of ``paths`` whose removal would cure it.
        details: Figures, for JSON.
    """

    kind: str
    message: str
    paths: tuple[str, ...] = ()
    movable: tuple[str, ...] = ()
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def severity(self) -> Severity:
        """How bad it is."""
        return KINDS[self.kind].severity

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "severity": self.severity,
            "kind": self.kind,
            "paths": list(self.paths),
            "message": self.message,
            "remedy": KINDS[self.kind].remedy,
            **({"details": self.details} if self.details else {}),
        }


def in_order(findings: Iterable[Finding]) -> list[Finding]:
    """Findings by severity and kind, and within a kind by path."""
    ranks = {kind: rank for rank, kind in enumerate(KINDS)}
    return sorted(
        findings,
        key=lambda found: (SEVERITIES.index(found.severity), ranks[found.kind], found.paths),
    )


def count_severities(findings: Iterable[Finding]) -> dict[str, int]:
    """Number of findings by severity, every severity named."""
    counts: dict[str, int] = dict.fromkeys(SEVERITIES, 0)
    for found in findings:
        counts[found.severity] += 1
    return counts
