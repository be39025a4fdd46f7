"""The data set that needs no download: handwritten digits; ``edge-train sample digits DIR``.

The 1,797 digits of ``sklearn.datasets.load_digits``: 8x8 pixels of 0..16, the test half of
"Optical Recognition of Handwritten Digits" in the UCI Machine Learning Repository
(E. Alpaydin and C. Kaynak, 1998, https://doi.org/10.24432/C50P49, CC BY 4.0).
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from PIL import Image

from edge_runtime.files import atomic_folder, refuse_existing

from ..packages import import_module
from .split import assign_parts, count_parts

#: Width and height of the written pictures, pixels.
SIZE = 64

_SOURCE = """\
Optical Recognition of Handwritten Digits
E. Alpaydin and C. Kaynak (1998), UCI Machine Learning Repository
https://doi.org/10.24432/C50P49
Licence: CC BY 4.0, https://creativecommons.org/licenses/by/4.0/

The 1,797 digits of its test half, as scikit-learn ships them (sklearn.datasets.load_digits).
Changed: scaled from 8x8 pixels of 0..16 to {size}x{size} pixels of 0..255 (bicubic), and divided
into train, val and test.
"""


def write_digits(
    destination: str | os.PathLike[str],
    overwrite: bool = False,
    ratios: tuple[float, float, float] = (0.8, 0.1, 0.1),
    seed: int = 0,
) -> dict[str, dict[str, int]]:
    """Write the digits as grey PNG files, ``train|val|test/<digit>/<number>.png``.

    They are enlarged to 64x64 with a smooth kernel (bicubic), so that a person sees handwriting
    in a file manager, and the network meets edges like those of a photo rather than the corners
    of 8x8 blocks.

    Args:
        destination: Folder to write, whole or not at all.
        overwrite: Whether an existing destination may be replaced as a whole.
        ratios: Shares of train, val and test; a part with 0 is not written.
        seed: Which of the possible splits.

    Returns:
        Number of pictures by part and class.

    Raises:
        UsageError: The ratios make no sense.
        OutputExists: ``destination`` exists and ``overwrite`` is false.
        MissingComponent: scikit-learn is not installed.
    """
    refuse_existing(destination, overwrite)
    datasets = import_module("sklearn.datasets", "scikit-learn", "write the sample digits")
    digits = datasets.load_digits()
    files: dict[str, list[str]] = {str(digit): [] for digit in range(10)}
    for number, label in enumerate(digits.target):
        files[str(label)].append(f"{number:04d}.png")
    parts = assign_parts(files, ratios, seed)
    with atomic_folder(destination, overwrite) as folder:
        for part, classes in parts.items():
            for name, names in classes.items():
                target = folder / part / name
                target.mkdir(parents=True)
                for file in names:
                    _write(digits.images[int(Path(file).stem)], target / file)
        (folder / "SOURCE.txt").write_text(_SOURCE.format(size=SIZE), encoding="utf-8")
    return count_parts(parts)


def _write(digit: np.ndarray, file: Path) -> None:
    grey = np.round(digit * (255 / 16)).astype(np.uint8)
    Image.fromarray(grey).resize((SIZE, SIZE), Image.Resampling.BICUBIC).save(file)
