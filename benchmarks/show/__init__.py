"""A result for people and programs: table, JSON, CSV, Markdown, and a page in one file."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from .wishes import Wishes as Wishes
from .wishes import form_of

if TYPE_CHECKING:
    from ..result import Result, Verdict

_log = logging.getLogger("benchmarks")


def present(result: Result, wishes: Wishes) -> None:
    """What follows measuring: the verdict, the files, the table (or JSON) on stdout.

    What cannot be written keeps nothing else from being shown: it is raised in the end.

    Args:
        result: Gets a verdict here, unless it has one and no limit is asked for.
        wishes: See :class:`Wishes`; call :meth:`Wishes.check` before the result is made.

    Raises:
        OutputExists: A file is there and may not be replaced.
        SystemFailure: Something cannot be written.
    """
    from ..verdict import Limits, decide

    verdict = result["verdict"]
    if verdict is None or wishes.limits != Limits() or _asks_for_another(wishes, verdict):
        from ..choosing import stated_accuracy

        verdict = decide(result, wishes.limits, stated_accuracy(result))
        result["verdict"] = verdict
    failures = _write_files(result, wishes)
    if wishes.as_json:
        sys.stdout.write(as_text(result, "json"))
        sys.stdout.flush()
    else:
        from .terminal import print_table

        print_table(result, sys.stdout)
    if failures:
        raise failures[0]


def _asks_for_another(wishes: Wishes, verdict: Verdict) -> bool:
    """Whether a percentile was named that a verdict did not compare."""
    return wishes.percentile_named and wishes.limits.percentile != verdict["percentile"]


def save(result: Result, wishes: Wishes) -> None:
    """Write what is recommended into its bundle, if that was asked for; after :func:`present`.

    Raises:
        UsageError: What is recommended belongs to no bundle, or to one that changed since.
        BundleError: The bundle, or the choices in it, are damaged.
        SystemFailure: It cannot be written.
    """
    verdict = result["verdict"]
    if wishes.save_choice and verdict is not None and verdict["recommended"] is not None:
        _save(result)


def _write_files(result: Result, wishes: Wishes) -> list[Exception]:
    """Write each file that can be written; what became of the others, all but the first logged."""
    failures: list[Exception] = []
    # The JSON first: the others can be made of it, and it of none of them.
    for out in sorted(wishes.outs, key=lambda out: form_of(out) != "json"):
        try:
            write_text(as_text(result, form_of(out)), out, wishes.overwrite)
        except Exception as error:  # minutes of measuring are not lost to one form's fault
            if failures:
                _log.warning("%s was not written: %s", out, error)
            failures.append(error)
    return failures


def raise_verdict(result: Result, wishes: Wishes) -> None:
    """End with exit code 4 if what was asked for does not exist; call it after :func:`present`.

    Raises:
        CheckFailed: Limits were given and no row holds them, or a choice was to be saved and
            nothing is recommended.
    """
    from edge_runtime.errors import CheckFailed

    verdict = result["verdict"]
    if verdict is None or verdict["recommended"] is not None:
        return
    if wishes.save_choice:
        raise CheckFailed(f"{verdict['reason']} No choice was saved.")
    if wishes.limits.given():
        raise CheckFailed(verdict["reason"])


def _save(result: Result) -> None:
    from ..choosing import board_of, save_choice

    file, choice = save_choice(result)
    if result["reasons"]:
        _log.warning("the run as a whole is INVALID; measure again when the machine is quiet.")
    count = choice.threads
    threads = "" if count is None else f", {count} thread{'' if count == 1 else 's'}"
    board = board_of(result["machine"])
    _log.info("%s: --format auto takes %s%s on %s.", file, choice.format, threads, board)


def as_text(result: Result, form: str) -> str:
    """A result in one of the forms of files.

    Args:
        result: It.
        form: A value of :data:`benchmarks.show.wishes.FORMS`.
    """
    return _forms()[form](result)


def write_text(text: str, out: str, overwrite: bool) -> None:
    """Write a file that takes its name when all of it is there; line ends stay as they are.

    Raises:
        OutputExists: It is there and may not be replaced.
        SystemFailure: It cannot be written.
    """
    from edge_runtime.files import atomic_file

    # Bytes of names that are no UTF-8 would make a file that readers refuse.
    content = text.encode("utf-8", errors="backslashreplace")
    with atomic_file(out, overwrite) as temporary:
        temporary.write_bytes(content)
    _log.info("wrote %s", out)


def _forms() -> Mapping[str, Callable[[Result], str]]:
    def as_json(result: Mapping[str, Any]) -> str:
        return json.dumps(result, indent=2) + "\n"

    def as_csv(result: Result) -> str:
        from .spreadsheet import csv_text

        return csv_text(result)

    def as_markdown(result: Result) -> str:
        from .markdown import markdown_text

        return markdown_text(result)

    def as_html(result: Result) -> str:
        from .page import render

        return render(result)

    return {"json": as_json, "csv": as_csv, "markdown": as_markdown, "html": as_html}
