"""``edge-train check``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from edge_runtime.console import EdgeCommand, json_option, print_json
from edge_runtime.errors import DatasetError, UsageError, shell_command

if TYPE_CHECKING:
    from ..doctor.examine import Examination
    from ..doctor.quarantine import Move


@click.command(cls=EdgeCommand, example="edge-train check photos/ --quarantine photos-aside")
@click.argument("data", metavar="[DATA]", required=False)
@click.option(
    "--quarantine",
    "aside",
    metavar="DIR",
    help="Move what errors name to DIR, with a log; nothing is deleted. Not inside DATA.",
)
@click.option(
    "--include",
    "kinds",
    multiple=True,
    metavar="FINDING",
    help="With --quarantine: move this finding, too, e.g. duplicate or animated. May be repeated.",
)
@click.option(
    "--undo",
    "undone",
    metavar="DIR",
    help="Move everything in the quarantine DIR back to where it lay (or below DATA, if given).",
)
@json_option()
def check(
    data: str | None,
    aside: str | None,
    kinds: tuple[str, ...],
    undone: str | None,
    as_json: bool,
) -> None:
    """Examine the photos in DATA before a training.

    DATA holds train/, val/ and test/, or a folder for each class. Every photo is read and decoded
    as fit does it. Errors are what would spoil a training or its figures: with one that is not
    quarantined, the exit code is 3. Nothing is changed without --quarantine, and
    "edge-train check --undo DIR" puts everything back.
    """
    if undone is not None:
        if aside is not None or kinds:
            raise UsageError("--undo goes with neither --quarantine nor --include.")
        _undo(undone, data, as_json)
        return
    if data is None:
        raise UsageError("Expected DATA, a folder of photos; see edge-train check --help.")
    if kinds and aside is None:
        raise UsageError("--include chooses what --quarantine DIR moves; it is not given.")
    _check(data, aside, kinds, as_json)


def _check(data: str, aside: str | None, kinds: tuple[str, ...], as_json: bool) -> None:
    from ..doctor.examine import examine
    from ..doctor.findings import KINDS
    from ..doctor.quarantine import check_place, movable, quarantine
    from ..doctor.report import print_report

    for kind in kinds:
        if kind not in KINDS:
            raise UsageError(f"--include {kind}: no such finding. There are: {', '.join(KINDS)}.")
    if aside is not None:
        check_place(aside, data)
    examination = examine(data)
    moves: list[Move] = []
    if not as_json:
        print_report(examination)
    if aside is not None:
        moves = quarantine(data, aside, movable(examination.findings, kinds))
    if as_json:
        moved = {} if aside is None else {"quarantine": aside, "moved": _as_list(moves)}
        print_json({**examination.as_dict(), **moved})
    elif aside is not None:
        back = shell_command("edge-train", "check", "--undo", aside)
        click.echo(f"{aside}: {len(moves)} files moved here. Back again: {back}")
    _fail_if_errors(examination, moves)


def _fail_if_errors(examination: Examination, moves: list[Move]) -> None:
    gone = {move.source for move in moves}
    left = 0
    for found in examination.findings:
        cured = found.movable and gone.issuperset(found.movable)
        left += found.severity == "error" and not cured
    if left:
        hint = "" if moves else " --quarantine DIR moves unreadable photos and copies away."
        raise DatasetError(
            f"{examination.folder}: {left} error{'s' * (left != 1)} that would spoil a training or "
            f"its figures.{hint}"
        )


def _undo(folder: str, data: str | None, as_json: bool) -> None:
    from ..doctor.quarantine import require_all, undo

    back, stay = undo(folder, data)
    if as_json:
        failed = [{"path": path, "error": reason} for path, reason in stay]
        print_json({"quarantine": folder, "moved_back": _as_list(back), "failed": failed})
    else:
        click.echo(f"{folder}: {len(back)} files moved back.")
    require_all(stay)


def _as_list(moves: list[Move]) -> list[dict[str, str]]:
    return [move.as_dict() for move in moves]
