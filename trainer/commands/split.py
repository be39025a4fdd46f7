"""``edge-train split``."""

from __future__ import annotations

import click

from edge_runtime.console import EdgeCommand, json_option, overwrite_option
from edge_runtime.errors import UsageError

from .counts import report_counts


@click.command(
    cls=EdgeCommand, example="edge-train split photos/ dataset/ --ratios 0.7,0.15,0.15 --seed 1"
)
@click.argument("source", metavar="SRC")
@click.argument("destination", metavar="DST")
@click.option(
    "--ratios",
    default="0.8,0.1,0.1",
    show_default=True,
    metavar="TRAIN,VAL,TEST",
    help="Shares of the three parts.",
)
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="Which split of many."
)
@overwrite_option("an existing folder")
@json_option()
def split(
    source: str, destination: str, ratios: str, seed: int, overwrite: bool, as_json: bool
) -> None:
    """Copy a folder of class folders SRC to DST, split into train, val and test.

    Each class is split in the same proportion; the same seed gives the same split.
    """
    from ..split import create_train_val_test_split

    shares = parse_ratios(ratios)
    counts = create_train_val_test_split(source, destination, *shares, seed, overwrite)
    report_counts(destination, counts, as_json)


def parse_ratios(text: str) -> tuple[float, float, float]:
    """Read ``0.8,0.1,0.1``.

    Raises:
        UsageError: Not three numbers.
    """
    try:
        first, second, third = (float(share) for share in text.split(","))
    except ValueError as error:
        raise UsageError(
            f"--ratios {text}: expected three numbers with commas, as in 0.8,0.1,0.1."
        ) from error
    return first, second, third
