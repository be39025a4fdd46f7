"""``edge-classify gradcam``."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from ..console import EdgeCommand, json_option, overwrite_option, print_json
from ..errors import ImageError, InputsFailed
from .options import model_options

if TYPE_CHECKING:
    from ..engine import Engine
    from ..settings import ModelSettings
#: As in ``heat.cam_functions`` and ``heat.colormaps``, whose imports help needs not.
_METHODS = ("gradcam", "gradcam++", "layercam")
_COLORMAPS = ("inferno", "magma", "viridis", "cividis")


@click.command(
    cls=EdgeCommand,
    example="edge-classify gradcam --model bundle photo.jpg --out why.png\n"
    "edge-classify gradcam --model runs/groceries photos/ --method layercam --out why/ "
    "--sheet why.jpg",
)
@model_options
@click.argument("photos", nargs=-1, required=True, metavar="PHOTO...")
@click.option(
    "--out",
    metavar="PATH",
    help="A .png or .jpg file: the photo under its map, or a contact sheet of several. "
    "Any other name is a folder, with one file a photo and class.",
)
@click.option("--sheet", metavar="FILE", help="Contact sheet, beside --out DIR or alone.")
@click.option(
    "--class",
    "classes",
    multiple=True,
    metavar="NAME",
    help="Class to explain, its name or index; several times for several. Default: the answer.",
)
@click.option(
    "--method",
    type=click.Choice(_METHODS),
    default=_METHODS[0],
    show_default=True,
    help="The other two need a run directory or a .keras file.",
)
@click.option(
    "--layer",
    metavar="LAYER",
    help="Feature-map layer of a run or a .keras file. Default: the last readable one.",
)
@click.option(
    "--colormap",
    type=click.Choice(_COLORMAPS),
    default=_COLORMAPS[0],
    show_default=True,
    help="Colours from cold to hot.",
)
@overwrite_option("existing files")
@json_option("Print one JSON object a photo and class (JSON Lines) on stdout, and nothing else.")
def gradcam(
    model: str,
    fmt: str | None,
    engine: Engine,
    settings: ModelSettings | None,
    photos: tuple[str, ...],
    out: str | None,
    sheet: str | None,
    classes: tuple[str, ...],
    method: str,
    layer: str | None,
    colormap: str,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Show where the network looked.

    A bundle, a .tflite or a .onnx file gives its own heat map, without TensorFlow; of a run
    directory, a .keras file or a SavedModel it is Grad-CAM with gradients. For networks that end in
    average pooling and one linear layer the two are the same.
    """
    from ..heat.explain import open_explainer
    from ..heat.explaining import Drawing, plan

    jobs = plan(photos, classes, out, sheet, overwrite)
    explainer = open_explainer(
        model, fmt, layer, method=method, engine=engine, settings=settings, probe=True
    )
    wanted: list[int | None] = [explainer.info.class_index(name) for name in classes]
    parts = [os.path.basename(os.path.abspath(model)), getattr(explainer, "format", None), method]
    caption = ", ".join(part for part in parts if part) + (f" at {layer}" if layer else "")
    drawing = Drawing(explainer, caption, colormap, overwrite, len(jobs) * max(1, len(wanted)))
    failed = 0
    for job in jobs:
        try:
            rows = drawing.draw(job, wanted or [None])
        except ImageError as error:
            failed += 1
            unknown = dict.fromkeys(("out", "label", "index", "score"))
            rows = [{"path": job.photo, **unknown, "error": str(error)}]
        for row in rows:
            _say(row | {"method": method, "layer": layer}, as_json)
    if jobs[0].sheet is not None and drawing.cells:
        drawing.save_sheet(jobs[0].sheet)
        if not as_json:
            click.echo(f"{jobs[0].sheet}: contact sheet of {len(drawing.cells)}")
    if failed:
        raise InputsFailed(f"{failed} of {len(jobs)} photos could not be explained.")


def _say(row: dict[str, Any], as_json: bool) -> None:
    from ..output.plain import visible

    if as_json:
        print_json(row)
    elif row["error"] is not None:
        click.echo(visible(f"error: {row['error']}"), err=True)
    else:
        target = row["out"] or row["path"]
        click.echo(visible(f"{target}: {row['label']} {row['score']:.3f}"))
