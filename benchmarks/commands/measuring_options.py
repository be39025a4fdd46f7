"""The options of ``edge-bench run`` that say what is measured, and how long."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import click

from edge_runtime.commands.settings_options import settings_options
from edge_runtime.errors import UsageError

if TYPE_CHECKING:
    from ..measuring.run import Settings

_MAX_THREADS = 256

_OPTIONS: tuple[tuple[tuple[str, ...], dict[str, Any]], ...] = (
    (
        ("--threads",),
        {
            "metavar": "N,N",
            "help": "Thread counts, with commas. Default: 1 and the usable cores, at most 4.",
        },
    ),
    (("--formats",), {"metavar": "FMT,FMT", "help": "Formats of a bundle, with commas."}),
    (
        ("--interpreters",),
        {
            "metavar": "NAME,NAME",
            "help": "litert, tflite-runtime, tensorflow, onnxruntime, or all: each that is "
            "installed. Default: the one that would be used.",
        },
    ),
    (
        ("--delegate", "delegates"),
        {
            "metavar": "NAME",
            "multiple": True,
            "help": "Of .tflite files, as edge-classify takes it: edgetpu, gpu, xnnpack, none, a "
            "library. Repeatable: rows for each; `default` for the interpreter's own.",
        },
    ),
    (
        ("--provider", "providers"),
        {
            "metavar": "NAME",
            "multiple": True,
            "help": "Of .onnx files, as edge-classify takes it. Repeatable: rows for each; "
            "`default` for the CPU.",
        },
    ),
    (
        ("--rounds",),
        {
            "type": click.IntRange(1, 1000),
            "default": 5,
            "show_default": True,
            "help": "How often each configuration is measured, in processes of its own.",
        },
    ),
    (
        ("--min-seconds",),
        {
            "type": click.FloatRange(0),
            "default": 5.0,
            "show_default": True,
            "help": "Least time that each configuration is timed for, over all rounds.",
        },
    ),
    (
        ("--min-runs",),
        {
            "type": click.IntRange(1),
            "default": 100,
            "show_default": True,
            "help": "Least number of timed inferences of each configuration, over all rounds.",
        },
    ),
    (
        ("--throughput/--no-throughput",),
        {
            "default": True,
            "show_default": True,
            "help": "Inferences a second, too: batches, and streams side by side.",
        },
    ),
    (
        ("--streams",),
        {
            "metavar": "N,N",
            "help": "Streams, each with an interpreter of its own. Default: 1, and as many as "
            "there are cores for.",
        },
    ),
    (
        ("--batch",),
        {
            "metavar": "N,N",
            "help": "Photos in one run, of models that take several. Default: 16 where any number "
            "is taken.",
        },
    ),
    (
        ("--profile",),
        {"is_flag": True, "help": "Time by type of operator, of .onnx files (a run more)."},
    ),
    (
        ("--pin",),
        {"metavar": "CPUS", "help": "CPUs for the measured processes, such as 0,2-3."},
    ),
    (
        ("--cooldown",),
        {
            "type": click.FloatRange(0, 3600),
            "default": 0.0,
            "show_default": True,
            "help": "Seconds of rest between rounds.",
        },
    ),
    (
        ("--cool-to",),
        {
            "type": click.FloatRange(0, 150),
            "metavar": "CELSIUS",
            "help": "Rest between rounds until the board is no warmer; ten minutes at most.",
        },
    ),
    (
        ("--max-interval",),
        {
            "type": click.FloatRange(0, min_open=True),
            "default": 5.0,
            "show_default": True,
            "metavar": "PERCENT",
            "help": "A row whose median has a wider interval is INVALID.",
        },
    ),
    (
        ("--max-load",),
        {
            "type": click.FloatRange(0, 100),
            "default": 5.0,
            "show_default": True,
            "metavar": "PERCENT",
            "help": "A row is INVALID if other processes used more of all cores meanwhile.",
        },
    ),
    (
        ("--seed",),
        {
            "type": int,
            "default": 0,
            "show_default": True,
            "help": "Of the order of the configurations, which each round shuffles.",
        },
    ),
    (
        ("--timeout",),
        {
            "type": click.FloatRange(0, min_open=True),
            "default": 600.0,
            "show_default": True,
            "help": "Seconds after which a process that measures is given up.",
        },
    ),
)


def measuring_options(function: click.decorators.FC) -> click.decorators.FC:
    """The options, given to the command as ``measuring``: a :class:`~..measuring.run.Settings`.

    Those of :func:`~edge_runtime.commands.settings_options.settings_options` are among them.
    """
    inner = cast("Callable[..., Any]", function)
    names = [names[-1].partition("/")[0].lstrip("-").replace("-", "_") for names, _ in _OPTIONS]

    @functools.wraps(inner)
    def command(*args: Any, settings: Any, **kwargs: Any) -> Any:
        values = {name: kwargs.pop(name) for name in names}
        return inner(*args, measuring=_settings(values, settings), **kwargs)

    wrapped: Callable[..., Any] = settings_options(command)
    for declarations, attributes in reversed(_OPTIONS):
        wrapped = click.option(*declarations, **attributes)(wrapped)
    return cast("click.decorators.FC", wrapped)


def _settings(values: dict[str, Any], model: Any) -> Settings:
    from ..measuring.pinning import parse_cpus
    from ..measuring.plan import Choices
    from ..measuring.run import Settings

    given = dict(values)
    counts = {
        name: None if given[name] is None else parse_counts(f"--{name}", given[name])
        for name in ("threads", "streams", "batch")
    }
    lists = {
        name: None if given[name] is None else parse_names(f"--{name}", given[name])
        for name in ("formats", "interpreters")
    }
    pin = given["pin"]
    kept = (
        "rounds", "min_seconds", "min_runs", "throughput", "profile", "cooldown", "cool_to",
        "max_interval", "max_load", "seed", "timeout",
    )  # fmt: skip
    return Settings(
        formats=lists["formats"],
        choices=Choices(
            counts["threads"], lists["interpreters"] or (), given["delegates"], given["providers"]
        ),
        model=model,
        streams=counts["streams"],
        batches=counts["batch"],
        pin=None if pin is None else parse_cpus(pin),
        **{name: given[name] for name in kept},
    )


def parse_counts(option: str, text: str) -> tuple[int, ...]:
    """Numbers of an option, in order, none twice.

    Raises:
        UsageError: Not numbers from 1 to 256.
    """
    try:
        counts = tuple(dict.fromkeys(int(part) for part in text.split(",")))
    except ValueError:
        counts = ()
    if not counts or not all(1 <= count <= _MAX_THREADS for count in counts):
        raise UsageError(
            f"{option} {text}: expected numbers from 1 to {_MAX_THREADS} with commas, e.g. 1,4."
        )
    return counts


def parse_names(option: str, text: str) -> tuple[str, ...]:
    """Names of an option, in order, none twice.

    Raises:
        UsageError: There is none.
    """
    names = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    if not names:
        raise UsageError(f"{option} is empty. Name some with commas, or leave the option out.")
    return names
