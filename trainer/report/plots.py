"""A training in pictures: curves, confusion matrix."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO

import numpy as np

from ..packages import import_module

_DPI = 120

#: With more classes than this, neither counts nor a name for each class fit on a picture.
_MOST_COUNTED_CLASSES = 60

_LONGEST_NAME = 28


def plot_history(rows: Sequence[Mapping[str, Any]], file: str | os.PathLike[str]) -> None:
    """Draw loss, accuracy and learning rate over all epochs as a PNG file.

    Args:
        rows: One an epoch, in order, with ``phase`` (``head``, ``finetune`` or ``full``),
            ``loss``, ``accuracy``, ``val_loss``, ``val_accuracy`` and ``learning_rate``.
        file: Picture to write.

    Raises:
        MissingComponent: matplotlib is not installed.
    """
    figure = new_figure(8, 8)
    loss, accuracy, rate = figure.subplots(
        3, 1, sharex=True, gridspec_kw={"height_ratios": [4, 4, 1.4]}
    )
    epochs = range(1, len(rows) + 1)
    marker = "o" if len(rows) < 40 else None
    for axes, key in ((loss, "loss"), (accuracy, "accuracy")):
        for prefix, name in (("", "training"), ("val_", "validation")):
            values = [float(row[prefix + key]) for row in rows]
            axes.plot(epochs, values, marker=marker, markersize=3, label=name)
        axes.set_ylabel(key)
        axes.grid(alpha=0.3)
    loss.legend(loc="upper right")
    rates = [float(row["learning_rate"]) for row in rows]
    rate.step(epochs, rates, where="mid", marker=marker, markersize=3, color="0.3")
    if min(rates, default=0) > 0:
        rate.set_yscale("log")
    rate.set_ylabel("learning rate")
    rate.set_xlabel("epoch")
    rate.grid(alpha=0.3)
    rate.set_xlim(0.5, max(len(rows), 1) + 0.5)
    rate.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    _mark_fine_tuning(rows, (loss, accuracy, rate))
    save_figure(figure, file)


def plot_confusion(
    matrix: Sequence[Sequence[int]], class_names: Sequence[str], file: str | os.PathLike[str]
) -> None:
    """Draw a confusion matrix as a PNG file, each cell with its number of photos.

    The colour is the share of the row, so that a rare class shows as clearly as a frequent one;
    its scale is a square root, so that a single confusion is seen. With more than 60 classes the
    counts are left out and only some of the names are written.

    Args:
        matrix: Number of photos, rows true classes, columns answers.
        class_names: Names in index order.
        file: Picture to write.

    Raises:
        MissingComponent: matplotlib is not installed.
    """
    counts = np.asarray(matrix)
    classes = len(class_names)
    names = [shorten(name) for name in class_names]
    side = 4 + 0.38 * min(classes, _MOST_COUNTED_CLASSES)
    figure = new_figure(side, side)
    axes = figure.subplots()
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    colors = import_module("matplotlib.colors", "matplotlib", "draw the training report")
    image = axes.imshow(share, cmap="Blues", norm=colors.PowerNorm(0.5, vmin=0, vmax=1))
    bar = figure.colorbar(image, ax=axes, shrink=0.6, pad=0.02)
    bar.set_label("share of the true class")
    named = range(0, classes, -(-classes // _MOST_COUNTED_CLASSES))
    upright = max(map(len, names)) * classes > 40
    axes.set_xticks(named, [names[i] for i in named], rotation=90 if upright else 0, fontsize=9)
    axes.set_yticks(named, [names[i] for i in named], fontsize=9)
    for text in (*axes.get_xticklabels(), *axes.get_yticklabels()):
        text.set_parse_math(False)  # a "$" in a class name is a dollar
    axes.set_xlabel("answer of the network")
    axes.set_ylabel("true class")
    right, total = int(np.trace(counts)), int(counts.sum())
    axes.set_title(f"{right} of {total} photos right")
    if classes <= _MOST_COUNTED_CLASSES:
        _write_counts(axes, counts, share)
    save_figure(figure, file)


def new_figure(width: float, height: float, **options: Any) -> Any:
    """A matplotlib figure of a size in inches; ``options`` are those of its constructor."""
    figure_module = import_module("matplotlib.figure", "matplotlib", "draw the training report")
    # The object interface: pyplot would look for a display and keep every figure.
    return figure_module.Figure(
        figsize=(width, height), **{"dpi": _DPI, "layout": "constrained"} | options
    )


def save_figure(figure: Any, file: str | os.PathLike[str] | BinaryIO) -> None:
    """Write a figure as a PNG."""
    with warnings.catch_warnings():
        # Letters that matplotlib's font lacks (Chinese, say) become boxes; nobody can mend it.
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        figure.savefig(file, format="png", metadata={"Software": None})


def _mark_fine_tuning(rows: Sequence[Mapping[str, Any]], panels: Sequence[Any]) -> None:
    phases = [row["phase"] for row in rows]
    if "finetune" not in phases:
        return
    start = phases.index("finetune") + 0.5
    for axes in panels:
        axes.axvline(start, color="0.4", linestyle="--", linewidth=1)
    panels[0].annotate(
        "fine-tuning",
        xy=(start, 1.01),
        xycoords=("data", "axes fraction"),
        ha="left",
        va="bottom",
        color="0.3",
    )


def _write_counts(axes: Any, counts: np.ndarray, share: np.ndarray) -> None:
    classes = len(counts)
    for row in range(classes):
        for column in range(classes):
            count = int(counts[row, column])
            if count == 0 and classes > 12:
                continue  # among many classes, zeros hide the confusions
            axes.text(
                column,
                row,
                str(count),
                ha="center",
                va="center",
                fontsize=9 if count < 1000 else 7,
                color="white" if share[row, column] > 0.3 else "0.75" if count == 0 else "black",
            )


def shorten(name: str, longest: int = _LONGEST_NAME) -> str:
    """A class name for a picture, cut off with an ellipsis."""
    return name if len(name) <= longest else name[: longest - 1] + "…"
