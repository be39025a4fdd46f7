"""An examination as a table for a person."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterable, Iterator

import click

from .examine import Examination
from .findings import KINDS, SEVERITIES, Finding, count_severities

#: Findings of a kind that are shown one by one.
SHOWN = 5

#: Paths of a finding that are shown.
_SHOWN_PATHS = 4

_COLORS = {"error": "red", "warning": "yellow", "note": "blue"}


def print_report(examination: Examination, width: int | None = None) -> None:
    """Print what was found, the worst first, on stdout; colours only on a terminal.

    Args:
        examination: What the doctor found.
        width: Columns; None for those of the terminal.
    """
    columns = width or shutil.get_terminal_size((100, 24)).columns
    parts = {part: sum(classes.values()) for part, classes in examination.counts.items()}
    classes = {name for found in examination.counts.values() for name in found}
    named = ", ".join(f"{part} {count}" for part, count in parts.items() if part)
    click.echo(
        f"{examination.folder}: {examination.photos} photos, {len(classes)} classes"
        + (f" ({named})" if named else "")
    )
    by_kind = _by_kind(examination.findings)
    if by_kind:
        click.echo()
        _print_table(by_kind, columns)
    for kind, findings in by_kind.items():
        if KINDS[kind].severity == "note":
            continue
        click.echo()
        click.echo(_heading(kind, len(findings)))
        for line in _examples(findings):
            click.echo(line)
    click.echo()
    click.echo(summary(examination))


def summary(examination: Examination) -> str:
    """One line: how many findings of each severity."""
    counts = count_severities(examination.findings)
    if not any(counts.values()):
        return "Nothing found: every photo can be read, none lies twice."
    return ", ".join(
        f"{counts[severity]} {severity}{'s' * (counts[severity] != 1)}" for severity in SEVERITIES
    )


def brief(findings: Iterable[Finding]) -> list[str]:
    """A line for each kind of error and warning, with its first example; for a log.

    Args:
        findings: What was found, in the order of a report.
    """
    lines = []
    for kind, group in _by_kind(findings).items():
        if KINDS[kind].severity == "note":
            continue
        first = group[0]
        where = f"{first.paths[0]}: " if first.paths else ""
        more = f" {len(group) - 1} more of this kind." if len(group) > 1 else ""
        lines.append(f"{kind}: {where}{first.message}{more} {KINDS[kind].remedy}")
    return lines


def _by_kind(findings: Iterable[Finding]) -> dict[str, list[Finding]]:
    groups: dict[str, list[Finding]] = {}
    for found in findings:
        groups.setdefault(found.kind, []).append(found)
    return groups


def _print_table(by_kind: dict[str, list[Finding]], columns: int) -> None:
    """A line a kind: severity, kind, findings, files, meaning and remedy."""
    header = ("severity", "finding", "count", "files")
    rows = [
        (
            KINDS[kind].severity,
            kind,
            str(len(findings)),
            str(len({path for found in findings for path in found.paths})),
        )
        for kind, findings in by_kind.items()
    ]
    widths = [max(len(row[column]) for row in (header, *rows)) for column in range(4)]
    indent = sum(widths) + 2 * len(widths)
    room = columns - indent

    def line(row: tuple[str, ...], text: str, color: str | None = None) -> None:
        cells = [row[0].ljust(widths[0]), row[1].ljust(widths[1])]
        cells += [row[2].rjust(widths[2]), row[3].rjust(widths[3])]
        start = click.style(cells[0], fg=color, bold=True) if color else cells[0]
        start = "  ".join([start, *cells[1:]])
        if room < 30:  # a narrow terminal gets the text below
            below = textwrap.wrap(text, max(20, columns - 4), break_on_hyphens=False)
            click.echo("\n".join([start, *("    " + part for part in below)]))
            return
        first, *rest = textwrap.wrap(text, room, break_on_hyphens=False) or [""]
        click.echo("\n".join([f"{start}  {first}", *(" " * indent + part for part in rest)]))

    line(header, "meaning, and what to do")
    for row in rows:
        kind = KINDS[row[1]]
        line(row, f"{kind.meaning}. {kind.remedy}", _COLORS[kind.severity])


def _heading(kind: str, count: int) -> str:
    severity = KINDS[kind].severity
    return f"{click.style(severity, fg=_COLORS[severity], bold=True)} {kind} ({count})"


def _examples(findings: list[Finding]) -> Iterator[str]:
    for found in findings[:SHOWN]:
        if len(found.paths) == 1:
            yield f"  {found.paths[0]}: {found.message}"
            continue
        yield f"  {found.message}"
        for path in found.paths[:_SHOWN_PATHS]:
            yield f"    {path}"
        if len(found.paths) > _SHOWN_PATHS:
            yield f"    and {len(found.paths) - _SHOWN_PATHS} more"
    if len(findings) > SHOWN:
        yield f"  and {len(findings) - SHOWN} more; --json lists all"
