"""A time that a picture carries in black and white blocks, which survive JPEG and H.264."""

from __future__ import annotations

import time

import numpy as np

#: Pixels of a block's side: two of JPEG's blocks, one of H.264's macroblocks.
_SIDE = 16

#: Bits of the time in milliseconds (4.6 hours, then from 0 again), and of what checks it.
_TIME, _CHECK = 24, 8

#: Pixels that a picture has to be wide.
MIN_WIDTH = (_TIME + _CHECK) * _SIDE


def now() -> int:
    """``time.monotonic()`` in milliseconds, which all processes of a machine share, 24 bits of it."""
    return int(time.monotonic() * 1000) % (1 << _TIME)


def stamp(picture: np.ndarray) -> None:
    """Paint the time of now over the top of a picture.

    Args:
        picture: uint8 (h, w, 3), at least :data:`MIN_WIDTH` wide.
    """
    value = now()
    bits = value << _CHECK | _checksum(value)
    for place in range(_TIME + _CHECK):
        white = bits >> place & 1
        picture[:_SIDE, place * _SIDE : (place + 1) * _SIDE] = 255 * white


def age_of(picture: np.ndarray, moment: float) -> float | None:
    """How old the picture was.

    Args:
        picture: uint8 (h, w, 3).
        moment: ``time.monotonic()`` in seconds.

    Returns:
        Milliseconds; None if the picture carries no time that can be read.
    """
    quarter = _SIDE // 4
    row = picture[quarter : _SIDE - quarter, :MIN_WIDTH].mean(axis=(0, 2))
    blocks = row.reshape(-1, _SIDE)[:, quarter : _SIDE - quarter].mean(axis=1)
    bits = sum(1 << place for place, level in enumerate(blocks) if level > 127)
    value = bits >> _CHECK
    if bits & ((1 << _CHECK) - 1) != _checksum(value):
        return None
    whole = 1 << _TIME
    age = (moment * 1000 - value) % whole
    return age if age < whole / 2 else age - whole


def _checksum(value: int) -> int:
    """Bits of which none is that of a picture without a time: black, white, half of each."""
    return (value * 0x9E37 >> 5 ^ 0xA5) & ((1 << _CHECK) - 1)
