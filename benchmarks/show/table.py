"""What was measured, as a table for people."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, Any

from edge_runtime.errors import missing_package

from ..hardware import one_line
from ..result import Result, Row


@dataclass(frozen=True)
class _Column:
    header: str
    text: Callable[[Row], str]
    given_up: int = 0  #: order in which a narrow terminal loses the column; 0: never
    left: bool = False  #: aligned to the left
    with_data: bool = False  #: only where --data was given


def _milliseconds(*keys: str) -> Callable[[Row], str]:
    def text(row: Row) -> str:
        value: Any = row
        for key in keys:
            value = None if value is None else value[key]
        if value is None:
            return "-"
        return f"{value:.{0 if value >= 100 else 2 if value >= 1 else 3}f}"

    return text


def _interval(row: Row) -> str:
    if row["latency"] is None:
        return "-"
    low, high = row["latency"]["p50_ci_ms"]
    return f"{low:.3g}..{high:.3g}"


def _megabytes(value: int | None) -> str:
    return "-" if value is None else f"{value / 1e6:.{1 if value >= 1e6 else 3}f}"


def _memory(row: Row) -> str:
    return _megabytes(None if row["memory"] is None else row["memory"]["peak_bytes"])


def _accuracy(row: Row) -> str:
    return "-" if row["accuracy"] is None else f"{row['accuracy']['accuracy']:.4f}"


def _rate(row: Row) -> str:
    best = max((each["per_second"] for each in row["throughput"]), default=None)
    return "-" if best is None else f"{best:.3g}"


def _parity(row: Row) -> str:
    return {None: "-", True: "passed", False: "FAILED"}[row["artifact"]["parity_passed"]]


_COLUMNS = (
    _Column("configuration", lambda row: row["name"], left=True),
    _Column("p50\nms", _milliseconds("latency", "p50_ms")),
    _Column("95 %\ninterval", _interval, given_up=7),
    _Column("p99\nms", _milliseconds("latency", "p99_ms"), given_up=5),
    _Column("a second\nat most", _rate, given_up=4),
    _Column("e2e\nms", _milliseconds("end_to_end", "p50_ms"), given_up=3),
    _Column("start\nms", _milliseconds("cold_start", "median_ms"), given_up=6),
    _Column("load\nms", _milliseconds("load", "median_ms"), given_up=2),
    _Column("first\nms", _milliseconds("first", "median_ms"), given_up=1),
    _Column("memory\nMB", _memory),
    _Column("size\nMB", lambda row: _megabytes(row["artifact"]["bytes"])),
    _Column("accuracy", _accuracy, with_data=True),
    _Column("parity", _parity, left=True),
    _Column("state", lambda row: row["status"], left=True),
)

_LEGEND = (
    "p50, p99: one inference after warm-up; e2e: photo file to answer; start: edge-classify image "
    "from start to answer; memory: peak of a process of its own; MB: 1,000,000 bytes."
)


def require_rich() -> None:
    """Raise MissingComponent if the table cannot be printed; call it before measuring."""
    try:
        import rich  # noqa: F401
    except ImportError as error:
        raise missing_package("rich", "bench", "print the table (or use --json)") from error


def print_table(result: Result, stream: IO[str]) -> None:
    """Print the machine, the table, and why rows are incomplete or invalid.

    A terminal that is too narrow loses the less important columns, and is told so; a file or
    pipe gets all of them.

    Args:
        result: What :func:`benchmarks.measuring.run.run` found.
        stream: Text stream, usually stdout.
    """
    from rich.console import Console
    from rich.table import Table

    console = Console(file=stream, highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console = Console(file=stream, highlight=False, markup=False, emoji=False, width=200)
    columns = [c for c in _COLUMNS if not c.with_data or result["settings"]["data"] is not None]
    lost = []

    def table() -> Table:
        made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        for column in columns:
            made.add_column(column.header, justify="left" if column.left else "right", no_wrap=True)
        for row in result["rows"]:
            made.add_row(*(column.text(row) for column in columns))
        return made

    for column in sorted((c for c in columns if c.given_up), key=lambda c: c.given_up):
        if _natural_width(table()) <= console.width:
            break
        columns.remove(column)
        lost.append(column.header.split()[0])
    console.print(one_line(result["machine"]), soft_wrap=True)
    console.print(_subject(result), soft_wrap=True)
    console.print()
    console.print(table())
    console.print()
    console.print(_LEGEND)
    if lost:
        console.print(f"The terminal is too narrow for: {', '.join(lost)}. --json has all.")
    for reason in result["reasons"]:
        console.print(f"INVALID: {reason}")
    for row in result["rows"]:
        for reason in row["reasons"]:
            console.print(f"{row['status']}: {row['name']}: {reason}")


def _natural_width(table: Any) -> int:
    """Characters that a table takes where nothing is cut off."""
    from rich.console import Console
    from rich.measure import Measurement

    boundless = Console(width=10_000)
    return Measurement.get(boundless, boundless.options, table).maximum


def _subject(result: Result) -> str:
    """The line under the machine: model, picture, photos."""
    subject, picture = result["subject"], result["input"]
    size = f"{subject['width']}x{subject['height']}"
    timed = picture["photo"] or "a generated pattern"
    line = f"{subject['path']}: {subject['classes']} classes, {size} pixels; timed on {timed}"
    counted = next((row["accuracy"] for row in result["rows"] if row["accuracy"]), None)
    if counted is not None:
        line += f"; accuracy on {counted['photos']} photos of {result['settings']['data']}"
        if counted["unreadable"]:
            line += f" ({counted['unreadable']} unreadable left out)"
    return line
