"""How many photos a command wrote."""

from __future__ import annotations

import click

from edge_runtime.console import print_json


def report_counts(folder: str, counts: dict[str, dict[str, int]], as_json: bool) -> None:
    """Print the number of photos by part (and class, in JSON)."""
    if as_json:
        print_json({"folder": folder, "counts": counts})
        return
    totals = ", ".join(f"{part} {sum(classes.values())}" for part, classes in counts.items())
    click.echo(f"{folder}: {totals}")
