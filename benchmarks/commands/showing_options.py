"""The options of ``edge-bench`` that say where its findings go."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, cast

import click

from edge_runtime.console import json_option, overwrite_option


def showing_options(function: click.decorators.FC) -> click.decorators.FC:
    """``--json``, ``--out`` and ``--overwrite``, given to the command as ``wishes``.

    The command gets a :class:`~benchmarks.show.Wishes`.
    """
    inner = cast("Callable[..., Any]", function)

    @functools.wraps(inner)
    def command(*args: Any, as_json: bool, out: str | None, overwrite: bool, **kwargs: Any) -> Any:
        from ..show import Wishes

        return inner(*args, wishes=Wishes(as_json, out, overwrite), **kwargs)

    wrapped: Callable[..., Any] = command
    for option in reversed(
        (
            json_option("Print one JSON object on stdout, and nothing else there."),
            click.option(
                "--out", metavar="FILE", help="Write the same JSON object to a file, too."
            ),
            overwrite_option("an existing FILE"),
        )
    ):
        wrapped = option(wrapped)
    return cast("click.decorators.FC", wrapped)
