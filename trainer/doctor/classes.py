"""Classes that cannot be told apart by name, or that have too few photos."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping

from ..data.folders import listing
from .findings import Finding

#: Photos of the largest class in those of the smallest above which it is said.
IMBALANCE = 5

#: Photos of a class below which it is said.
FEW = 10


def name_findings(names: Iterable[str]) -> list[Finding]:
    """Class names that are one after normalisation.

    Names that a person cannot tell apart on the screen (canonically equivalent in Unicode,
    UAX #15, or apart in blanks only) are an error. Names that differ in case, in blank,
    underscore or hyphen, or in compatibility characters are a warning: ``A`` and ``a`` may well
    be two classes.
    """
    findings = []
    seen: dict[str, list[str]] = {}
    for name in sorted(set(names)):
        seen.setdefault(_spelling(name), []).append(name)
    for group in seen.values():
        if len(group) < 2:
            continue
        same = len({_appearance(name) for name in group}) < len(group)
        kind = "same-class-name" if same else "similar-class-name"
        message = f"{listing(group)} differ in spelling only."
        if same:
            message += " Written with escapes: " + ", ".join(ascii(name) for name in group) + "."
        findings.append(Finding(kind, message, details={"classes": group}))
    return findings


def _appearance(name: str) -> str:
    return " ".join(unicodedata.normalize("NFC", name).split())


def _spelling(name: str) -> str:
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    return re.sub(r"[\s_\-\u2010-\u2015]+", " ", folded).strip()


def balance_findings(counts: Mapping[str, Mapping[str, int]]) -> list[Finding]:
    """Classes with few photos, or with many times fewer than another; and missing ones.

    Args:
        counts: Part to class to number of photos; ``train``, or the empty name of a data set
            that is not split, is where is learnt from.
    """
    first = "train" if "train" in counts else ""
    training = {name: count for name, count in counts.get(first, {}).items() if count}
    findings = []
    if training:
        largest, smallest = (
            max(training, key=training.__getitem__),
            min(training, key=training.__getitem__),
        )
        ratio = training[largest] / training[smallest]
        if ratio > IMBALANCE:
            message = (
                f"{largest!r} has {training[largest]} photos, {smallest!r} {training[smallest]}: "
                f"{ratio:.1f} to 1."
            )
            findings.append(
                Finding("imbalance", message, details={"ratio": ratio, "photos": training})
            )
    few = {name: count for name, count in training.items() if count < FEW}
    for name, count in few.items():
        message = f"{name!r} has {count} photo{'s' * (count != 1)}{' in train' if first else ''}."
        findings.append(Finding("few-photos", message, details={"class": name, "photos": count}))
    for part, classes in counts.items():
        missing = [name for name in training if part != first and not classes.get(name)]
        if missing and any(classes.values()):
            message = f"{part} has no photo of {listing(missing)}."
            details = {"part": part, "classes": missing}
            findings.append(Finding("missing-class", message, details=details))
    return findings
