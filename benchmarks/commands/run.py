"""``edge-bench run``."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from edge_runtime.console import EdgeCommand
from edge_runtime.errors import CheckFailed, EdgeError, InputsFailed, MissingComponent

from .measuring_options import measuring_options
from .showing_options import showing_options

if TYPE_CHECKING:
    from ..measuring.run import Outcome, Settings
    from ..result import Result, Row
    from ..show import Wishes

_log = logging.getLogger("benchmarks")


@click.command(
    cls=EdgeCommand,
    example="edge-bench run bundle --data photos/test --threads 1,2 --out bench.json",
)
@click.argument("models", metavar="MODEL...", nargs=-1, required=True)
@click.option(
    "--data", metavar="DIR", help="Folder of class folders: count each file's accuracy on it."
)
@measuring_options
@click.option("--strict", is_flag=True, help="End with exit code 4 if the run or a row is INVALID.")
@showing_options
def run(
    models: tuple[str, ...],
    data: str | None,
    measuring: Settings,
    strict: bool,
    wishes: Wishes,
) -> None:
    """Time, size, memory and accuracy of every file, interpreter and thread count.

    MODEL is a bundle, a .tflite, .onnx or .keras file, a SavedModel or a run directory. Each
    configuration runs in processes of its own, in interleaved rounds. One that crashes is a row with
    its reason; the others go on, and the exit code is 1. A row that was throttled, swapped,
    disturbed, too short or too noisy is INVALID and says why.

    Ctrl-C after the first figures ends the run early: what was measured is shown, written to
    --out, and marked INVALID.
    """
    from ..measuring.run import run as measure
    from ..show import present, save

    choices = measuring.choices
    wishes.check(models, named(choices.delegates), named(choices.providers))
    outcome = measure(models, data, measuring)
    unsaved = None
    try:
        try:
            present(outcome.result, wishes)
        finally:  # a file that cannot be written costs the choice nothing
            try:
                save(outcome.result, wishes)
            except EdgeError as error:
                unsaved = error
        raise_outcome(outcome, wishes, strict)
    except BaseException:
        # What was measured decides the exit code; that the choice was not saved is said all the same.
        if unsaved is not None:
            _log.warning("%s", unsaved)
        raise
    if unsaved is not None:
        raise unsaved


def named(texts: Sequence[str]) -> list[str]:
    """Delegates or providers that were asked for by name."""
    from ..measuring.plan import DEFAULT

    return [text for text in texts if text != DEFAULT]


def raise_outcome(outcome: Outcome, wishes: Wishes, strict: bool) -> None:
    """End with what a run deserves, if that is anything but 0.

    Raises:
        BaseException: What interrupted it.
        InputsFailed: See :func:`raise_failures`.
        MissingComponent: Likewise.
        CheckFailed: No row holds the limits; or, if it has to be valid, the run or a row is not.
    """
    from ..show import raise_verdict

    if outcome.interrupted is not None:
        raise outcome.interrupted
    raise_failures(outcome.result["rows"])
    raise_verdict(outcome.result, wishes)
    if strict:
        raise_invalid(outcome.result)


def raise_failures(rows: Sequence[Row]) -> None:
    """End with the exit code that the rows deserve.

    Raises:
        InputsFailed: A configuration failed.
        MissingComponent: Nothing could be measured, for want of interpreters.
    """
    failed = [row for row in rows if row["status"] == "failed"]
    if failed:
        raise InputsFailed(
            f"{len(failed)} of {len(rows)} configurations failed: "
            + "; ".join(sorted({f"{r['artifact']['format']}: {r['reasons'][0]}" for r in failed}))
        )
    if all(row["status"] == "skipped" for row in rows):
        raise MissingComponent("nothing could be measured. " + rows[0]["reasons"][0])


def raise_invalid(result: Result) -> None:
    """End with exit code 4 unless all is valid.

    Raises:
        CheckFailed: The run, or a row, is invalid.
    """
    invalid = [row for row in result["rows"] if row["status"] == "invalid"]
    if result["status"] == "invalid":
        reasons = [*result["reasons"], *(f"{r['name']}: {r['reasons'][0]}" for r in invalid)]
        raise CheckFailed(f"INVALID, {len(invalid)} of its rows: " + "; ".join(reasons))
