"""``edge-train compare``."""

from __future__ import annotations

import click

from edge_runtime.console import EdgeCommand, json_option, print_json
from edge_runtime.rundir import RunDir


@click.command(cls=EdgeCommand, example="edge-train compare runs/first runs/second")
@click.argument("first", metavar="RUN_A")
@click.argument("second", metavar="RUN_B")
@click.argument("data", metavar="[DATA]", required=False)
@json_option()
def compare(first: str, second: str, data: str | None, as_json: bool) -> None:
    """Two runs side by side on the same photos, with a paired test.

    The photos are those that both runs have in their test part and that neither was trained or
    validated on; or those in DATA, a folder of class folders. The difference has a 95 % interval
    (Bonett and Price 2012) and an exact McNemar test.
    """
    from ..evaluation.compare import compare_runs
    from ..evaluation.compare_table import format_comparison

    result = compare_runs(RunDir.open(first), RunDir.open(second), data)
    if as_json:
        print_json(result)
    else:
        click.echo(format_comparison(result))
