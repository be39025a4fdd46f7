"""A comparison on the terminal, as JSON, and as a comment for a pull request."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from typing import IO

from edge_runtime.errors import CheckFailed, UsageError
from edge_runtime.files import refuse_existing

from ..show import write_text
from ..show.markdown import escaped, table
from ..show.text import NONE, milliseconds
from ..show.wishes import require_rich
from .comparing import Comparison, Figure, RowComparison

_FORMS = (".json", ".md")

_Cell = Callable[[RowComparison], str]


def check_outs(outs: Sequence[str], overwrite: bool, as_json: bool) -> None:
    """Refuse what cannot be written.

    Raises:
        UsageError: A file has no form, or is a folder.
        OutputExists: It is there and may not be replaced.
        MissingComponent: The table cannot be printed.
    """
    for out in outs:
        if os.path.isdir(out):
            raise UsageError(f"--out {out}: is a folder; a file name was expected.")
        if os.path.splitext(out)[1].lower() not in _FORMS:
            raise UsageError(f"--out {out}: expected a name that ends with {' or '.join(_FORMS)}.")
        refuse_existing(out, overwrite)
    if not as_json:
        require_rich()


def present_comparison(
    comparison: Comparison, outs: Sequence[str], overwrite: bool, as_json: bool
) -> None:
    """Write the files, then the table (or JSON) to stdout.

    Raises:
        OutputExists: A file is there and may not be replaced.
        SystemFailure: It cannot be written.
    """
    text = json.dumps(comparison, indent=2) + "\n"
    for out in outs:
        markdown = os.path.splitext(out)[1].lower() == ".md"
        write_text(comparison_markdown(comparison) if markdown else text, out, overwrite)
    if as_json:
        sys.stdout.write(text)
        sys.stdout.flush()
    else:
        print_comparison(comparison, sys.stdout)


def raise_regressions(comparison: Comparison) -> None:
    """End with exit code 4 unless all is well.

    Raises:
        CheckFailed: Something has regressed, or nothing could be compared.
    """
    if not comparison["passed"]:
        raise CheckFailed(comparison["summary"])


def print_comparison(comparison: Comparison, stream: IO[str]) -> None:
    """Print the table, what was not compared, and the summary.

    Args:
        comparison: It.
        stream: Text stream, usually stdout.
    """
    from rich.console import Console
    from rich.table import Table

    console = Console(file=stream, highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console = Console(file=stream, highlight=False, markup=False, emoji=False, width=160)
    rows = comparison["rows"]
    columns = _fitting(rows, console.width)
    if rows:
        made = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
        made.add_column("configuration", overflow="fold", min_width=_NAME)
        for name in columns:
            made.add_column(name, justify="right", no_wrap=True)
        made.add_column("finding", overflow="fold")
        for row in rows:
            style = "bold red" if row["regressions"] else None
            cells = (cell(row) for cell in columns.values())
            made.add_row(row["name"], *cells, _finding(row), style=style)
        console.print(made)
        console.print()
        console.print(_legend(comparison, columns), style="dim")
    for line in _remarks(comparison):
        console.print(line)
    console.print()
    console.print(comparison["summary"], style="bold" if comparison["passed"] else "bold red")


def comparison_markdown(comparison: Comparison) -> str:
    """The comparison as Markdown, for a comment on a pull request."""
    rows = comparison["rows"]
    columns = {name: cell for name, cell in _COLUMNS.items() if _speaks(cell, rows)}
    mark = "✅" if comparison["passed"] else "❌"
    lines = [f"{mark} **{escaped(comparison['summary'])}**", ""]
    if rows:
        names = ["configuration", *(n.replace("\n", ", ") for n in columns), "finding"]
        cells = [
            [escaped(row["name"]), *(cell(row) for cell in columns.values()), _marked(row)]
            for row in rows
        ]
        lines += [*table(names, cells), "", escaped(_legend(comparison, columns)), ""]
    lines += [f"- {escaped(line)}" for line in _remarks(comparison)]
    return "\n".join(lines).rstrip() + "\n"


def _marked(row: RowComparison) -> str:
    finding = _finding(row)
    return f"**{finding}**" if row["regressions"] else finding


def _finding(row: RowComparison) -> str:
    names = {
        "p50_ms": "p50",
        "p90_ms": "p90",
        "memory_bytes": "memory",
        "size_bytes": "size",
        "accuracy": "accuracy",
    }
    if row["regressions"]:
        return f"REGRESSED: {', '.join(names[name] for name in row['regressions'])}"
    accuracy = row["accuracy"]
    doubt = accuracy is not None and accuracy["finding"] == "uncertain"
    return f"{row['p50_ms']['finding']}{'; accuracy?' if doubt else ''}"


def _change(key: str) -> _Cell:
    def text(row: RowComparison) -> str:
        figure: Figure | None = row[key]  # type: ignore[literal-required]  # of four names
        return NONE if figure is None else f"{100 * figure['change']:+.1f}"

    return text


def _times(row: RowComparison) -> str:
    figure = row["p50_ms"]
    return f"{milliseconds(figure['before'])} > {milliseconds(figure['after'])}"


def _interval(row: RowComparison) -> str:
    found = row["p50_ms"]["interval"]
    return NONE if found is None else f"{100 * found[0]:+.1f} to {100 * found[1]:+.1f}"


_COLUMNS: dict[str, _Cell] = {
    "p50\nms": _times,
    "p50\n%": _change("p50_ms"),
    "95 %": _interval,
    "p90\n%": _change("p90_ms"),
    "mem.\n%": _change("memory_bytes"),
    "size\n%": _change("size_bytes"),
    "acc.\npoints": _change("accuracy"),
}


#: What a narrow terminal loses, in this order; the findings name what has regressed all the same.
_GIVEN_UP = ("size\n%", "mem.\n%", "p50\nms", "p90\n%", "acc.\npoints")

#: Characters that names of configurations get at least, before they are wrapped.
_NAME = 18


def _fitting(rows: Sequence[RowComparison], width: int) -> dict[str, _Cell]:
    """The columns that have something to say and fit."""
    columns = {name: cell for name, cell in _COLUMNS.items() if _speaks(cell, rows)}
    finding = max([len("finding"), *(len(_finding(row)) for row in rows)])
    longest = max([_NAME, *(min(len(row["name"]), 40) for row in rows)])
    for name, least in [*((n, longest) for n in _GIVEN_UP[:2]), *((n, _NAME) for n in _GIVEN_UP)]:
        cells = [
            max(len(part) for part in (*header.split("\n"), *(cell(row) for row in rows)))
            for header, cell in columns.items()
        ]
        if least + sum(cells) + finding + len(cells) + 2 <= width:
            break
        columns.pop(name, None)
    return columns


def _speaks(cell: _Cell, rows: Sequence[RowComparison]) -> bool:
    return any(cell(row) != NONE for row in rows)


def _legend(comparison: Comparison, columns: dict[str, _Cell]) -> str:
    found = [_finding(row) for row in comparison["rows"]]
    findings = {text.partition(":")[0].partition(";")[0] for text in found}
    percent = f"{comparison['max_regression']:g} %"
    meanings = {
        "REGRESSED": f"REGRESSED: by more than {percent}, and not by chance",
        "slower": "slower: not by chance, and no more than is allowed",
        "same": f"same: no change that noise does not make, and none above {percent}",
        "uncertain": f"uncertain: too noisy to exclude {percent}; take more rounds",
    }
    parts = ["95 %: interval of the change of p50, from the rounds of both runs"]
    if any("p90_ms" in row["regressions"] for row in comparison["rows"]):
        parts.append("p90 may grow by half as much again as p50, and needs 99 %")
    if not any(row["p90_ms"] for row in comparison["rows"]):
        parts.append("p90 is not judged: the runs do not have it round by round")
    if "acc.\npoints" in columns:
        points = f"{comparison['max_accuracy_drop']:g} points"
        parts.append(
            f"acc.: accuracy, judged by Newcombe's interval of the difference, at most {points} "
            "down (counts do not allow McNemar's test)"
        )
    parts += [text for name, text in meanings.items() if name in findings]
    if any(text.endswith("accuracy?") for text in found):
        parts.append("accuracy?: it fell by more, which so few photos may do by chance")
    return "; ".join(parts) + "."


def _remarks(comparison: Comparison) -> list[str]:
    lines = [f"failing now: {name}: {why}" for name, why in comparison["broken"].items()]
    lines += [f"not compared: {name}: {why}" for name, why in comparison["not_compared"].items()]
    for key, when in (("only_before", "before"), ("only_after", "after")):
        names: list[str] = comparison[key]  # type: ignore[literal-required]  # of two names
        if names:
            lines.append(f"only {when}: {'; '.join(names)}")
    return [*lines, *comparison["notes"]]
