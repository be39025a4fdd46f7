"""Photos with the network's answers, on one sheet."""

from __future__ import annotations

import io
import math

import numpy as np

from ..data.pixels import Pixels
from ..evaluation.predictions import Predictions
from ..report.fonts import font_families
from ..report.plots import new_figure, save_figure, shorten

_COLUMNS, _WIDTH, _HEIGHT, _DPI = 4, 1.9, 2.3, 100

_LONGEST = 20  #: letters of a class name


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
    rows = math.ceil(len(chosen) / _COLUMNS)
    figure = new_figure(_COLUMNS * _WIDTH, rows * _HEIGHT, dpi=_DPI)
    places = figure.subplots(rows, _COLUMNS, squeeze=False).ravel()
    families, names = font_families(), answers.class_names
    for axes in places:
        axes.set_axis_off()
    for axes, index, pixels in zip(places, chosen, images[chosen], strict=False):
        label, answer = names[answers.labels[index]], names[answers.answers[index]]
        score = answers.probabilities[index].max()
        axes.imshow(pixels)
        words, color = f"{shorten(answer, _LONGEST)} {score:.0%}", "#1b7837"
        if not answers.right[index]:
            words, color = f"{words}\nis {shorten(label, _LONGEST)}", "#b2182b"
        axes.set_title(words, fontsize=9, color=color, fontfamily=families, parse_math=False)
    found = io.BytesIO()
    save_figure(figure, found)
    return found.getvalue()
