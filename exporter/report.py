"""What an export found, as ``parity.json``, as a table, and as an exit code."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import click

from edge_runtime.errors import CheckFailed, missing_package

from .thresholds import is_float

#: What of a row of ``parity.json`` the manifest repeats.
FIGURES = (
    "n", "max_abs_diff", "mean_abs_diff", "p99_abs_diff", "agreement", "agreement_interval",
    "accuracy", "mcnemar_p", "heatmap", "calibration",
)  # fmt: skip

#: What the headings stand for.
_LEGEND = (
    "95 %: interval of the agreement; p: McNemar's test of the accuracies; ECE: calibration error "
    "before>after the file's own temperature; heat: correlation of the heat maps with Grad-CAM"
)

#: Of the table, whatever the terminal: a narrower one breaks lines, but no figure is cut off.
_COLUMNS = 100


def verdict(row: Mapping[str, Any]) -> str:
    """One or two words on a row of the report."""
    if row.get("missing"):
        return "not run"
    if "error" in row:
        return "cannot run"
    if row["passed"]:
        return "ok"
    if row["file"] is None:
        return "left out"
    if row.get("stated_passed"):
        return "FAILS"
    return "accepted" if is_float(row["format"]) else "poor"


def summary(row: Mapping[str, Any]) -> str:
    """One readable line of figures, or the reason why there are none."""
    if "error" in row:
        return f"{row['format']}: {row['error']}"
    figures = (
        f"{row['format']}: largest difference {row['max_abs_diff']:.2g}, agreement "
        f"{row['agreement']:.1%}, accuracy {row['accuracy']:.1%} on {row['n']} photos"
    )
    heatmap = row.get("heatmap") or {}
    if heatmap.get("mean") is not None:
        figures += f", heat maps {heatmap['mean']:.4f}"
    return figures


@dataclass(frozen=True)
class ExportReport:
    """What an export found.

    Attributes:
        bundle: The folder (or zip file) that was written; None if no format could be used.
        default: The format that a device uses when none is asked for; None without a bundle.
        reference: ``n`` and ``accuracy`` of the Keras model on the validation photos.
        artifacts: One row a format, as ``parity.json`` lists them.
        zip: The bundle as one file; None without one.
        serving: Of what was written for servers ``folder``, and ``models``, rows of
            :func:`exporter.serving.layout.fill`; None without.
    """

    bundle: str | None
    default: str | None
    reference: Mapping[str, Any]
    artifacts: Sequence[Mapping[str, Any]]
    zip: str | None = None
    serving: Mapping[str, Any] | None = None

    def to_dict(self) -> dict[str, Any]:
        """The JSON object that ``--json`` prints."""
        return {
            "bundle": self.bundle,
            "zip": self.zip,
            "default": self.default,
            **self.parity(),
            "serving": None if self.serving is None else dict(self.serving),
        }

    def parity(self) -> dict[str, Any]:
        """Contents of ``parity.json``."""
        return {
            "reference": dict(self.reference),
            "artifacts": [dict(row) for row in self.artifacts],
        }

    def kept(self) -> list[Mapping[str, Any]]:
        """Rows of the files that are in the bundle."""
        return [row for row in self.artifacts if row["file"] is not None]

    def sentence(self) -> str:
        """The verdict on all files."""
        passed = [row["format"] for row in self.artifacts if row["passed"]]
        poor = [row["format"] for row in self.artifacts if row["file"] and not row["passed"]]
        out = [row["format"] for row in self.artifacts if not row["file"]]
        text = (
            f"{len(passed)} of {len(self.artifacts)} files answer as the Keras model does on "
            f"{self.reference['n']} validation photos."
        )
        if poor:
            text += f" In the bundle with their figures, though they do not: {', '.join(poor)}."
        if out:
            text += f" Left out: {', '.join(out)}."
        return text

    def warnings(self) -> list[str]:
        """One sentence on each file of the bundle that did not pass, or passed with a doubt."""
        return self._not_passed() + [
            f"{row['format']}: {warning}"
            for row in self.artifacts
            if row["file"] is not None
            for warning in row.get("warnings", ())
        ]

    def _not_passed(self) -> list[str]:
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
        if left_out and self.bundle is None:
            raise NothingPassed(
                f"No format answers as the Keras model does, so no bundle was written: "
                f"{_reasons(left_out)}",
                self,
            )
        places = [(self.bundle, self.artifacts, "formats")]
        if self.serving is not None:
            places.append((self.serving["folder"], self.serving["models"], "models"))
        found = []
        for place, rows, what in places:
            left_out = [row for row in rows if row["file"] is None]
            if left_out:
                found.append(
                    f"{place} was written without {len(left_out)} of {len(rows)} {what}, which "
                    f"do not answer as the Keras model does: {_reasons(left_out)}"
                )
        if found:
            raise CheckFailed(" ".join(found))


def _reasons(rows: Sequence[Mapping[str, Any]]) -> str:
    """Why files were left out, and how to ship them all the same."""
    names = [f"--accept {row['format']}" for row in rows if "error" not in row]
    hint = f" To ship it all the same: {' '.join(names)}." if names else ""
    return f"{'; '.join(map(summary, rows))}.{hint}"


class NothingPassed(CheckFailed):
    """No format could be put into a bundle, so none was written.

    Attributes:
        report: The figures.
    """

    def __init__(self, message: str, report: ExportReport) -> None:
        super().__init__(message)
        self.report = report


def print_table(report: ExportReport) -> None:
    """Print the report as a table on stdout, at most 100 columns wide.

    Raises:
        MissingComponent: rich is not installed.
    """
    print_rows(report.reference, report.artifacts, report.default)
    if report.bundle is not None:
        click.echo(f"{report.bundle}: compared on {report.reference['n']} validation photos")
        if report.zip not in (None, report.bundle):
            click.echo(f"{report.zip}: the same as one file")
        if report.serving is not None:
            _print_serving(report.serving)
        click.echo("* what a device uses when no format is asked for")
        click.echo(_LEGEND)


def _print_serving(serving: Mapping[str, Any]) -> None:
    """Which models a server finds, and by how much they differ from the Keras model."""
    click.echo(f"{serving['folder']}: for servers, with a dynamic batch; see its README.txt")
    for row in serving["models"]:
        difference = row["max_abs_diff"]
        figures = "" if difference is None else f", max diff {difference:.1e}"
        click.echo(f"  {row['server']}/{row['name']}: {verdict(row)}{figures}")


def check_table() -> None:
    """Raise MissingComponent unless a table can be printed."""
    try:
        import rich  # noqa: F401  # loaded where it prints
    except ImportError as error:
        raise missing_package("rich", "verify", "print the table (or use --json)") from error


def print_rows(
    reference: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], default: str | None
) -> None:
    """Print rows of ``parity.json`` below the reference's.

    Raises:
        MissingComponent: rich is not installed.
    """
    check_table()
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("format", no_wrap=True)
    for name in ("MB", "max diff", "agree", "95 %", "accuracy", "p", "ECE %", "heat"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    calibration = _calibration(reference.get("calibration"))
    empty = [""] * 4
    accuracy = _percent(reference["accuracy"])
    table.add_row("keras", *empty, accuracy, "", calibration, "", "reference")
    for row in rows:
        table.add_row(
            f"{row['format']} *" if row["format"] == default else row["format"],
            f"{row['bytes'] / 1e6:.1f}",
            "-" if row["max_abs_diff"] is None else f"{row['max_abs_diff']:.1e}",
            _percent(row["agreement"]),
            _interval(row["agreement_interval"]),
            _percent(row["accuracy"]),
            "-" if row["mcnemar_p"] is None else f"{row['mcnemar_p']:.2f}",
            _calibration(row["calibration"]),
            _correlation(row["heatmap"]),
            verdict(row),
        )
    Console(highlight=False, markup=False, width=_COLUMNS).print(table)


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def _interval(ends: Sequence[float] | None) -> str:
    return "-" if ends is None else f"{100 * ends[0]:.0f}-{100 * ends[1]:.0f}"


def _calibration(figures: Mapping[str, Any] | None) -> str:
    """Calibration error before and after the temperature, in percent."""
    if figures is None:
        return "-"
    before, after = figures["ece_before"], figures["ece_after"]
    shown = [before] if after is None else [before, after]
    return ">".join(f"{100 * value:.1f}" for value in shown)


def _correlation(heatmap: Mapping[str, Any] | None) -> str:
    mean = (heatmap or {}).get("mean")
    # Rounded down: 0.99996 is not 1.
    return "-" if mean is None else f"{math.floor(mean * 1e4) / 1e4:.4f}"
