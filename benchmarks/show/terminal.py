"""A result as a table on the terminal: what matters most fits 80 columns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import IO, Any

from ..result import Latency, Result, Row
from .text import (
    NONE,
    accuracy_of,
    accuracy_source,
    faults,
    half_width,
    machine_line,
    marks,
    megabytes,
    milliseconds,
    notes,
    ordered,
    percent,
    state,
    subject_line,
    threads,
)

#: Columns of a file or a pipe, which nobody made narrow.
_WIDE = 200

_MARKS = {">": "> recommended", "+": "+ on the Pareto front: no row beats it in all of latency, "
    "accuracy, memory and size"}  # fmt: skip


_LABEL, _INTERPRETER = "configuration", "interpreter"

#: Characters of a name in the table; a longer one is folded.
_LABEL_WIDTH = 28


@dataclass(frozen=True)
class _Column:
    header: str
    text: Callable[[Result, Row], str]
    about: str = ""  #: for the legend
    given_up: int = 0  #: order in which a narrow terminal loses the column; 0: never
    left: bool = False  #: aligned to the left


def _latency(key: str) -> Callable[[Result, Row], str]:
    def text(_: Result, row: Row) -> str:
        found: Latency | None = row["latency"]
        return NONE if found is None else milliseconds(found[key])  # type: ignore[literal-required]

    return text


def _median(key: str) -> Callable[[Result, Row], str]:
    def text(_: Result, row: Row) -> str:
        found = row[key]  # type: ignore[literal-required]  # of four names
        return NONE if found is None else milliseconds(found["median_ms"])

    return text


def _error(_: Result, row: Row) -> str:
    found = row["latency"]
    if found is None:
        return NONE
    return percent(half_width(*found["p50_ci_ms"], found["p50_ms"]))


def _end_to_end(_: Result, row: Row) -> str:
    return NONE if row["end_to_end"] is None else milliseconds(row["end_to_end"]["p50_ms"])


def _throughput(_: Result, row: Row) -> str:
    rates = [entry["per_second"] for entry in row["throughput"]]
    return f"{max(rates):.1f}" if rates else NONE


def _memory(_: Result, row: Row) -> str:
    return NONE if row["memory"] is None else megabytes(row["memory"]["peak_bytes"])


def _accuracy(result: Result, row: Row) -> str:
    found = accuracy_of(result, row)
    return NONE if found is None else percent(found[0])


def _label(row: Row) -> str:
    """The row's name without what has columns of its own: format or file, and delegate."""
    engine = row["engine"]
    count = engine["threads"]
    words = "own threads" if count is None else f"{count} thread{'' if count == 1 else 's'}"
    label = row["name"].replace(f", {words}", "", 1)
    return label.replace(f", {engine['interpreter']}", "", 1)


_COLUMNS = (
    _Column("", lambda result, row: marks(result).get(row["name"], " ")),
    _Column(_LABEL, lambda _, row: _label(row), left=True),
    _Column(_INTERPRETER, lambda _, row: row["engine"]["interpreter"] or NONE, left=True),
    _Column("thr", lambda _, row: threads(row), "thr: threads"),
    _Column("p50\nms", _latency("p50_ms")),
    _Column("±\n%", _error, "±: of p50, half the 95 % interval", given_up=8),
    _Column("p90\nms", _latency("p90_ms"), given_up=10),
    _Column("p99\nms", _latency("p99_ms"), given_up=6),
    _Column("e2e\nms", _end_to_end, "e2e: from a photo's file to its scores, p50", given_up=5),
    _Column("best\n/s", _throughput, "best: most inferences a second, several at once", given_up=3),
    _Column("cold\nms", _median("cold_start"), "cold: a process until its first answer", given_up=4),
    _Column("load\nms", _median("load"), "load: of the model", given_up=2),
    _Column("first\nms", _median("first"), "first: first inference", given_up=1),
    _Column("memory\nMB", _memory, "memory: peak of a process of its own"),
    _Column("size\nMB", lambda _, row: megabytes(row["artifact"]["bytes"])),
    _Column("acc.\n%", _accuracy),
    _Column("state", lambda _, row: state(row), left=True),
)  # fmt: skip


def print_table(result: Result, stream: IO[str]) -> None:
    """Print the machine, the table, what is wrong, and the verdict.

    A terminal that is too narrow loses the less important columns, and is told so; a file or pipe
    gets all of them.

    Args:
        result: It.
        stream: Text stream, usually stdout.
    """
    from rich.console import Console

    console = Console(file=stream, highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console = Console(file=stream, highlight=False, markup=False, emoji=False, width=_WIDE)
    rows = ordered(result)
    columns, lost = _fitting(result, rows, console.width)
    console.print(machine_line(result["machine"]))
    console.print(subject_line(result))
    console.print()
    console.print(_table(result, rows, columns))
    console.print()
    console.print(_legend(result, rows, columns, lost), style="dim")
    for what, name, reasons in faults(result):
        console.print(f"{what}: {name}: {reasons}", style=_STYLES.get(what, "yellow"))
    for name, reason in notes(result):
        console.print(f"note: {name}: {reason}")
    verdict = result["verdict"]
    if verdict is not None:
        console.print()
        console.print(verdict["reason"], style="bold" if verdict["recommended"] else "bold red")


_STYLES = {"failed": "red", "INVALID": "red", "skipped": "dim"}


def _fitting(
    result: Result, rows: Sequence[Row], width: int
) -> tuple[list[_Column], list[_Column]]:
    """The columns that have something to say and fit, and those that had to go."""
    columns = [column for column in _COLUMNS if _speaks(column, result, rows)]
    lost = []
    for column in sorted((c for c in columns if c.given_up), key=lambda c: c.given_up):
        if _natural_width(_table(result, rows, columns)) <= width:
            break
        columns.remove(column)
        lost.append(column)
    return columns, lost


def _speaks(column: _Column, result: Result, rows: Sequence[Row]) -> bool:
    if column.header == _INTERPRETER:  # the format says it, unless there are several for one
        pairs = {(row["artifact"]["format"], row["engine"]["interpreter"]) for row in rows}
        known = {(fmt, name) for fmt, name in pairs if name is not None}
        return len(known) > len({fmt for fmt, _ in known})
    if column.header == _LABEL:
        return True
    return any(column.text(result, row).strip(f"{NONE} ") for row in rows)


def _table(result: Result, rows: Sequence[Row], columns: Sequence[_Column]) -> Any:
    from rich.table import Table

    made = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for column in columns:
        if column.header == _LABEL:
            made.add_column(column.header, overflow="fold", max_width=_LABEL_WIDTH)
        else:
            side: Any = "left" if column.left else "right"
            made.add_column(column.header, justify=side, no_wrap=True)
    chosen = marks(result)
    for row in rows:
        style = "bold green" if chosen.get(row["name"]) == ">" else "dim" if state(row) else None
        made.add_row(*(column.text(result, row) for column in columns), style=style)
    return made


def _legend(
    result: Result, rows: Sequence[Row], columns: Sequence[_Column], lost: Sequence[_Column]
) -> str:
    shown = {marks(result).get(row["name"]) for row in rows}
    headers = {column.header.partition("\n")[0] for column in columns}
    parts = [text for mark, text in _MARKS.items() if mark in shown]
    percentiles = sorted(headers & {"p50", "p90", "p99"})
    if percentiles:
        parts.append(f"{', '.join(percentiles)}: percentiles of one inference after the other")
    parts += [column.about for column in columns if column.about]
    if headers & {"memory", "size"}:
        parts.append("MB: 1,000,000 bytes")
    source = accuracy_source(result)
    if "acc." in headers and source:
        parts.append(f"acc.: accuracy, {source}")
    if any(threads(row) == "own" for row in rows):
        parts.append("own: the interpreter chooses its threads")
    text = "; ".join(parts) + "."
    if lost:
        names = ", ".join(column.header.partition("\n")[0] for column in lost)
        text += f" Too narrow for: {names}; --json and --out have all."
    return text


def _natural_width(table: Any) -> int:
    """Characters that a table takes where nothing is cut off."""
    from rich.console import Console
    from rich.measure import Measurement

    boundless = Console(width=10_000)
    return Measurement.get(boundless, boundless.options, table).maximum
