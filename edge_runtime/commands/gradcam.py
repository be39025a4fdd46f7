"""``edge-classify gradcam``."""

from __future__ import annotations

import os

import click

from ..console import EdgeCommand, json_option, overwrite_option, print_json
from ..errors import UsageError
from .options import model_options


@click.command(
    cls=EdgeCommand, example="edge-classify gradcam --model bundle photo.jpg --out why.png"
)
@model_options
@click.argument("photo", metavar="PHOTO")
@click.option("--out", required=True, type=click.Path(dir_okay=False), help="PNG file to write.")
@click.option(
    "--class", "class_name", metavar="NAME", help="Class to explain. Default: the answer."
)
@click.option(
    "--layer",
    metavar="LAYER",
    help="Feature-map layer of a run. Default: the last readable one.",
)
@overwrite_option("an existing file")
@json_option()
def gradcam(
    model: str,
    fmt: str | None,
    threads: int | None,
    photo: str,
    out: str,
    class_name: str | None,
    layer: str | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Show where the network looked.

    A bundle, a .tflite or a .onnx file gives its own heat map, without TensorFlow; of a run
    directory or a SavedModel it is Grad-CAM with gradients. For networks that end in average
    pooling and one linear layer the two are the same.
    """
    from ..explain import open_explainer
    from ..files import refuse_existing
    from ..heatmap import check_picture_name, save_overlay

    check_picture_name(out)
    if not os.path.lexists(photo):
        raise UsageError(f"{photo}: no such file.")
    if os.path.isdir(photo):
        raise UsageError(f"{photo}: is a folder; one photo was expected.")
    refuse_existing(out, overwrite)
    explainer = open_explainer(model, fmt, layer, threads)
    found = explainer.explain(photo, class_name)
    caption = f"{found.label} {found.score:.3f}"
    with open(photo, "rb") as stream:  # as bytes: what its name says was warned of already
        content = stream.read()
        save_overlay(content, found, explainer.info.preprocess, out, overwrite=overwrite)
    if as_json:
        fields = {"path": photo, "out": out, "label": found.label, "index": found.index}
        print_json(fields | {"score": found.score})
    else:
        click.echo(f"{out}: {caption}")
