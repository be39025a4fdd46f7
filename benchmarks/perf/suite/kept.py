"""What a suite measured, kept in its working folder: a file a comparison, quick ones apart."""

from __future__ import annotations

import json
import re
from pathlib import Path

from benchmarks.perf.suite.results import Outcome
from edge_runtime.files import atomic_file

#: Name of a comparison in the page's table of commands.
_NAMED = re.compile(r"^\| ([\w-]+) \| `", re.MULTILINE)


def keep(outcome: Outcome, work: Path) -> None:
    """Keep what became of a comparison, in place of what was kept of it before.

    Raises:
        SystemFailure: It cannot be written.
    """
    write(_file(outcome.name, outcome.quick, work), json.dumps(outcome._asdict()))


def kept(name: str, quick: bool, work: Path) -> Outcome | None:
    """What an earlier suite kept of a comparison.

    Args:
        name: Of the comparison.
        quick: Whether a quick one is asked for; the other kind is never given instead.
        work: The working folder.

    Returns:
        None where nothing was kept, or nothing that this version can read.
    """
    try:
        outcome = Outcome(**json.loads(_file(name, quick, work).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    return outcome if (outcome.name, outcome.quick) == (name, quick) else None


def named_in(page: Path) -> list[str]:
    """Comparisons that a page of results has rows of; none where there is no page."""
    return _NAMED.findall(page.read_text(encoding="utf-8")) if page.is_file() else []


def write(file: Path, text: str) -> None:
    """Write a file that takes its name when all of it is there.

    Raises:
        SystemFailure: It cannot be written.
    """
    with atomic_file(file) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _file(name: str, quick: bool, work: Path) -> Path:
    return work / f"{name}{'.quick' if quick else ''}.json"
