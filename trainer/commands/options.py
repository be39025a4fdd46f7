"""The options that make up the configuration, shared by the commands that need one."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import click

_Command = TypeVar("_Command", bound=Callable[..., Any])

#: Options that stand for a key of the configuration.
KEYS = {
    "backbone": "model.backbone",
    "weights": "model.weights",
    "fine_tune_at": "model.fine_tune_at",
    "image_size": "image.size",
    "batch_size": "batch_size",
    "head_epochs": "head.epochs",
    "finetune_epochs": "finetune.epochs",
    "group_by": "data.group_by",
    "seed": "seed",
    "strategy": "strategy",
}

_SOURCES = (
    click.option(
        "--preset",
        metavar="NAME",
        help="Values of a shipped preset, see `edge-train config --list`; --config goes over it.",
    ),
    click.option(
        "--config", metavar="FILE", help="YAML file, or the name of a shipped preset such as demo."
    ),
    click.option(
        "--set",
        "assignments",
        multiple=True,
        metavar="KEY=VALUE",
        help="Any key of the configuration, e.g. head.learning_rate=0.001. Goes over all else.",
    ),
)

_KEYS = (
    click.option("--backbone", metavar="NAME", help="Network. Default: efficientnetb0."),
    click.option(
        "--weights",
        metavar="SOURCE",
        help="imagenet (downloaded once), none (from scratch), or a weights file. Default: imagenet.",
    ),
    click.option(
        "--image-size", type=int, metavar="PIXELS", help="Input size. Default: the backbone's."
    ),
    click.option("--batch-size", type=int, metavar="N", help="Photos a step. Default: 32."),
    click.option(
        "--head-epochs", type=int, metavar="N", help="Epochs of phase 1, the head. Default: 8."
    ),
    click.option(
        "--finetune-epochs",
        type=int,
        metavar="N",
        help="Epochs of phase 2. Default: 10. From scratch both add up.",
    ),
    click.option(
        "--fine-tune-at",
        callback=lambda *given: parse_layer(given[-1]),
        metavar="LAYER",
        help="First backbone layer that phase 2 trains: an index such as 100, a share of the layers such "
        "as 0.7, or the beginning of a name such as block5. Default: the backbone's own, see "
        "`edge-train backbones`.",
    ),
    click.option(
        "--group-by",
        metavar="REGEX",
        help="Photos for whose names this matches the same text, e.g. '^([^_]+)_', stay in one part "
        "(of crossval: in one fold).",
    ),
    click.option("--seed", type=int, metavar="N", help="Of everything random. Default: 0."),
    click.option(
        "--strategy",
        metavar="NAME",
        help="Devices that share a batch: none, mirrored (of this machine), multi-worker (of several "
        "processes, with KERAS_BACKEND=jax), or auto (the GPUs of this machine). Default: auto.",
    ),
)


def source_options(command: _Command) -> _Command:
    """Give a command ``preset``, ``config`` and ``assignments``."""
    return _with(_SOURCES, command)


def config_options(command: _Command) -> _Command:
    """Give a command :func:`source_options` and the options of :data:`KEYS`."""
    return source_options(_with(_KEYS, command))


def _with(options: Sequence[Callable[[_Command], _Command]], command: _Command) -> _Command:
    for option in reversed(options):
        command = option(command)
    return command


def given_keys(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of :data:`KEYS` as :func:`trainer.config.io.load_config` takes them."""
    return {KEYS[name]: value for name, value in options.items()}


def parse_layer(text: str | None) -> int | float | str | None:
    """Read a layer: ``100`` is an index, ``0.7`` a share, all else a name."""
    if text is None:
        return None
    for number in (int, float):
        with contextlib.suppress(ValueError):
            return number(text)
    return text
