"""What several commands share: options, and how an answer reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from .engine_options import engine_options

if TYPE_CHECKING:
    from ..prediction import Prediction


def model_options(function: click.decorators.FC) -> click.decorators.FC:
    """``--model``, ``--format``, and those of :func:`engine_options`."""
    function = engine_options(function)
    function = click.option(
        "--format", "fmt", metavar="FMT", help="Artifact of the bundle. Default: the bundle's own."
    )(function)
    return click.option(
        "--model",
        required=True,
        metavar="MODEL",
        help="Bundle, .tflite or .onnx file; or (with TensorFlow) SavedModel or run directory.",
    )(function)


def format_answer(prediction: Prediction) -> str:
    """Label and score, then the runners-up in brackets."""
    others = ", ".join(f"{label} {score:.3f}" for label, _, score in prediction.top[1:])
    doubt = " (unknown)" if prediction.unknown else ""
    tail = f"  [{others}]" if others else ""
    return f"{prediction.label} {prediction.score:.3f}{doubt}{tail}"
