"""``edge-train sample``."""

from __future__ import annotations

import click

from edge_runtime.console import EdgeCommand, json_option, overwrite_option

from .counts import report_counts

_SAMPLES = ("digits",)


@click.command(cls=EdgeCommand, example="edge-train sample digits digits/")
@click.argument("name", type=click.Choice(_SAMPLES), metavar="NAME")
@click.argument("folder", metavar="DIR")
@overwrite_option("an existing folder")
@json_option()
def sample(name: str, folder: str, overwrite: bool, as_json: bool) -> None:
    """Write a data set that needs no download into DIR; NAME is `digits`.

    1,797 handwritten digits, a folder for each class, split into train, val and test.
    """
    from ..data.digits import write_digits

    report_counts(folder, write_digits(folder, overwrite), as_json)
