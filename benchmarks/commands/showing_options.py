"""The options of ``edge-bench`` that say what is asked of the rows, and where findings go."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, cast

import click
from click.core import ParameterSource

from edge_runtime.console import json_option, overwrite_option

#: As in :mod:`benchmarks.verdict`, which the help does not have to load.
_PERCENTILES = ("p50", "p90", "p95", "p99")

_ABOVE_ZERO = click.FloatRange(0, min_open=True)

_OPTIONS: tuple[Callable[[Any], Any], ...] = (
    click.option(
        "--max-latency-ms",
        type=_ABOVE_ZERO,
        metavar="MS",
        help="What an inference may take, at the --percentile.",
    ),
    click.option(
        "--percentile",
        type=click.Choice(_PERCENTILES),
        default="p90",
        show_default=True,
        help="Of the latency that the verdict compares; p90 is MLPerf's for one stream.",
    ),
    click.option(
        "--min-accuracy",
        type=click.FloatRange(0, 1),
        metavar="SHARE",
        help="Least share of right answers, 0 to 1: on --data, else as the bundle states it.",
    ),
    click.option(
        "--max-memory-mb", type=_ABOVE_ZERO, metavar="MB", help="Peak memory of the process."
    ),
    click.option("--max-size-mb", type=_ABOVE_ZERO, metavar="MB", help="Size of the model file."),
    click.option(
        "--save-choice",
        is_flag=True,
        help="Write what is recommended into the bundle, as this board's choice: "
        "`edge-classify --format auto` takes it, with its threads.",
    ),
    json_option("Print one JSON object on stdout, and nothing else there."),
    click.option(
        "--out",
        "outs",
        metavar="FILE",
        multiple=True,
        help="Write a file: .json (everything), .csv, .md or .html (a page). Repeatable.",
    ),
    overwrite_option("an existing FILE"),
)


def showing_options(function: click.decorators.FC) -> click.decorators.FC:
    """``--max-latency-ms`` and other limits, ``--save-choice``, ``--json``, ``--out``.

    The command gets all of them as ``wishes``, a :class:`~benchmarks.show.wishes.Wishes`.
    """
    inner = cast("Callable[..., Any]", function)

    @functools.wraps(inner)
    def command(*args: Any, **kwargs: Any) -> Any:
        from ..show.wishes import Wishes
        from ..verdict import Limits

        limits = Limits(
            **{
                name: kwargs.pop(name)
                for name in (
                    "max_latency_ms",
                    "min_accuracy",
                    "max_memory_mb",
                    "max_size_mb",
                    "percentile",
                )
            }
        )
        source = click.get_current_context().get_parameter_source("percentile")
        wishes = Wishes(
            limits=limits,
            percentile_named=source is not ParameterSource.DEFAULT,
            **{name: kwargs.pop(name) for name in ("as_json", "outs", "overwrite", "save_choice")},
        )
        return inner(*args, wishes=wishes, **kwargs)

    wrapped: Callable[..., Any] = command
    for option in reversed(_OPTIONS):
        wrapped = option(wrapped)
    return cast("click.decorators.FC", wrapped)
