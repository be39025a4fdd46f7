"""Does edge-bench compare find a planted slowdown, and is it quiet about equal builds?

Run ``python -m benchmarks.perf.bench_compare BUNDLE``. Each try runs ``edge-bench run`` three times,
one after the other: twice as it is, and once with every inference slowed down by a busy wait in the
worker (``slowed_worker.py``), in an order that changes from try to try. Compared are the slowed run
with an equal try's plain one, and plain runs with the plain ones after them. Printed: how many of the
slowed rows are found, how many comparisons of equal runs raise an alarm, and the spread of the
rounds' medians. Exit code 4 if fewer than 9 of 10 rows are found, if more than 1 of 20 comparisons is
an alarm, or if the machine was so busy that half of them had nothing valid to compare.
"""

from __future__ import annotations

import importlib
import os
import statistics
import sys
import tempfile
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import click

from benchmarks.cli import cli
from benchmarks.compare.comparing import Allowed, Comparison, compare_results
from benchmarks.loading import read_result
from benchmarks.perf.common import EXIT_CHECK_FAILED, print_machine
from benchmarks.perf.slowed_worker import VARIABLE
from benchmarks.result import Result

#: Shares of slowed rows that have to be found, and of equal comparisons that may be alarms.
_FOUND, _ALARMS = 0.9, 0.05

#: Of the comparisons, so many need something valid to compare.
_COMPARABLE = 0.5


@click.command()
@click.argument("bundle")
@click.option("--formats", default="tflite-int8,tflite-fp32", show_default=True)
@click.option("--threads", default="1", show_default=True, help="With commas.")
@click.option("--tries", default=10, show_default=True, type=click.IntRange(1))
@click.option("--slowdown", default=8.0, show_default=True, help="Percent that are planted.")
@click.option("--max-regression", default=5.0, show_default=True, help="Percent that are allowed.")
@click.option("--rounds", default=10, show_default=True, type=click.IntRange(2))
@click.option("--seconds", default=5.0, show_default=True, help="Of each row, over all rounds.")
@click.option("--max-interval", default=5.0, show_default=True, help="As of edge-bench run.")
@click.option("--max-load", default=5.0, show_default=True, help="As of edge-bench run.")
def main(
    bundle: str,
    formats: str,
    threads: str,
    tries: int,
    slowdown: float,
    max_regression: float,
    rounds: int,
    seconds: float,
    max_interval: float,
    max_load: float,
) -> None:
    """Count what compare finds, and what it only believes to find."""
    print_machine()
    worker = (sys.executable, os.fspath(Path(__file__).with_name("slowed_worker.py")))
    vars(importlib.import_module("benchmarks.measuring.children"))["COMMAND"] = worker
    options = [
        *("--formats", formats, "--threads", threads, "--rounds", str(rounds)),
        *("--min-seconds", str(seconds), "--no-throughput", "--quiet", "--json"),
        *("--max-interval", str(max_interval), "--max-load", str(max_load)),
    ]
    plain: list[Result] = []
    slowed: list[tuple[Result, Result]] = []
    for number in range(tries):
        order = [(0.0, 0.0, slowdown), (slowdown, 0.0, 0.0), (0.0, slowdown, 0.0)][number % 3]
        made = [(percent, _measure(bundle, options, percent)) for percent in order]
        equal = [result for percent, result in made if not percent]
        plain += equal
        slowed.append((equal[-1], next(result for percent, result in made if percent)))
        click.echo(f"try {number + 1} of {tries}: {_medians([result for _, result in made])}")
    allowed = Allowed(max_regression)
    planted = [compare_results(before, after, allowed) for before, after in slowed]
    equal_ones = [compare_results(before, after, allowed) for before, after in pairwise(plain)]
    click.echo(f"spread of the rounds' medians within a run: {_noise(plain)}")
    if not _report(planted, equal_ones, slowdown):
        raise click.exceptions.Exit(EXIT_CHECK_FAILED)


def _measure(bundle: str, options: Sequence[str], percent: float) -> Result:
    os.environ[VARIABLE] = str(percent)
    with tempfile.TemporaryDirectory() as folder, open(os.devnull, "w") as nowhere:
        out = os.path.join(folder, "result.json")
        before, sys.stdout = sys.stdout, nowhere
        try:
            cli(["run", bundle, *options, "--out", out], standalone_mode=False)
        finally:
            sys.stdout = before
        return read_result(out)


def _report(planted: list[Comparison], equal: list[Comparison], slowdown: float) -> bool:
    """Print the counts; whether they hold."""
    rows = [row for comparison in planted for row in comparison["rows"]]
    found = sum("p50_ms" in row["regressions"] for row in rows)
    changes = [row["p50_ms"]["change"] for row in rows]
    usable = [comparison for comparison in equal if comparison["rows"]]
    alarms = [comparison for comparison in usable if not comparison["passed"]]
    compared = len(usable) + sum(bool(comparison["rows"]) for comparison in planted)
    every = len(planted) + len(equal)
    click.echo(f"comparisons with something valid to compare: {compared} of {every}")
    if changes:
        middle = statistics.median(changes)
        click.echo(
            f"planted {slowdown:g} %: found in {found} of {len(rows)} rows; seen as "
            f"{middle:+.1%} ({min(changes):+.1%} to {max(changes):+.1%})"
        )
    click.echo(f"equal runs: {len(alarms)} alarms in {len(usable)} comparisons")
    for comparison in alarms:
        click.echo(f"  {comparison['summary']}")
    enough = compared >= _COMPARABLE * every and bool(rows) and bool(usable)
    if not enough:
        click.echo("The machine was too busy to tell. Stop other programs and run this again.")
    return enough and found >= _FOUND * len(rows) and len(alarms) <= _ALARMS * len(usable)


def _medians(results: Sequence[Result]) -> str:
    """p50 of the first row of each run, and whether the run was valid."""
    found = []
    for result in results:
        latency = result["rows"][0]["latency"]
        value = "none" if latency is None else f"{latency['p50_ms']:.3f} ms"
        found.append(f"{value} ({result['rows'][0]['status']})")
    return ", ".join(found)


def _noise(results: Sequence[Result]) -> str:
    """Standard deviation of the rounds' medians as a share, median and range over rows and runs."""
    found = []
    for result in results:
        for row in result["rows"]:
            if row["latency"] is not None and len(row["latency"]["rounds"]) > 1:
                medians = [one["p50_ms"] for one in row["latency"]["rounds"]]
                found.append(statistics.stdev(medians) / statistics.mean(medians))
    if not found:
        return "unknown"
    return f"{statistics.median(found):.1%} ({min(found):.1%} to {max(found):.1%})"


if __name__ == "__main__":
    main()
