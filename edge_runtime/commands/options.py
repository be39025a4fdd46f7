"""The options that several commands share."""

from __future__ import annotations

import click

from .engine_options import engine_options
from .settings_options import settings_options


def model_options(function: click.decorators.FC) -> click.decorators.FC:
    """``--model``, ``--format``, and those of :func:`engine_options` and `settings_options`."""
    function = settings_options(function)
    function = engine_options(function)
    function = click.option(
        "--format",
        "fmt",
        metavar="FMT",
        help="Artifact of the bundle, or `auto`: the fastest that passed. Default: the bundle's own.",
    )(function)
    return click.option(
        "--model",
        required=True,
        metavar="MODEL",
        help="Bundle, .tflite or .onnx file; or (with TensorFlow) SavedModel, run directory or "
        ".keras file.",
    )(function)
