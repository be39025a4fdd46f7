"""``edge-classify info``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ..console import EdgeCommand, json_option, print_json
from .options import engine_options
from .settings_options import settings_options

if TYPE_CHECKING:
    from ..engine import Engine
    from ..settings import ModelSettings


@click.command(cls=EdgeCommand, example="edge-classify info bundle")
@click.argument("model", metavar="MODEL")
@click.option(
    "--format",
    "fmt",
    metavar="FMT",
    help="Artifact of the bundle, or `auto`: what edge-bench chose for this board, else the fastest "
    "that passed. Default: the bundle's own.",
)
@settings_options
@engine_options
@json_option()
def info(
    model: str, fmt: str | None, engine: Engine, settings: ModelSettings | None, as_json: bool
) -> None:
    """Show what a model says about itself.

    MODEL is a bundle, a .tflite, .onnx or .keras file, a SavedModel or a run directory: its classes and
    preprocessing, what its output means, its tensors and their quantisation, where it comes from;
    of a bundle the files in it, too. Of a .tflite or .onnx file its operators, and whether each
    installed interpreter can run it: it is loaded and run in a child process with each.
    """
    from ..inspection.model import inspect_model
    from ..inspection.text import format_inspection

    report = inspect_model(model, fmt, settings, engine)
    if as_json:
        print_json(report)
    else:
        click.echo(format_inspection(report))
