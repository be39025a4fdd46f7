"""``edge-train``: from a folder of photos to a run directory.

Run ``edge-train fit photos/ --out runs/first --weights none``.
"""

from __future__ import annotations

import click

from edge_runtime.console import EdgeGroup, version_option

from .commands.augment_preview import augment_preview
from .commands.backbones import backbones
from .commands.check import check
from .commands.compare import compare
from .commands.config import config
from .commands.crossval import crossval
from .commands.evaluate import evaluate
from .commands.fit import fit
from .commands.sample import sample
from .commands.split import split


@click.group(cls=EdgeGroup)
@version_option("edge-train")
def cli() -> None:
    """Train an image classifier on a folder of photos."""


for command in (
    sample,
    check,
    split,
    augment_preview,
    backbones,
    config,
    fit,
    crossval,
    evaluate,
    compare,
):
    cli.add_command(command)


if __name__ == "__main__":
    cli()
