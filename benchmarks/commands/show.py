"""``edge-bench show``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from edge_runtime.console import EdgeCommand

from .showing_options import showing_options

if TYPE_CHECKING:
    from ..show.wishes import Wishes


@click.command(
    cls=EdgeCommand,
    example="edge-bench show bench.json --max-latency-ms 50 --out bench.html --out bench.md",
)
@click.argument("result", metavar="RESULT")
@showing_options
def show(result: str, wishes: Wishes) -> None:
    """Show what was measured before, here or on another machine.

    RESULT is what `edge-bench run --out X.json` wrote. It is not measured again; with limits (or
    another percentile) it gets a new verdict by them. The exit code is 4 if no row holds them.
    """
    from ..loading import read_result
    from ..show import present, raise_verdict, save

    found = read_result(result)
    wishes.check(sorted({row["artifact"]["subject"] for row in found["rows"]}))
    present(found, wishes)
    save(found, wishes)
    raise_verdict(found, wishes)
