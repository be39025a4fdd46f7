"""The figures of a cross-validation as text for a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..report.plots import columns, pad

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
    width = max(map(columns, (*result["per_class"], "class")))
    lines.append(pad("class", width) + "  precision  recall      F1  sd of F1  photos")
    for name, row in result["per_class"].items():
        std = row["std"]["f1"]
        lines.append(
            f"{pad(name, width)}  {row['precision']:9.3f}  {row['recall']:6.3f}  {row['f1']:6.3f}  "
            f"{'-' if std is None else f'{std:.3f}':>8}  {row['support']:6d}"
        )
    if suspects := result["label_errors"]["suspects"]:
        first = suspects[0]
        lines.append(
            f"{len(suspects)} suspected label errors, the surest {first['path']}: labelled "
            f"{first['label']}, rather {first['suggestion']}"
        )
    return "\n".join(lines)


def _figure(name: str, row: Mapping[str, Any]) -> str:
    plain = name in _PLAIN

    def shown(value: float | None) -> str:
        if value is None:
            return "-"
        return f"{value:.3f}" if plain else f"{value:.1%}"

    title = _TITLES.get(name, name.replace("_", " ").replace("top ", "top-"))
    low, high = shown(row["low"]), shown(row["high"])
    return f"{title:20}{shown(row['mean']):>8}{shown(row['std']):>8}    {low} to {high}"
