"""``edge-bench compare``."""

from __future__ import annotations

import click

from edge_runtime.console import EdgeCommand, json_option, overwrite_option


@click.command(
    cls=EdgeCommand,
    example="edge-bench compare main.json branch.json --max-regression 5 --out comment.md",
)
@click.argument("before", metavar="BEFORE")
@click.argument("after", metavar="AFTER")
@click.option(
    "--max-regression",
    type=click.FloatRange(0),
    default=5.0,
    show_default=True,
    metavar="PERCENT",
    help="What latency, memory and size may grow by.",
)
@click.option(
    "--max-accuracy-drop",
    type=click.FloatRange(0, 100),
    default=0.5,
    show_default=True,
    metavar="POINTS",
    help="What accuracy may lose, in percentage points.",
)
@click.option(
    "--force", is_flag=True, help="Compare what was measured on machines that differ, too."
)
@json_option("Print one JSON object on stdout, and nothing else there.")
@click.option(
    "--out",
    "outs",
    metavar="FILE",
    multiple=True,
    help="Write a file: .json, or .md for a comment on a pull request. Repeatable.",
)
@overwrite_option("an existing FILE")
def compare(
    before: str,
    after: str,
    max_regression: float,
    max_accuracy_drop: float,
    force: bool,
    as_json: bool,
    outs: tuple[str, ...],
    overwrite: bool,
) -> None:
    """Find what became slower, larger or worse, and tell it from noise.

    BEFORE and AFTER are files of `edge-bench run --out X.json`, measured on one machine; rows are
    matched by name. A latency has regressed if it grew by more than --max-regression and the 95 %
    interval of the growth, from the rounds of both runs, leaves out "none"; so take at least five
    rounds. INVALID rows are not compared. The exit code is 4 if anything has regressed, or nothing
    could be compared.
    """
    from ..compare.comparing import Allowed, compare_results
    from ..compare.showing import check_outs, present_comparison, raise_regressions
    from ..loading import read_result

    check_outs(outs, overwrite, as_json)
    comparison = compare_results(
        read_result(before),
        read_result(after),
        Allowed(max_regression, max_accuracy_drop, force),
        (before, after),
    )
    present_comparison(comparison, outs, overwrite, as_json)
    raise_regressions(comparison)
