"""What an export found, as ``parity.json``, as a table, and as an exit code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import click

from edge_runtime.errors import CheckFailed, missing_package

from .parity import is_float


def verdict(row: Mapping[str, Any]) -> str:
    """One or two words on a row of the report."""
    if "error" in row:
        return "cannot run"
    if row["passed"]:
        return "ok"
    if row["file"] is None:
        return "differs, left out"
    return "differs, accepted" if is_float(row["format"]) else "poor"


def summary(row: Mapping[str, Any]) -> str:
    """One readable line of figures, or the reason why there are none."""
    if "error" in row:
        return f"{row['format']}: {row['error']}"
    return (
        f"{row['format']}: largest difference {row['max_abs_diff']:.2g}, agreement "
        f"{row['agreement']:.1%}, accuracy {row['accuracy']:.1%} on {row['n']} photos"
    )


@dataclass(frozen=True)
class ExportReport:
    """What an export found.

    Attributes:
        bundle: The folder that was written; None if no format could be used.
        default: The format that a device uses when none is asked for; None without a bundle.
        reference: ``n`` and ``accuracy`` of the Keras model on the validation photos.
        artifacts: One row a format, as ``parity.json`` lists them.
    """

    bundle: str | None
    default: str | None
    reference: Mapping[str, Any]
    artifacts: Sequence[Mapping[str, Any]]

    def to_dict(self) -> dict[str, Any]:
        """The JSON object that ``--json`` prints."""
        return {"bundle": self.bundle, "default": self.default, **self.parity()}

    def parity(self) -> dict[str, Any]:
        """Contents of ``parity.json``."""
        return {
            "reference": dict(self.reference),
            "artifacts": [dict(row) for row in self.artifacts],
        }

    def warnings(self) -> list[str]:
        """One sentence on each file that is in the bundle although it did not pass."""
        return [
            f"{summary(row)}; the Keras model has {self.reference['accuracy']:.1%}. "
            + (
                "It was accepted all the same."
                if is_float(row["format"])
                else "It is in the bundle with these figures; prefer another format."
            )
            for row in self.artifacts
            if row["file"] is not None and not row["passed"]
        ]

    def check(self) -> None:
        """Raise if a format was left out; what passed is in the bundle all the same.

        Raises:
            NothingPassed: No format is left, so there is no bundle.
            CheckFailed: Some were left out of the bundle.
        """
        left_out = [row for row in self.artifacts if row["file"] is None]
        if not left_out:
            return
        figures = "; ".join(summary(row) for row in left_out)
        names = [f"--accept {row['format']}" for row in left_out if "error" not in row]
        hint = f" To ship it all the same: {' '.join(names)}." if names else ""
        if self.bundle is None:
            raise NothingPassed(
                f"No format answers as the Keras model does, so no bundle was written: "
                f"{figures}.{hint}",
                self,
            )
        raise CheckFailed(
            f"{self.bundle} was written without {len(left_out)} of {len(self.artifacts)} formats, "
            f"which do not answer as the Keras model does: {figures}.{hint}"
        )


class NothingPassed(CheckFailed):
    """No format could be put into a bundle, so none was written.

    Attributes:
        report: The figures.
    """

    def __init__(self, message: str, report: ExportReport) -> None:
        super().__init__(message)
        self.report = report


def print_table(report: ExportReport) -> None:
    """Print the report as a table on stdout.

    Raises:
        MissingComponent: rich is not installed.
    """
    try:
        from rich import box
        from rich.console import Console
        from rich.table import Table
    except ImportError as error:
        raise missing_package("rich", "export", "print the table") from error
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("format", no_wrap=True)
    for name in ("size", "max diff", "agreement", "accuracy"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    table.add_row("keras", "", "", "", f"{report.reference['accuracy']:.1%}", "reference")
    for row in report.artifacts:
        run = "error" not in row
        name = f"{row['format']} *" if row["format"] == report.default else row["format"]
        table.add_row(
            name,
            f"{row['bytes'] / 1e6:.1f} MB",
            f"{row['max_abs_diff']:.1e}" if run else "-",
            f"{row['agreement']:.1%}" if run else "-",
            f"{row['accuracy']:.1%}" if run else "-",
            verdict(row),
        )
    console = Console(highlight=False, markup=False)
    console.print(table)
    if report.bundle is not None:
        click.echo(f"{report.bundle}: compared on {report.reference['n']} validation photos")
        click.echo("* what a device uses when no format is asked for")
