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
    from ..result import Result

_log = logging.getLogger("benchmarks")


def present(result: Result, wishes: Wishes) -> None:
    """Write the files that were asked for, then the table (or JSON) to stdout.

    Args:
        result: With its verdict, see :func:`conclude`.
        wishes: See :class:`Wishes`; :meth:`Wishes.check` before the result was made.

    Raises:
        OutputExists: A file is there and may not be replaced.
        SystemFailure: It cannot be written.
    """
    for out in wishes.outs:
        write_text(as_text(result, form_of(out)), out, wishes.overwrite)
    if wishes.as_json:
        sys.stdout.write(as_text(result, "json"))
        sys.stdout.flush()
    else:
        from .terminal import print_table

        print_table(result, sys.stdout)


def conclude(result: Result, wishes: Wishes) -> None:
    """All that follows measuring: the verdict, showing, and the bundle's choice.

    Args:
        result: Gets its verdict here.
        wishes: See :class:`Wishes`.

    Raises:
        CheckFailed: Limits were given and no row holds them, or a choice was to be saved and
            nothing is recommended.
        UsageError, OutputExists, SystemFailure: Something cannot be written.
    """
    from edge_runtime.errors import CheckFailed

    from ..choosing import save_choice, stated_accuracy
    from ..verdict import decide

    verdict = decide(result, wishes.limits, stated_accuracy(result))
    result["verdict"] = verdict
    present(result, wishes)
    if verdict["recommended"] is None:
        if wishes.limits.given() or wishes.save_choice:
            kept = " No choice was saved." if wishes.save_choice else ""
            raise CheckFailed(verdict["reason"] + kept)
    elif wishes.save_choice:
        file, choice = save_choice(result)
        count = "" if choice.threads is None else f", {choice.threads} threads"
        _log.info("%s: --format auto takes %s%s on this board.", file, choice.format, count)


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
