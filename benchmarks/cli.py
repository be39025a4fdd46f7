"""``edge-bench``: what each model file costs on this machine, and which one to deploy.

Run ``edge-bench run bundle --data photos/test``.
"""

from __future__ import annotations

import click

from edge_runtime.console import EdgeGroup, LazyCommands, version_option

#: A command is imported when it is asked for.
_COMMANDS = ("run", "compare", "schema", "show")


@click.group(cls=EdgeGroup, commands=LazyCommands("benchmarks.commands", *_COMMANDS))
@version_option("edge-bench")
def cli() -> None:
    """Measure what each model file costs on this machine."""


if __name__ == "__main__":
    cli()
