"""Random numbers that depend on what they are for, not on what was drawn before."""

from __future__ import annotations

import numpy as np

#: What a number is drawn for. The place in this list is part of the hash: append, never reorder,
#: or the same seed gives another training.
_PURPOSES = (
    "area", "ratio", "left", "down", "flip", "angle",
    "brightness", "contrast", "saturation", "hue",
    "erase", "erase area", "erase ratio", "erase left", "erase down", "noise", "noise offset",
    "mix kind", "mix share", "mix left", "mix down", "order",
    *(f"choose {index}" for index in range(16)),
    *(f"strength {index}" for index in range(16)),
)  # fmt: skip
_COLUMNS = {purpose: index for index, purpose in enumerate(_PURPOSES)}

_GAMMA = np.uint64(0x9E3779B97F4A7C15)


class Numbers:
    """Uniform random numbers, one for each index and purpose.

    SplitMix64 (Steele, Lea and Flood 2014), whose state is a hash of the key and the index: no
    state is kept, any index comes in any order, and a batch costs a few numpy operations.
    """

    def __init__(self, key: tuple[int, ...], indices: np.ndarray) -> None:
        """Draw all numbers.

        Args:
            key: What is the same for the batch, such as seed and epoch; each 0 to 2**63 - 1.
            indices: int (b,), at least 0.
        """
        state = np.zeros(1, np.uint64)
        for word in key:
            state = _scramble((state ^ np.uint64(word)) + _GAMMA)
        own = _scramble((state ^ np.asarray(indices).astype(np.uint64)) + _GAMMA)
        steps = np.arange(1, len(_PURPOSES) + 1, dtype=np.uint64) * _GAMMA
        bits = _scramble(own[:, None] + steps)
        self._uniform = (bits >> np.uint64(11)) * 2.0**-53

    def __len__(self) -> int:
        """Number of indices."""
        return len(self._uniform)

    def __call__(self, purpose: str, low: float = 0.0, high: float = 1.0) -> np.ndarray:
        """Numbers from ``low`` to below ``high``, float64 (b,)."""
        found: np.ndarray = low + (high - low) * self._uniform[:, _COLUMNS[purpose]]
        return found


def _scramble(words: np.ndarray) -> np.ndarray:
    """The output function of SplitMix64: uint64 to uint64, one to one."""
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    found: np.ndarray = words ^ (words >> np.uint64(31))
    return found
