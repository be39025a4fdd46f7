"""The page of results."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from benchmarks.perf.common import EXIT_CHECK_FAILED


class Outcome(NamedTuple):
    """What became of a comparison.

    Attributes:
        name: Of the comparison.
        peer: Whom it was with.
        question: What was asked.
        command: What gives the figures again.
        date: Of the measurement.
        seconds: How long it took.
        versions: Of the peer's packages.
        figures: What the script recorded, see :func:`benchmarks.perf.common.record`.
        code: Exit code; None if it never ran.
        reason: Why there are no figures, or not all.
        quick: Whether rounds were few.
        machine: That it was measured on, in one line, versions included.
    """

    name: str
    peer: str
    question: str
    command: str
    date: str
    seconds: int
    versions: dict[str, str]
    figures: list[dict[str, Any]]
    code: int | None
    reason: str
    quick: bool
    machine: str

    @property
    def completed(self) -> bool:
        """Whether it ran to its end, whatever it found."""
        return self.code in (0, EXIT_CHECK_FAILED) and not self.reason

    @property
    def held(self) -> bool:
        """Whether it ran, and every limit held."""
        return self.code == 0 and all(holds(figure) for figure in self.figures)


def holds(figure: dict[str, Any]) -> bool:
    """Whether a figure keeps its limits."""
    least, most = figure["least"], figure["most"]
    return bool(
        (least is None or figure["median"] >= least) and (most is None or figure["median"] <= most)
    )


def page(outcomes: Sequence[Outcome]) -> str:
    """RESULTS.md.

    Args:
        outcomes: In the order of the page.
    """
    lines = [
        "# Compared with others",
        "",
        "Written by `make perf`; each figure is the median, and the smallest to the largest, of pairs",
        "measured in turns in one run on one machine. `x` is a ratio, as the row says of what over what.",
        "`95 %` before a spread: it is the interval of the figure (bootstrap of the pairs) instead.",
        "A row without figures says why.",
        "",
        *_machines(outcomes),
        "",
    ]
    if any(outcome.quick for outcome in outcomes):
        lines += ["**Quick: few rounds, not to be quoted.**", ""]
    lines += ["| compared with | what | figure | spread | n | limit | held |"]
    lines += ["|---|---|---|---|---|---|---|"]
    for outcome in outcomes:
        rows = [_row(outcome, figure) for figure in outcome.figures]
        if outcome.reason or not rows:
            why = outcome.reason or f"recorded nothing (exit code {outcome.code})"
            rows.append(f"| {outcome.peer} | {outcome.question} | - | {why} | | | |")
        lines += rows
    lines += [
        "",
        "| comparison | command | date | took | versions of the peer |",
        "|---|---|---|---|---|",
    ]
    for outcome in outcomes:
        versions = ", ".join(f"{name} {version}" for name, version in outcome.versions.items())
        lines.append(
            f"| {outcome.name} | `{outcome.command}` | {outcome.date} | {outcome.seconds} s | {versions} |"
        )
    return "\n".join(lines) + "\n"


def _machines(outcomes: Sequence[Outcome]) -> list[str]:
    """Each machine, or state of its software, with what was measured on it."""
    names: dict[str, list[str]] = {}
    for outcome in outcomes:
        names.setdefault(outcome.machine, []).append(outcome.name)
    if len(names) == 1:
        return [f"Machine: {machine}" for machine in names]
    return ["Machines:", "", *(f"- {', '.join(them)}: {it}" for it, them in names.items())]


def _row(outcome: Outcome, figure: dict[str, Any]) -> str:
    unit = figure["unit"]
    limits = [
        f"{sign} {_number(figure[key], unit)}"
        for sign, key in (("at least", "least"), ("at most", "most"))
        if figure[key] is not None
    ]
    held = ("yes" if holds(figure) else "**no**") if limits else ""
    spread = f"{_number(figure['low'], unit)} to {_number(figure['high'], unit)}"
    if figure["interval"]:
        spread = f"95 %: {spread}"
    return (
        f"| {outcome.peer} | {figure['what']} | {_number(figure['median'], unit)} | {spread} | "
        f"{figure['count']} | {', '.join(limits)} | {held} |"
    )


def _number(value: float, unit: str) -> str:
    if unit == "x":
        return f"{value:.2f}x" if value >= 10 else f"{value:.3f}x"
    return f"{value:.4g} {unit}".rstrip()
