"""The data doctor: what is wrong with a folder of photos, and moving it out of the way."""

from __future__ import annotations

from .duplicates import LeftOut, resolve_duplicates
from .examine import Examination, examine
from .findings import Finding
from .quick import quick_findings, warn_of_findings

__all__ = [
    "Examination",
    "Finding",
    "LeftOut",
    "examine",
    "quick_findings",
    "resolve_duplicates",
    "warn_of_findings",
]
