"""``edge-train split``."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

import click

from edge_runtime.console import EdgeCommand, json_option, overwrite_option, print_json
from edge_runtime.errors import UsageError

from ..data.placing import Link

if TYPE_CHECKING:
    from ..data.split import SplitPlan


@click.command(
    cls=EdgeCommand,
    example="edge-train split photos/ dataset/ --ratios 0.7,0.15,0.15 --seed 1 --link hard",
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
@click.option(
    "--group-by",
    metavar="REGEX",
    help="Keep photos of one object in one part: those for which the first parentheses of REGEX, or "
    "all of it, match the same text, such as '^([^_]+)_'. Searched in the file name; in the path if "
    "it has a slash.",
)
@click.option(
    "--near-duplicates",
    is_flag=True,
    help="Keep photos that look the same in one part, too. Copies of one file always stay together.",
)
@click.option(
    "--link",
    type=click.Choice(get_args(Link)),
    default="copy",
    show_default=True,
    help="Copy the photos, or give them a second name, or link to their absolute paths.",
)
@overwrite_option("an existing folder")
@json_option()
def split(
    source: str,
    destination: str,
    ratios: str,
    seed: int,
    group_by: str | None,
    near_duplicates: bool,
    link: Link,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Copy a folder of class folders SRC to DST, split into train, val and test.

    Each class is split in the same proportion, as well as groups allow; the same seed gives the
    same split. Unlike copies, links change with the photos in SRC, and symlinks need them there.
    """
    from ..data.split import split_folder

    shares = parse_ratios(ratios)
    plan = split_folder(
        source, destination, shares, seed, overwrite, group_by, near_duplicates, link
    )
    if as_json:
        print_json({"folder": destination, **plan.as_dict()})
    else:
        click.echo(summarize(destination, plan))


def summarize(folder: str, plan: SplitPlan) -> str:
    """How many photos each part got, and what was kept together."""
    totals = {part: sum(classes.values()) for part, classes in plan.counts.items()}
    if not plan.groups:
        return f"{folder}: " + ", ".join(f"{part} {total}" for part, total in totals.items())
    shares = ", ".join(
        f"{part} {total} ({plan.ratios[part]:.1%})" for part, total in totals.items()
    )
    groups = f"{plan.groups} group{'s' * (plan.groups != 1)}"
    return f"{folder}: {shares}; {plan.grouped} photos kept together in {groups}"


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
