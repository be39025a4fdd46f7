"""The options that several commands share."""

from __future__ import annotations

import click

from ..console import threads_option


def model_options(function: click.decorators.FC) -> click.decorators.FC:
    """``--model``, ``--format`` and ``--threads``."""
    function = threads_option()(function)
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
        help="Bundle, .tflite or .onnx file; or (with TensorFlow) SavedModel or run directory.",
    )(function)
