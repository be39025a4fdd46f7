"""``edge-train``: from a folder of photos to a run directory.

Run ``edge-train fit photos/ --out runs/first --weights none``.
"""

from __future__ import annotations

from typing import Any

import click

from edge_runtime.console import (
    EdgeGroup,
    json_option,
    overwrite_option,
    print_json,
    version_option,
)
from edge_runtime.errors import UsageError

_SAMPLES = ("digits",)

#: Options of ``fit`` that stand for a key of the configuration.
_KEYS = {
    "backbone": "model.backbone",
    "weights": "model.weights",
    "fine_tune_at": "model.fine_tune_at",
    "image_size": "image.size",
    "batch_size": "batch_size",
    "head_epochs": "head.epochs",
    "finetune_epochs": "finetune.epochs",
    "seed": "seed",
}


@click.group(cls=EdgeGroup)
@version_option("edge-train")
def cli() -> None:
    """Train an image classifier on a folder of photos."""


@cli.command(example="edge-train sample digits digits/")
@click.argument("name", type=click.Choice(_SAMPLES), metavar="NAME")
@click.argument("folder", metavar="DIR")
@overwrite_option("an existing folder")
@json_option()
def sample(name: str, folder: str, overwrite: bool, as_json: bool) -> None:
    """Write a data set that needs no download into DIR; NAME is `digits`.

    1,797 handwritten digits, a folder for each class, split into train, val and test.
    """
    from .sample import write_digits

    _report_counts(folder, write_digits(folder, overwrite), as_json)


@cli.command(example="edge-train split photos/ dataset/ --ratios 0.7,0.15,0.15 --seed 1")
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
    from .split import create_train_val_test_split

    shares = parse_ratios(ratios)
    counts = create_train_val_test_split(source, destination, *shares, seed, overwrite)
    _report_counts(destination, counts, as_json)


@cli.command(
    example="edge-train fit photos/ --out runs/first --weights imagenet --set augment.flip=false"
)
@click.argument("data", metavar="DATA")
@click.option("--out", required=True, metavar="RUN", help="Run directory to write.")
@click.option(
    "--config", metavar="FILE", help="YAML file, or the name of a shipped preset such as demo."
)
@click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="KEY=VALUE",
    help="Any key of the configuration, e.g. head.learning_rate=0.001. Goes over the options.",
)
@click.option("--backbone", metavar="NAME", help="Network. Default: efficientnetb0.")
@click.option(
    "--weights",
    metavar="SOURCE",
    help="imagenet (downloaded once), none (from scratch), or a weights file. Default: imagenet.",
)
@click.option("--image-size", type=int, metavar="PIXELS", help="Input size. Default: 224.")
@click.option("--batch-size", type=int, metavar="N", help="Photos a step. Default: 32.")
@click.option(
    "--head-epochs", type=int, metavar="N", help="Epochs of phase 1, the head. Default: 8."
)
@click.option(
    "--finetune-epochs",
    type=int,
    metavar="N",
    help="Epochs of phase 2. Default: 10. From scratch both add up.",
)
@click.option(
    "--fine-tune-at",
    type=int,
    metavar="INDEX",
    help="Index of the first backbone layer that phase 2 trains, 0 for all. Default: the backbone's.",
)
@click.option("--seed", type=int, metavar="N", help="Of everything random. Default: 0.")
@overwrite_option("an existing run")
@json_option()
def fit(
    data: str,
    out: str,
    config: str | None,
    assignments: tuple[str, ...],
    overwrite: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Train on the photos in DATA and write a run directory.

    DATA holds train/, val/ and perhaps test/, each with a folder for each class; or a folder for
    each class, which is then split with the seed. What is not given comes from the configuration
    file, and else from the defaults.
    """
    from .config_io import load_config
    from .train import fit as train

    given = {_KEYS[name]: value for name, value in options.items()}
    run = train(data, out, load_config(config, given, assignments), overwrite)
    metrics = run.metrics()
    if as_json:
        print_json({"run": out, "val": metrics["val"], "test": metrics["test"]})
    else:
        click.echo(summarize(out, metrics))


@cli.command(example="edge-train evaluate runs/first photos/test --json")
@click.argument("run", metavar="RUN")
@click.argument("data", metavar="DATA")
@click.option("--out", metavar="FILE", help="Write the figures as JSON to this file, too.")
@overwrite_option("an existing file")
@json_option()
def evaluate(run: str, data: str, out: str | None, overwrite: bool, as_json: bool) -> None:
    """Accuracy and figures for each class of RUN on a folder of class folders."""
    import json

    from edge_runtime.files import atomic_file, refuse_existing
    from edge_runtime.rundir import RunDir

    from .evaluate import evaluate_run
    from .report import format_metrics_table

    opened = RunDir.open(run)
    if out is not None:
        refuse_existing(out, overwrite)
    metrics = evaluate_run(opened, data)
    if out is not None:
        with atomic_file(out, overwrite) as temporary:
            temporary.write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")
    if as_json:
        print_json(metrics)
    else:
        click.echo(format_metrics_table(metrics, data))


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


def summarize(out: str, metrics: dict[str, Any]) -> str:
    """One line about a finished run."""
    found = []
    for part, name in (("val", "validation"), ("test", "test")):
        figures = metrics[part]
        if figures is not None:
            right = round(figures["accuracy"] * figures["n"])
            found.append(f"{name} accuracy {figures['accuracy']:.1%} ({right} of {figures['n']})")
    return f"{out}: {', '.join(found)}"


def _report_counts(folder: str, counts: dict[str, dict[str, int]], as_json: bool) -> None:
    if as_json:
        print_json({"folder": folder, "counts": counts})
        return
    totals = ", ".join(f"{part} {sum(classes.values())}" for part, classes in counts.items())
    click.echo(f"{folder}: {totals}")


if __name__ == "__main__":
    cli()
