"""``edge-classify gradcam``."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from ..console import EdgeCommand, json_option, overwrite_option, print_json
from ..errors import UsageError
from .options import model_options

if TYPE_CHECKING:
    from ..engine import Engine


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
    engine: Engine,
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
    from ..files import atomic_file, refuse_existing
    from ..heatmap import overlay
    from ..preprocess import load_upright

    if not out.lower().endswith(".png"):
        raise UsageError(f"--out {out}: a file name that ends in .png was expected.")
    if not os.path.lexists(photo):
        raise UsageError(f"{photo}: no such file.")
    if os.path.isdir(photo):
        raise UsageError(f"{photo}: is a folder; one photo was expected.")
    refuse_existing(out, overwrite)
    explainer = open_explainer(model, fmt, layer, engine=engine, probe=True)
    found = explainer.explain(photo, class_name)
    with open(photo, "rb") as stream:  # as bytes: what its name says was warned of already
        picture = load_upright(stream.read())
    caption = f"{found.label} {found.score:.3f}"
    sheet = overlay(picture, found.heatmap, explainer.info.preprocess, caption)
    with atomic_file(out, overwrite) as temporary:
        sheet.save(temporary, "PNG")
    if as_json:
        fields = {"path": photo, "out": out, "label": found.label, "index": found.index}
        print_json(fields | {"score": found.score})
    else:
        click.echo(f"{out}: {caption}")
