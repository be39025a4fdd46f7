"""The figures of a cross-validation as text for a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..report.text import label_error_lines, table

#: Figures that are no shares.
_PLAIN = {"log_loss", "brier"}

_TITLES = {"macro_f1": "macro F1", "macro_roc_auc": "ROC-AUC", "ece": "ECE", "brier": "Brier score"}


def format_crossval(result: Mapping[str, Any], title: str) -> str:
    """Lines without a line feed at the end: the figures, then a row for each class.

    Args:
        result: Of :func:`trainer.crossval.crossval.cross_validate`.
        title: First words of the first line.
    """
    pooled, folds, repeats = result["pooled"], result["folds"], result["repeats"]
    times = f" x {repeats} repeats" if repeats > 1 else ""
    interval = pooled["accuracy_interval"]
    lines = [
        f"{title}: {folds} folds{times} of {pooled['n']} photos in {len(result['per_class'])} "
        f"classes, out-of-fold accuracy {pooled['accuracy']:.1%}, 95 % interval "
        f"{interval['low']:.1%} to {interval['high']:.1%} (Wilson, over the photos)",
        "over the folds          mean      sd    95 % interval (t, Nadeau-Bengio)",
    ]
    lines += [_figure(name, row) for name, row in result["metrics"].items()]
    lines += table(
        ("class", "precision", "recall", "F1", "sd of F1", "photos"),
        (
            (name, *map(_exact, _of_a_class(row)), row["support"])
            for name, row in result["per_class"].items()
        ),
    )
    lines += label_error_lines(result["label_errors"])
    return "\n".join(lines)


def _of_a_class(row: Mapping[str, Any]) -> list[float | None]:
    return [row["precision"], row["recall"], row["f1"], row["std"]["f1"]]


def _exact(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _figure(name: str, row: Mapping[str, Any]) -> str:
    plain = name in _PLAIN

    def shown(value: float | None) -> str:
        return _exact(value) if plain or value is None else f"{value:.1%}"

    title = _TITLES.get(name, name.replace("_", " ").replace("top ", "top-"))
    low, high = shown(row["low"]), shown(row["high"])
    return f"{title:20}{shown(row['mean']):>8}{shown(row['std']):>8}    {low} to {high}"
