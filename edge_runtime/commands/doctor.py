"""``edge-classify doctor``."""

from __future__ import annotations

import click

from ..console import EdgeCommand, json_option, print_json
from ..errors import MissingComponent


@click.command(cls=EdgeCommand, example="edge-classify doctor --json")
@json_option("Print one JSON object on stdout, and nothing else there.")
def doctor(as_json: bool) -> None:
    """Show what this machine is and what runs on it.

    Board, operating system, Python, processor, memory, temperature and throttling, cameras; each
    interpreter runs a small model in a process of its own. For what is missing it says what to
    install. The exit code is 5 if none works.
    """
    from ..doctor import examine
    from ..doctor.text import format_report

    report = examine()
    if as_json:
        print_json(report)
    else:
        click.echo(format_report(report))
    if not report["works"]:
        raise MissingComponent(
            "no interpreter works here. edge-classify doctor lists what to install under To do."
        )
