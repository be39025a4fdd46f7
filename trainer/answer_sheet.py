"""Photos with the network's answers, on one sheet."""

from __future__ import annotations

import io
import math
import warnings

import numpy as np

from .fonts import font_families
from .packages import import_module
from .pixels import Pixels
from .predictions import Predictions

_COLUMNS, _WIDTH, _HEIGHT, _DPI = 4, 1.9, 2.3, 100


def choose_photos(count: int, shown: int, seed: int) -> np.ndarray:
    """Indices, int (shown or count,), of photos drawn at random, ascending."""
    random = np.random.RandomState(seed)
    return np.sort(random.permutation(count)[:shown])


def answer_sheet(images: Pixels, answers: Predictions, chosen: np.ndarray) -> bytes:
    """Draw photos as the network sees them, each with its class, the answer and its score.

    Args:
        images: Of all n photos.
        answers: To the same n photos.
        chosen: int (m,), which of them; at least one.

    Returns:
        A PNG.

    Raises:
        MissingComponent: matplotlib is not installed.
    """
    figures = import_module("matplotlib.figure", "matplotlib", "draw the answers")
    rows = math.ceil(len(chosen) / _COLUMNS)
    # The object interface: pyplot would look for a display and keep every figure.
    figure = figures.Figure(
        figsize=(_COLUMNS * _WIDTH, rows * _HEIGHT), dpi=_DPI, layout="constrained"
    )
    places = figure.subplots(rows, _COLUMNS, squeeze=False).ravel()
    families, names = font_families(), answers.class_names
    for axes in places:
        axes.set_axis_off()
    for axes, index, pixels in zip(places, chosen, images[chosen], strict=False):
        label, answer = names[answers.labels[index]], names[answers.answers[index]]
        score = answers.probabilities[index].max()
        axes.imshow(pixels)
        words, color = f"{_short(answer)} {score:.0%}", "#1b7837"
        if not answers.right[index]:
            words, color = f"{words}\nis {_short(label)}", "#b2182b"
        axes.set_title(words, fontsize=9, color=color, fontfamily=families, parse_math=False)
    found = io.BytesIO()
    with warnings.catch_warnings():
        # Letters that no font of this machine has become boxes; nobody can mend it.
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        figure.savefig(found, format="png", metadata={"Software": None})
    return found.getvalue()


def _short(name: str, longest: int = 20) -> str:
    return name if len(name) <= longest else name[: longest - 1] + "…"
