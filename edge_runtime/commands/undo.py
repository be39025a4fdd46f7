"""``edge-classify undo``."""

from __future__ import annotations

import click

from ..console import EdgeCommand, json_option, print_json
from ..errors import InputsFailed


@click.command(cls=EdgeCommand, example="edge-classify undo sorted/")
@click.argument("log", metavar="LOG")
@json_option()
def undo(log: str, as_json: bool) -> None:
    """Undo what `image --copy-to` or `--move-to` has sorted.

    LOG is the file undo-DATE-TIME.jsonl, or the folder that photos were sorted into, for the newest
    log in it. Moved photos go back, unchanged copies whose originals are there go away; whatever else
    was changed since is left as it is and named, and the exit code is 1.
    """
    from ..output.plain import visible
    from ..sorting.undoing import undo as undo_log

    result = undo_log(log)
    if as_json:
        print_json(result.to_dict())
    else:
        for path, reason in result.left:
            click.echo(visible(f"{path}: left, {reason}"))
        click.echo(
            f"{result.moved_back} photos moved back, {result.copies_removed} copies removed, "
            f"{len(result.left)} left as they are."
        )
    if result.left:
        raise InputsFailed(
            f"{len(result.left)} files were left as they are. "
            "Undo again once what stands against it is gone."
        )
