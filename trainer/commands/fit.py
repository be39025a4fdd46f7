"""``edge-train fit``."""

from __future__ import annotations

from typing import Any

import click

from edge_runtime.console import EdgeCommand, json_option, overwrite_option, print_json

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


@click.command(
    cls=EdgeCommand,
    example="edge-train fit photos/ --out runs/first --weights imagenet --set augment.flip=false",
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
    from ..config_io import load_config
    from ..train import fit as train

    given = {_KEYS[name]: value for name, value in options.items()}
    run = train(data, out, load_config(config, given, assignments), overwrite)
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
