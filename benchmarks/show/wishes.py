"""What a user wants to see of a result, and where."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field

from edge_runtime.errors import SystemFailure, UsageError, missing_package
from edge_runtime.files import refuse_existing

from ..verdict import Limits

#: Forms by the extension of ``--out``.
FORMS = {".json": "json", ".csv": "csv", ".md": "markdown", ".html": "html"}


@dataclass(frozen=True)
class Wishes:
    """What to show; the options of :mod:`benchmarks.commands.showing_options`."""

    as_json: bool = False  #: JSON on stdout in place of the table
    outs: tuple[str, ...] = ()  #: files; the extension says what is written
    overwrite: bool = False  #: whether existing ones may be replaced
    limits: Limits = field(default_factory=Limits)
    percentile_named: bool = False  #: whether the percentile of ``limits`` was asked for
    save_choice: bool = False  #: whether the recommended row becomes the board's choice

    def check(
        self,
        subjects: Iterable[str] = (),
        delegates: Iterable[str] = (),
        providers: Iterable[str] = (),
    ) -> None:
        """Refuse, before minutes of measuring, what could not be written after them.

        Args:
            subjects: The bundles or files that will be measured.
            delegates: That they will be measured with, the default left out.
            providers: Likewise.

        Raises:
            UsageError: A file of ``outs`` has no form, is a folder, is named twice, or exists and
                may not be replaced; or no choice can be written into a subject, or name a delegate.
            BundleError: The choices that a subject has are damaged.
            SystemFailure: The folder of one of them cannot be written to.
            MissingComponent: A package that the wishes need is not installed.
        """
        places = [os.path.realpath(out) for out in self.outs]
        for out, place in zip(self.outs, places, strict=True):
            if os.path.isdir(out):
                raise UsageError(f"--out {out}: is a folder; a file name was expected.")
            form = form_of(out)
            if places.count(place) > 1:
                raise UsageError(f"--out {out}: is named twice.")
            refuse_existing(out, self.overwrite)
            _check_folder(out)
            if form == "html":
                from .page import check_page

                check_page()
        if not self.as_json:
            require_rich()
        if self.save_choice:
            from ..choosing import check_nameable, check_saveable

            check_nameable(delegates, providers)
            for subject in subjects:
                check_saveable(subject)


def _check_folder(out: str) -> None:
    """Raise SystemFailure unless a file can be made there; missing folders will be made."""
    folder = os.path.dirname(os.path.abspath(out))
    while not os.path.lexists(folder):
        folder = os.path.dirname(folder)
    if not os.path.isdir(folder):
        raise SystemFailure(f"--out {out}: {folder} is no folder.")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise SystemFailure(f"--out {out}: {folder} may not be written to.")


def form_of(out: str) -> str:
    """The form of a file by its extension.

    Raises:
        UsageError: It has none that is written.
    """
    form = FORMS.get(os.path.splitext(out)[1].lower())
    if form is None:
        known = ", ".join(FORMS)
        raise UsageError(f"--out {out}: expected a name that ends with one of {known}.")
    return form


def require_rich() -> None:
    """Raise MissingComponent if a table cannot be printed."""
    try:
        import rich  # noqa: F401  # loaded where it prints
    except ImportError as error:
        raise missing_package("rich", "bench", "print the table (or use --json)") from error
