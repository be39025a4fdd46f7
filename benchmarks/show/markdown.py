"""A result as Markdown: the verdict, and a table for a README."""

from __future__ import annotations

from collections.abc import Callable

from ..result import Result, Row
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
    ordered,
    percent,
    state,
    subject_line,
    threads,
)

_Cell = Callable[[Result, Row], str]


def markdown_text(result: Result) -> str:
    """The whole text: GitHub's Markdown, which others read as well."""
    rows = ordered(result)
    columns = {name: cell for name, cell in _COLUMNS.items() if _speaks(cell, result, rows)}
    lines = []
    verdict = result["verdict"]
    if verdict is not None:
        lines += [f"**{escaped(verdict['reason'])}**", ""]
    lines += table(
        list(columns), [[cell(result, row) for cell in columns.values()] for row in rows]
    )
    lines += ["", *_below(result), ""]
    return "\n".join(lines)


def table(names: list[str], rows: list[list[str]]) -> list[str]:
    """Lines of a table; the first column to the left, the others to the right."""
    head = "| " + " | ".join(names) + " |"
    rule = "|" + "|".join("---" if not place else "---:" for place in range(len(names))) + "|"
    return [head, rule, *("| " + " | ".join(row) + " |" for row in rows)]


def escaped(text: str) -> str:
    """Text in which nothing is markup."""
    for sign in "\\`*_<>|[]":
        text = text.replace(sign, f"\\{sign}")
    return " ".join(text.split())


def _name(result: Result, row: Row) -> str:
    name = escaped(row["name"])
    mark = marks(result).get(row["name"])
    what = state(row)
    if what:
        return f"{name} ({what})"
    return f"**{name}**" if mark == ">" else name


def _p50(_: Result, row: Row) -> str:
    latency = row["latency"]
    if latency is None:
        return NONE
    error = half_width(*latency["p50_ci_ms"], latency["p50_ms"])
    return f"{milliseconds(latency['p50_ms'])}" + (f" ± {percent(error)} %" if error else "")


def _latency(key: str) -> _Cell:
    def text(_: Result, row: Row) -> str:
        found = row["latency"]
        return NONE if found is None else milliseconds(found[key])  # type: ignore[literal-required]

    return text


def _cold(_: Result, row: Row) -> str:
    return NONE if row["cold_start"] is None else milliseconds(row["cold_start"]["median_ms"])


def _end_to_end(_: Result, row: Row) -> str:
    return NONE if row["end_to_end"] is None else milliseconds(row["end_to_end"]["p50_ms"])


def _memory(_: Result, row: Row) -> str:
    return NONE if row["memory"] is None else megabytes(row["memory"]["peak_bytes"])


def _accuracy(result: Result, row: Row) -> str:
    found = accuracy_of(result, row)
    return NONE if found is None else f"{percent(found[0])} %"


_COLUMNS: dict[str, _Cell] = {
    "configuration": _name,
    "p50, ms": _p50,
    "p90, ms": _latency("p90_ms"),
    "p99, ms": _latency("p99_ms"),
    "end to end, ms": _end_to_end,
    "cold start, ms": _cold,
    "peak memory, MB": _memory,
    "size, MB": lambda _, row: megabytes(row["artifact"]["bytes"]),
    "accuracy": _accuracy,
    "Pareto": lambda result, row: "yes" if row["name"] in marks(result) else "",
}


def _speaks(cell: _Cell, result: Result, rows: list[Row]) -> bool:
    return cell is _name or any(cell(result, row) not in ("", NONE) for row in rows)


def _below(result: Result) -> list[str]:
    """What the table needs to be understood, each a paragraph or an item."""
    lines = [f"{escaped(machine_line(result['machine']))}. {escaped(subject_line(result))}."]
    source = accuracy_source(result)
    facts = ["±: half the 95 % interval"]
    if source:
        facts.append(f"accuracy: {source}")
    if any(threads(row) == "own" for row in result["rows"]):
        facts.append("own threads: the interpreter chooses them")
    lines += ["", f"{escaped('; '.join(facts))}. Measured on {result['date'][:10]}."]
    found = faults(result)
    if found:
        lines.append("")
    lines += [f"- {what}: {escaped(name)}: {escaped(why)}" for what, name, why in found]
    return lines
