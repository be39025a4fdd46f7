"""``edge-bench schema``."""

from __future__ import annotations

import click

from edge_runtime.console import EdgeCommand


@click.command(cls=EdgeCommand, example="edge-bench schema > bench.schema.json")
def schema() -> None:
    """Print the JSON Schema (draft 2020-12) of what run and show write as JSON."""
    from ..schema import FILE

    click.echo(FILE.read_text(encoding="utf-8"), nl=False)
