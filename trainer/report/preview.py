"""A picture of what training sees: photos as preprocessed, and changed at random."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edge_runtime.errors import DatasetError, ImageError
from edge_runtime.files import atomic_file
from edge_runtime.manifest import PreprocessSpec
from edge_runtime.preprocess import preprocess

from ..augmentation.augment import Augmentation
from ..config.schema import AugmentConfig
from ..data.dataset import Sample
from ..devices import to_numpy
from .fonts import font_families
from .plots import new_figure, save_figure
from .text import cut

_log = logging.getLogger("trainer")

#: Size of a photo in the picture, pixels: small ones are enlarged, large ones are made smaller.
_SMALLEST, _LARGEST = 128, 320
_GAP = 8
_LINE = 16  #: height of a line of text, pixels
_DPI = 100
_LETTER = 7  #: width of a letter, pixels


@dataclass(frozen=True)
class Preview:
    """Photos and their views.

    Attributes:
        samples: The n photos.
        images: uint8 (n, 1 + views, h, w, 3); the first of each is the photo as preprocessed.
        shares: float32 (n, 1 + views, classes): the labels that training is given.
    """

    samples: list[Sample]
    images: np.ndarray
    shares: np.ndarray


def choose_photos(
    samples: Sequence[Sample], count: int, spec: PreprocessSpec, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Photos to show: one of each class, in turn; those that cannot be read are passed over.

    Args:
        samples: The photos of a part.
        count: How many, at most.
        spec: How they are read.
        seed: Which ones.

    Returns:
        int64 (n,), their places in ``samples``, and their pixels, uint8 (n, h, w, 3).

    Raises:
        DatasetError: None can be read.
    """
    by_class: dict[int, list[int]] = {}
    for index in np.random.RandomState(seed).permutation(len(samples)):
        by_class.setdefault(samples[index].label, []).append(int(index))
    turns = [
        (turn, label, index)
        for label, indices in by_class.items()
        for turn, index in enumerate(indices)
    ]
    chosen: list[int] = []
    pixels: list[np.ndarray] = []
    for _, _, index in sorted(turns):
        if len(chosen) == count:
            break
        try:
            pixels.append(preprocess(samples[index].path, spec))
            chosen.append(index)
        except ImageError as error:
            _log.warning("%s", error)
    if not chosen:
        raise DatasetError("No photo can be read. Name a folder with photos.")
    return np.array(chosen), np.stack(pixels)


def make_preview(
    samples: Sequence[Sample],
    chosen: np.ndarray,
    pixels: np.ndarray,
    classes: int,
    views: int,
    config: AugmentConfig,
    seed: int,
) -> Preview:
    """Change photos as the first epochs do.

    Args:
        samples: The photos of a part.
        chosen: int (n,), places of those to show.
        pixels: uint8 (n, h, w, 3).
        classes: Number of classes.
        views: Changed views of each photo; view k is that of epoch k, but for the photo that it
            is mixed with, which is one of those shown.
        config: The changes.
        seed: Of the training.
    """
    augmentation, labels = Augmentation(config), np.array([samples[i].label for i in chosen])
    layer, one_hot = augmentation.layer(), np.eye(classes, dtype=np.float32)[labels]
    images, shares = [pixels], [one_hot]
    for epoch in range(views):
        # The phases that train on photos count their seed from 1.
        changes = augmentation.draw(seed + 1, epoch, 0, chosen)
        changed = to_numpy(layer([pixels, changes]))
        images.append(np.round(changed).astype(np.uint8))
        shares.append(augmentation.targets(one_hot, changes))
    return Preview([samples[i] for i in chosen], np.stack(images, 1), np.stack(shares, 1))


def draw_preview(
    preview: Preview,
    class_names: Sequence[str],
    title: str,
    file: str | os.PathLike[str],
    overwrite: bool = False,
) -> None:
    """Write a preview as PNG: a row for each photo, the photo itself on the left.

    Args:
        preview: What to draw.
        class_names: In index order.
        title: Written above.
        file: To write.
        overwrite: Whether it may exist.

    Raises:
        OutputExists: The file exists and ``overwrite`` is false.
        MissingComponent: matplotlib is not installed.
        SystemFailure: Disk full or no permission.
    """
    tiles = _shown(preview.images)
    count, columns, high, wide = tiles.shape[:4]
    captions = [[_caption(row, class_names, wide) for row in rows] for rows in preview.shares]
    text = _LINE * max(len(lines) for rows in captions for lines in rows)
    step, top = high + text + _GAP, 3 * _LINE + _GAP
    sheet = np.full((top + count * step, _GAP + columns * (wide + _GAP), 3), 255, np.uint8)
    figure = new_figure(sheet.shape[1] / _DPI, sheet.shape[0] / _DPI, dpi=_DPI, layout=None)
    write = _writer(figure, sheet.shape, font_families())
    write(_GAP, _LINE // 2, title, 10, "black")
    for column in range(columns):
        left = _GAP + column * (wide + _GAP)
        heading = f"epoch {column}" if column else "as preprocessed"
        write(left, 2 * _LINE, heading, 8, "0.4")
        for row in range(count):
            down = top + row * step
            sheet[down : down + high, left : left + wide] = tiles[row, column]
            for line, words in enumerate(captions[row][column]):
                write(left, down + high + 2 + line * _LINE, words, 8, "black")
    figure.figimage(sheet, origin="upper")
    with atomic_file(file, overwrite) as temporary:
        save_figure(figure, temporary)


def _writer(figure: Any, shape: tuple[int, ...], families: list[str]) -> Any:
    """A function that writes a text at a place in pixels from the top left."""

    def write(x: float, y: float, words: str, size: int, color: str) -> None:
        figure.text(
            x / shape[1],
            1 - y / shape[0],
            words,
            fontsize=size,
            color=color,
            va="top",
            fontfamily=families,
            parse_math=False,
        )

    return write


def _shown(images: np.ndarray) -> np.ndarray:
    """The pictures at a size at which people see what is in them."""
    size = max(images.shape[2:4])
    if size < _SMALLEST:
        times = -(-_SMALLEST // size)
        return images.repeat(times, axis=2).repeat(times, axis=3)
    times = -(-size // _LARGEST)
    height, width = (side // times * times for side in images.shape[2:4])
    cut = images[:, :, :height, :width]
    blocks = cut.reshape(*cut.shape[:2], height // times, times, width // times, times, 3)
    found: np.ndarray = blocks.mean(axis=(3, 5)).round().astype(np.uint8)
    return found


def _caption(shares: np.ndarray, class_names: Sequence[str], width: int) -> list[str]:
    """A line for each class that a picture shows."""
    order = [index for index in np.argsort(-shares, kind="stable") if shares[index] >= 0.005]
    if len(order) == 1:
        return [cut(class_names[order[0]], width // _LETTER)]
    return [
        f"{shares[index]:.0%} {cut(class_names[index], width // _LETTER - 5)}" for index in order
    ]
