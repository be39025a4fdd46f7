"""``edge-train crossval``."""

from __future__ import annotations

from typing import Any, get_args

import click

from edge_runtime.console import EdgeCommand, json_option, overwrite_option, print_json

from ..crossval.parallel import Backend
from .options import config_options, given_keys


@click.command(
    cls=EdgeCommand,
    example="edge-train crossval photos/ --folds 5 --jobs 2 --out crossval/first --weights imagenet",
)
@click.argument("data", metavar="DATA")
@click.option("--out", metavar="FOLDER", required=True, help="Folder to write.")
@click.option(
    "--folds",
    type=click.IntRange(min=2),
    default=5,
    metavar="N",
    help="Parts into which the photos are divided; each is held out once. Default: 5.",
)
@click.option(
    "--repeats",
    type=click.IntRange(min=1),
    default=1,
    metavar="N",
    help="How often, each time divided in another way. Default: 1.",
)
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    metavar="N",
    help="Folds at a time, which share the processor's cores (and the GPU, if there is one). "
    "Default: 1; with ray or dask as many as the cluster has processors.",
)
@click.option(
    "--backend",
    type=click.Choice(get_args(Backend)),
    default="loky",
    help="What runs the folds: processes of this machine (loky), or the cluster that RAY_ADDRESS "
    "or DASK_SCHEDULER_ADDRESS names, whose machines see DATA and FOLDER under the same paths.",
)
@click.option("--keep-models", is_flag=True, help="Keep the network of each fold.")
@click.option(
    "--resume",
    is_flag=True,
    help="Go on with what was interrupted; give the same command. Whole folds are not repeated.",
)
@config_options
@overwrite_option("an existing result")
@json_option()
def crossval(
    data: str,
    out: str,
    folds: int,
    repeats: int,
    jobs: int | None,
    backend: Backend,
    keep_models: bool,
    resume: bool,
    preset: str | None,
    config: str | None,
    assignments: tuple[str, ...],
    overwrite: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Train and measure on each of several folds of the photos in DATA.

    DATA holds a folder for each class; or train/, val/ and perhaps test/, of which test is left
    alone and the others are put together. Equal files always share a fold. Each fold is trained as
    by fit: the photos that it holds out measure it and choose nothing; a share of the others (that
    of data.ratios) chooses the best epoch. FOLDER then has the mean, spread and 95 % interval of each
    figure (crossval.json), an answer for each photo by a network that had not seen it
    (predictions.csv, also for --out-of-fold of fit and evaluate), and a folder for each fold.
    """
    from ..config.io import load_config
    from ..crossval.crossval import cross_validate
    from ..crossval.table import format_crossval

    result = cross_validate(
        data,
        out,
        load_config(config, given_keys(options), assignments, preset),
        folds,
        repeats,
        1 if jobs is None and backend == "loky" else jobs,
        backend,
        keep_models,
        overwrite,
        resume,
    )
    if as_json:
        print_json(result)
    else:
        click.echo(format_crossval(result, out))
