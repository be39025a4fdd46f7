"""Figures as text for a terminal."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any


def format_metrics_table(metrics: Mapping[str, Any], title: str) -> str:
    """Figures of :func:`trainer.evaluation.metrics.classification_metrics` as text for a terminal.

    Args:
        metrics: The figures; with those that :func:`trainer.evaluation.evaluate.evaluate_run` adds, there
            are lines about calibration, the "unknown" threshold and suspected label errors, too.
        title: First words of the first line, e.g. ``validation``.

    Returns:
        Lines without a line feed at the end: totals, then a row for each class.
    """
    right = sum(row[index] for index, row in enumerate(metrics["confusion_matrix"]))
    lines = [
        f"{title}: accuracy {metrics['accuracy']:.1%} ({right} of {metrics['n']} photos), "
        f"log loss {metrics['log_loss']:.3f}, macro F1 {metrics['macro_f1']:.3f}",
        ", ".join(_more_figures(metrics)),
    ]
    lines += table(
        ("class", "precision", "recall", "F1", "photos"),
        (
            (name, *(f"{row[key]:.3f}" for key in ("precision", "recall", "f1")), row["support"])
            for name, row in metrics["per_class"].items()
        ),
    )
    if unknown := metrics.get("unknown"):
        accuracy = unknown["accuracy"]
        of_these = "none of them" if accuracy is None else f"{accuracy:.1%} of these"
        lines.append(
            f"unknown below {unknown['threshold']:.4f}: {unknown['coverage']:.1%} answered, "
            f"{of_these} right"
        )
    lines += label_error_lines(metrics.get("label_errors"))
    return "\n".join(lines)


def label_error_lines(label_errors: Mapping[str, Any] | None) -> list[str]:
    """A line about suspected label errors; none where there are none.

    Args:
        label_errors: Of :func:`trainer.evaluation.label_errors.describe_suspects`; None: unknown.
    """
    if not label_errors or not label_errors["suspects"]:
        return []
    first = label_errors["suspects"][0]
    return [
        f"{label_errors['count']} suspected label errors, the surest {first['path']}: labelled "
        f"{first['label']}, rather {first['suggestion']}"
    ]


def table(heading: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """Lines of a table: the first column begins, the others end, one below the other.

    Args:
        heading: Of each column.
        rows: A cell for each column.
    """
    cells = [[str(cell) for cell in row] for row in (heading, *rows)]
    widths = [max(map(columns, column)) for column in zip(*cells, strict=True)]
    return [
        "  ".join(
            [pad(first, widths[0])]
            + [
                " " * (width - columns(cell)) + cell
                for cell, width in zip(others, widths[1:], strict=True)
            ]
        )
        for first, *others in cells
    ]


def columns(text: str) -> int:
    """Columns that a text takes on a terminal: Chinese letters two, accents of their own none."""
    return sum(
        0 if unicodedata.combining(letter) else 1 + (unicodedata.east_asian_width(letter) in "FW")
        for letter in text
    )


def pad(text: str, width: int) -> str:
    """A text with blanks behind it, to a number of columns on a terminal."""
    return text + " " * (width - columns(text))


def cut(text: str, width: int) -> str:
    """A text that takes at most a number of columns; an ellipsis stands for what was cut off."""
    if columns(text) <= width:
        return text
    while text and columns(text) >= width:
        text = text[:-1]
    return text + "…"


def _more_figures(metrics: Mapping[str, Any]) -> list[str]:
    interval = metrics["accuracy_interval"]
    found = [f"95 % interval {interval['low']:.1%} to {interval['high']:.1%}"]
    found += [f"top-{k} {share:.1%}" for k, share in metrics["top_k"].items()]
    found.append(f"balanced accuracy {metrics['balanced_accuracy']:.1%}")
    if metrics["macro_roc_auc"] is not None:
        found.append(f"ROC-AUC {metrics['macro_roc_auc']:.3f}")
    if both := metrics.get("calibration"):
        after = both["calibrated"]
        before = f" ({both['raw']['ece']:.1%} before the temperature)" if after else ""
        found.append(f"ECE {(after or both['raw'])['ece']:.1%}{before}")
    return found
