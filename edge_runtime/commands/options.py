"""The options that several commands share: which model, and which interpreter runs it how."""

from __future__ import annotations

import functools
from typing import Any

import click

from ..console import threads_option
from ..engine import INTERPRETERS, Engine
from .settings_options import settings_options


def model_options(function: click.decorators.FC) -> click.decorators.FC:
    """``--model``, ``--format``, and those of :func:`engine_options` and `settings_options`."""
    function = settings_options(function)
    function = engine_options(function)
    function = click.option(
        "--format",
        "fmt",
        metavar="FMT",
        help="Artifact of the bundle, or `auto`: what edge-bench chose for this board, else the fastest "
        "that passed. Default: the bundle's own.",
    )(function)
    return click.option(
        "--model",
        required=True,
        metavar="MODEL",
        help="Bundle, .tflite or .onnx file; or (with TensorFlow) SavedModel, run directory or "
        ".keras file.",
    )(function)


def engine_options(function: click.decorators.FC) -> click.decorators.FC:
    """``--threads``, ``--interpreter``, ``--delegate`` and ``--provider``, as one ``engine``."""

    @functools.wraps(function)
    def command(
        *args: Any,
        threads: int | None,
        interpreter: str | None,
        delegate: str | None,
        providers: tuple[str, ...],
        **kwargs: Any,
    ) -> Any:
        engine = Engine(threads, interpreter, delegate, providers)
        return function(*args, engine=engine, **kwargs)

    decorated: Any = command
    for option in reversed(
        (
            threads_option(),
            click.option(
                "--interpreter",
                type=click.Choice(INTERPRETERS),
                help="Run the model with this one. Default: the first that is installed and able.",
            ),
            click.option(
                "--delegate",
                metavar="NAME",
                help="Of a .tflite file: edgetpu[,device=usb], gpu, xnnpack[,latest_features=true],"
                " none (XNNPACK off), or a delegate's library[,key=value]. Default: XNNPACK.",
            ),
            click.option(
                "--provider",
                "providers",
                metavar="NAME",
                multiple=True,
                help="Of a .onnx file: onnxruntime's execution provider, e.g. "
                "CUDAExecutionProvider:device_id=0. Repeatable, the preferred one first. "
                "Default: the CPU.",
            ),
        )
    ):
        decorated = option(decorated)
    return decorated  # type: ignore[no-any-return]
