"""What was measured, as a table for people."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, Any

from edge_runtime.errors import missing_package

from .hardware import one_line

_Row = dict[str, Any]


@dataclass(frozen=True)
class _Column:
    header: str
    text: Callable[[_Row], str]
    given_up: int = 0  #: order in which a narrow terminal loses the column; 0: never
    left: bool = False  #: aligned to the left
    with_data: bool = False  #: only where --data was given


def _milliseconds(key: str) -> Callable[[_Row], str]:
    def text(row: _Row) -> str:
        value = row[key]
        if value is None:
            return "-"
        return f"{value:.{0 if value >= 100 else 2 if value >= 1 else 3}f}"

    return text


def _megabytes(key: str) -> Callable[[_Row], str]:
    def text(row: _Row) -> str:
        value = row[key]
        return "-" if value is None else f"{value / 1e6:.{1 if value >= 1e6 else 3}f}"

    return text


def _threads(row: _Row) -> str:
    return "own" if row["threads"] is None else str(row["threads"])


def _accuracy(row: _Row) -> str:
    return "-" if row["accuracy"] is None else f"{row['accuracy']:.4f}"


def _state(row: _Row) -> str:
    if row["error"]:
        return "ERROR"
    if row["skipped"]:
        return "skipped"
    return "passed" if row["parity_passed"] else "FAILED"


_COLUMNS = (
    _Column("format", lambda row: row["format"], left=True),
    _Column("threads", _threads),
    _Column("p50\nms", _milliseconds("p50_ms")),
    _Column("p90\nms", _milliseconds("p90_ms"), given_up=4),
    _Column("p99\nms", _milliseconds("p99_ms"), given_up=6),
    _Column("prepare\nms", _milliseconds("prepare_ms"), given_up=1),
    _Column("e2e\nms", _milliseconds("end_to_end_ms"), given_up=3, with_data=True),
    _Column("import\nms", _milliseconds("import_ms"), given_up=2),
    _Column("load\nms", _milliseconds("load_ms"), given_up=7),
    _Column("first\nms", _milliseconds("first_inference_ms"), given_up=5),
    _Column("memory\nMB", _megabytes("peak_memory_bytes")),
    _Column("size\nMB", _megabytes("size_bytes")),
    _Column("accuracy", _accuracy, with_data=True),
    _Column("parity", _state, left=True),
)

#: Rounds whose medians differ by more than this factor deserve a warning.
_STEADY = 1.2

_LEGEND = (
    "p50, p90, p99: one inference after warm-up, nearest rank, all rounds pooled; prepare: cast "
    "and quantise; e2e: end to end, photo file to scores; import: the interpreter; load: the model; first: "
    "the first inference; memory: peak of a process of its own; MB: 1,000,000 bytes."
)


def best_first(rows: list[_Row]) -> list[_Row]:
    """Sort rows: parity passed before not, each by p50; then the skipped, then the failed."""

    def rank(row: _Row) -> tuple[int, float]:
        if row["error"]:
            return 3, 0.0
        if row["skipped"] or row["p50_ms"] is None:
            return 2, 0.0
        return (0 if row["parity_passed"] else 1), row["p50_ms"]

    return sorted(rows, key=rank)


def require_rich() -> None:
    """Raise MissingComponent if the table cannot be printed; call it before measuring."""
    try:
        import rich  # noqa: F401
    except ImportError as error:
        raise missing_package("rich", "bench", "print the table (or use --json)") from error


def print_table(result: dict[str, Any], stream: IO[str]) -> None:
    """Print the machine, the table, and why rows are incomplete.

    A terminal that is too narrow loses the less important columns, and is told so; a file or
    pipe gets all of them.

    Args:
        result: What :func:`benchmarks.runner.run` returned.
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
    for row in result["rows"]:
        reason = row["error"] or row["skipped"]
        if reason:
            state = "error" if row["error"] else "skipped"
            console.print(f"{state}: {row['format']}, threads {_threads(row)}: {reason}")
    for row in result["rows"]:
        medians = row["rounds_p50_ms"]
        if medians and max(medians) > _STEADY * min(medians):
            console.print(
                f"not steady: {row['format']}, threads {_threads(row)}: the rounds' medians are "
                f"{', '.join(f'{m:.3f}' for m in medians)} ms. Stop other programs, measure again."
            )
    if any(row["p50_ms"] is not None and not row["parity_passed"] for row in result["rows"]):
        console.print("FAILED: its answers differ from the full model's; see parity.json.")
    if any(row["threads_note"] for row in result["rows"]):
        console.print("threads own: TensorFlow chooses its own number of threads.")


def _natural_width(table: Any) -> int:
    """Characters that a table takes where nothing is cut off."""
    from rich.console import Console
    from rich.measure import Measurement

    boundless = Console(width=10_000)
    return Measurement.get(boundless, boundless.options, table).maximum


def _subject(result: dict[str, Any]) -> str:
    """The line under the machine: bundle, picture, photos."""
    bundle, picture = result["bundle"], result["input"]
    size = f"{bundle['width']}x{bundle['height']}"
    timed = picture["photo"] or "a generated pattern"
    line = f"{bundle['path']}: {bundle['classes']} classes, {size} pixels; timed on {timed}"
    if picture["end_to_end_photo"] is not None:
        line += f", end to end on {picture['end_to_end_photo']}"
    counted = next((row for row in result["rows"] if row["photos"]), None)
    if counted:
        line += f"; accuracy on {counted['photos']} photos of {result['settings']['data']}"
        if counted["unreadable"]:
            line += f" ({counted['unreadable']} unreadable left out)"
    return line
