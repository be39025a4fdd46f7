"""Several options of a command, handed to it as one object."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import click

Decorator = Callable[[Any], Any]


@dataclass(frozen=True)
class Choice:
    """What was said in the options of one kind, by name; nothing is imported or opened yet."""

    values: dict[str, Any]


def packed(
    parameter: str, options: Sequence[Decorator], choice: type[Choice]
) -> Callable[[click.decorators.FC], click.decorators.FC]:
    """A decorator that adds options and gives the command a choice as one parameter.

    Args:
        parameter: Name of the command's parameter.
        options: ``click.option(...)`` each, in the order of the help; their parameters' names begin
            with ``parameter`` and an underscore, which the choice's values do not show.
        choice: What the command is given.
    """
    prefix = f"{parameter}_"

    def decorate(function: click.decorators.FC) -> click.decorators.FC:
        inner = cast("Callable[..., Any]", function)

        @functools.wraps(inner)
        def command(*args: Any, **kwargs: Any) -> Any:
            names = [name for name in kwargs if name.startswith(prefix)]
            values = {name[len(prefix) :]: kwargs.pop(name) for name in names}
            return inner(*args, **{parameter: choice(values)}, **kwargs)

        wrapped: Callable[..., Any] = command
        for option in reversed(options):
            wrapped = option(wrapped)
        return cast("click.decorators.FC", wrapped)

    return decorate
