"""Options that say of a model what it does not say itself."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import click

if TYPE_CHECKING:
    from ..settings import ModelSettings

#: As in :mod:`edge_runtime.settings`, which a start without these options does not load.
_NORMALIZATIONS = ("raw", "unit", "symmetric", "imagenet")


def _numbers(_: click.Context, __: click.Parameter, value: str | None) -> Any:
    if value is None:
        return None
    from ..foreign.sidecar import parse_numbers

    return _parsed(parse_numbers, value)


def _size(_: click.Context, __: click.Parameter, value: str | None) -> Any:
    if value is None:
        return None
    from ..foreign.sidecar import parse_size

    return _parsed(parse_size, value)


def _parsed(parse: Callable[[Any], Any], value: str) -> Any:
    try:
        return parse(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def _choice(*values: str) -> click.Choice[str]:
    return click.Choice(values, case_sensitive=False)


#: In front of the parameters' names, so that a command may have an ``--output`` of its own.
_PREFIX = "model_"

#: Declarations of the options; the second is the field of ModelSettings.
_OPTIONS: tuple[tuple[tuple[str, str], dict[str, Any]], ...] = (
    (
        ("--labels", "labels"),
        {"metavar": "FILE", "help": "Class names of a model that has none, one a line."},
    ),
    (
        ("--normalization", "normalization"),
        {
            "type": _choice(*_NORMALIZATIONS),
            "help": "What a model of others takes for pixels: raw (0 to 255), unit (0 to 1), "
            "symmetric (-1 to 1), imagenet (mean and deviation of ImageNet).",
        },
    ),
    (
        ("--mean", "mean"),
        {
            "callback": _numbers,
            "metavar": "N[,N,N]",
            "help": "In its place: what is subtracted from pixel values 0 to 255.",
        },
    ),
    (
        ("--std", "std"),
        {"callback": _numbers, "metavar": "N[,N,N]", "help": "What the rest is divided by."},
    ),
    (
        ("--layout", "layout"),
        {
            "type": _choice("NHWC", "NCHW"),
            "metavar": "[NHWC|NCHW]",  # click would write them small
            "help": "Order of the input's dimensions. Default: found in its shape.",
        },
    ),
    (
        ("--channel-order", "color"),
        {
            "type": _choice("RGB", "BGR"),
            "metavar": "[RGB|BGR]",
            "help": "Order of its colours. Default: RGB.",
        },
    ),
    (
        ("--fit", "fit"),
        {
            "type": _choice("crop", "stretch", "pad"),
            "help": "How a photo is brought to the input's shape. Default: crop.",
        },
    ),
    (
        ("--kernel", "kernel"),
        {"type": _choice("bilinear", "bicubic"), "help": "How it is resized. Default: bilinear."},
    ),
    (
        ("--output-kind", "output"),
        {
            "type": _choice("probabilities", "logits"),
            "help": "What its scores are. Default: found in the graph.",
        },
    ),
    (
        ("--input-size", "size"),
        {"callback": _size, "metavar": "WxH", "help": "Pixels, of a model that takes any size."},
    ),
)


def settings_options(function: click.decorators.FC) -> click.decorators.FC:
    """``--labels``, ``--normalization`` and so on, given to the command as ``settings``.

    The command gets a :class:`~edge_runtime.settings.ModelSettings`, or None without any of them.
    """
    inner = cast("Callable[..., Any]", function)

    @functools.wraps(inner)
    def command(*args: Any, **kwargs: Any) -> Any:
        values = {field: kwargs.pop(_PREFIX + field) for (_, field), _ in _OPTIONS}
        return inner(*args, settings=_settings(values), **kwargs)

    wrapped: Callable[..., Any] = command
    for (name, field), attributes in reversed(_OPTIONS):
        wrapped = click.option(name, _PREFIX + field, **attributes)(wrapped)
    return cast("click.decorators.FC", wrapped)


def _settings(values: dict[str, Any]) -> ModelSettings | None:
    given = {field: value for field, value in values.items() if value is not None}
    if not given:
        return None
    from ..settings import ModelSettings

    if "labels" in given:
        from ..foreign.sidecar import read_labels

        given["labels"] = read_labels(given["labels"])
    return ModelSettings(**given)
