"""Options of the state file, and the check that reads one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from .packing import Choice, packed

if TYPE_CHECKING:
    from ...stream.state_file import StateFile
    from ...stream.status import Status

_GIVEN = "edge.check_state"


class StateChoice(Choice):
    """What was said about it."""

    def open(self, status: Status) -> StateFile | None:
        """The state file, if it was asked for.

        Raises:
            UsageError: It is no file.
            SystemFailure: It cannot be written.
        """
        path = self.values["path"]
        if path is None:
            return None
        from ...stream.state_file import StateFile

        return StateFile(path, status)


def _check(context: click.Context, option: click.Parameter, value: Any) -> Any:
    """Answer instead of running; eager, so that neither a model nor a source is asked for.

    click calls it for both options, in the order in which they were typed: the second has both.
    """
    given = context.meta.setdefault(_GIVEN, {})
    given[option.name] = value
    if len(given) < 2 or given["state_check"] is None or context.resilient_parsing:
        return value
    from ...alive import check_state

    works, said = check_state(given["state_check"], given["state_max_age"])
    click.echo(said)
    context.exit(0 if works else 1)


state_options = packed(
    "state",
    (
        click.option(
            "--state",
            "state_path",
            metavar="FILE",
            help="Keep a small JSON file about the run, replaced about once a second.",
        ),
        click.option(
            "--check-state",
            "state_check",
            metavar="FILE",
            is_eager=True,
            expose_value=False,
            callback=_check,
            help="Do nothing but look at such a file: exit code 0 if that run works, 1 if not.",
        ),
        click.option(
            "--max-age",
            "state_max_age",
            type=click.FloatRange(0, min_open=True),
            default=10.0,
            show_default=True,
            metavar="SECONDS",
            is_eager=True,
            expose_value=False,
            callback=_check,
            help="With --check-state: how old the file and the last answer may be.",
        ),
    ),
    StateChoice,
)
