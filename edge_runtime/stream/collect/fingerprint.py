"""What a picture looks like, in 384 bits, and whether something like it was kept before."""

from __future__ import annotations

import numpy as np

#: Blocks a side that a picture is averaged to; their differences are the bits.
_GRID = 8

#: Bytes of a fingerprint.
SIZE = 48

#: Levels by which neighbouring blocks have to differ: the noise of a camera and of JPEG in an
#: even area moves the mean of a block by less.
_EVEN = 6.0

#: Of 384 bits, how many may differ in pictures that count as the same. Measured at 224 pixels on a
#: video of bottles: noise of 8 levels changes up to 7 bits of a frame, JPEG of quality 50 up to 10,
#: the camera's exposure up to 14, a hand beside the bottles 27 and more; two of 125 photos of
#: groceries differ by 99 at least.
SAME = 20

#: Pictures that are remembered; the oldest are forgotten. 200 kB.
_REMEMBERED = 4096


def fingerprint(pixels: np.ndarray) -> np.ndarray:
    """Difference hash of each colour in both directions (after Krawetz 2013, "dHash").

    Of grey alone, an apple would be the same in red and in green.

    Args:
        pixels: uint8 (h, w, 3), as the network sees them.

    Returns:
        uint8 (48,).
    """
    blocks: np.ndarray = pixels.astype(np.float32)
    for axis in (0, 1):
        repeats = -(-(_GRID + 1) // blocks.shape[axis])  # of pictures smaller than the grid
        blocks = np.repeat(blocks, repeats, axis=axis)
        edges = np.linspace(0, blocks.shape[axis], _GRID + 2).round().astype(int)
        sums = np.add.reduceat(blocks, edges[:-1], axis=axis)
        blocks = sums / np.diff(edges).reshape((-1, 1, 1) if axis == 0 else (-1, 1))
    right = blocks[:_GRID, 1:] - blocks[:_GRID, :-1] > _EVEN
    down = blocks[1:, :_GRID] - blocks[:-1, :_GRID] > _EVEN
    return np.packbits(np.concatenate([right.ravel(), down.ravel()]))


class Remembered:
    """Fingerprints of what was kept."""

    def __init__(self) -> None:
        """Begin with none."""
        self._kept = np.zeros((_REMEMBERED, SIZE), np.uint8)
        self._count = 0

    def add(self, found: np.ndarray) -> None:
        """Remember one; in place of the oldest, where there are many."""
        self._kept[self._count % _REMEMBERED] = found
        self._count += 1

    def nearest(self, found: np.ndarray) -> int:
        """Bits by which the most similar one differs; all where there is none."""
        kept = self._kept[: min(self._count, _REMEMBERED)]
        if not len(kept):
            return 8 * found.size
        return int(np.unpackbits(kept ^ found, axis=1).sum(axis=1).min())
