"""``edge-train fit``."""

from __future__ import annotations

from typing import Any

import click

from edge_runtime.console import EdgeCommand, json_option, overwrite_option, print_json
from edge_runtime.errors import UsageError

from .options import config_options, given_keys


@click.command(
    cls=EdgeCommand,
    example="edge-train fit photos/ --out runs/first --weights imagenet --set augment.flip=false",
)
@click.argument("data", metavar="DATA", required=False)
@click.option("--out", metavar="RUN", help="Run directory to write.")
@click.option(
    "--resume",
    metavar="RUN",
    help="Go on with the training of this run, which was interrupted; takes no DATA.",
)
@click.option(
    "--from-run",
    metavar="RUN",
    help="Start from the weights of this finished run: more photos, or other classes, of which it "
    "keeps those of the same name. Its configuration takes the place of the defaults.",
)
@click.option(
    "--out-of-fold",
    metavar="FILE",
    help="Predictions of crossval for these photos (predictions.csv), in which label errors are then "
    "looked for.",
)
@config_options
@overwrite_option("an existing run")
@json_option()
def fit(
    data: str | None,
    out: str | None,
    resume: str | None,
    from_run: str | None,
    out_of_fold: str | None,
    preset: str | None,
    config: str | None,
    assignments: tuple[str, ...],
    overwrite: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Train on the photos in DATA and write a run directory.

    DATA holds train/, val/ and perhaps test/, each with a folder for each class; or a folder for
    each class, which is then split with the seed. What is not given comes from the configuration
    file, and else from the defaults. A training that was stopped, by Ctrl-C or by a power cut, goes
    on with --resume to the same result.
    """
    from ..training import fit as train

    if resume is not None:
        named = [data, out, from_run, out_of_fold, preset, config, *assignments, *options.values()]
        if any(value is not None for value in named):
            raise UsageError(
                "--resume goes on with a training as it was begun: give nothing but the run (and "
                "--overwrite)."
            )
        run = train.resume(resume, overwrite)
    elif data is None or out is None:
        raise UsageError("Expected DATA and --out RUN, or --resume RUN.")
    else:
        from ..config.io import load_config

        given = given_keys(options)
        given |= {"model.from_run": from_run, "evaluation.out_of_fold": out_of_fold}
        chosen = load_config(config, given, assignments, preset)
        run = train.fit(data, out, chosen, overwrite)
    if run is None:  # another process writes it
        if as_json:
            print_json({"run": None, "val": None, "test": None})
        return
    out = out or str(run.path)
    metrics = run.metrics()
    if as_json:
        print_json({"run": out, "val": metrics["val"], "test": metrics["test"]})
    else:
        click.echo(summarize(out, metrics))


def summarize(out: str, metrics: dict[str, Any]) -> str:
    """One line about a finished run."""
    found = []
    for part, name in (("val", "validation"), ("test", "test")):
        figures = metrics[part]
        if figures is not None:
            right = round(figures["accuracy"] * figures["n"])
            found.append(f"{name} accuracy {figures['accuracy']:.1%} ({right} of {figures['n']})")
    return f"{out}: {', '.join(found)}"
