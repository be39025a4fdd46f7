"""What was measured, for people and for programs."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass

from edge_runtime.console import print_json
from edge_runtime.errors import UsageError
from edge_runtime.files import atomic_file, refuse_existing

from ..result import Result


@dataclass(frozen=True)
class Wishes:
    """Where the findings go.

    Attributes:
        as_json: Whether standard output gets JSON and nothing else.
        out: File for the same JSON.
        overwrite: Whether it may replace one that is there.
    """

    as_json: bool = False
    out: str | None = None
    overwrite: bool = False

    def check(self) -> None:
        """Refuse, before minutes of measuring, what could not be shown after them.

        Raises:
            UsageError: ``out`` is a folder, or exists and may not be replaced.
            MissingComponent: The table cannot be printed.
        """
        from .table import require_rich

        if self.out is not None:
            if os.path.isdir(self.out):
                raise UsageError(f"--out {self.out}: is a folder; a file name was expected.")
            refuse_existing(self.out, self.overwrite)
        if not self.as_json:
            require_rich()


def present(result: Result, wishes: Wishes) -> None:
    """Print a result, and write it to the file that was asked for."""
    from .table import print_table

    if wishes.as_json:
        print_json(result, indent=2)
    else:
        print_table(result, sys.stdout)
    if wishes.out is not None:
        with atomic_file(wishes.out, wishes.overwrite) as temporary:
            temporary.write_text(json.dumps(result, indent=2) + "\n", encoding="ascii")
