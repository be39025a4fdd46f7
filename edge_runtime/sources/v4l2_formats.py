"""What a camera of Video4Linux offers, asked of its driver without starting it.

The requests and structures are those of linux/videodev2.h, ``VIDIOC_ENUM_FMT`` and its kin.
"""

from __future__ import annotations

import fcntl
import os
import struct
from collections.abc import Callable, Iterator
from typing import Any

_ENUM_FMT, _ENUM_FRAMESIZES, _ENUM_FRAMEINTERVALS = 0xC0405602, 0xC02C564A, 0xC034564B
_CAPTURE = 1
_DISCRETE = 1

#: Answers at most to one question: a driver that does not end its list is not trusted.
_MOST = 64

#: Asks a driver: request and structure in, structure out; OSError at the end of a list.
Ask = Callable[[int, bytes], bytes]


def formats_of(device: str) -> list[dict[str, Any]]:
    """The formats of a camera; none where it cannot be asked.

    Args:
        device: Such as ``/dev/video0``.

    Returns:
        Of each ``pixel_format`` (four characters), ``description``, and ``sizes``: ``width``,
        ``height`` and ``fps``, a list. A driver that takes any size names its largest.
    """
    try:
        descriptor = os.open(device, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return []
    try:
        return list(enumerate_formats(lambda request, data: fcntl.ioctl(descriptor, request, data)))
    finally:
        os.close(descriptor)


def enumerate_formats(ask: Ask) -> Iterator[dict[str, Any]]:
    """Formats as :func:`formats_of` gives them."""
    # v4l2_fmtdesc: index, type, flags, description[32], pixelformat, mbus_code, reserved[3]
    for answer in _list(
        ask, _ENUM_FMT, lambda n: struct.pack("<3I32s5I", n, _CAPTURE, 0, b"", *[0] * 5)
    ):
        _, _, _, description, code, *_ = struct.unpack("<3I32s5I", answer)
        yield {
            "pixel_format": struct.pack("<I", code).decode("ascii", "replace").rstrip(),
            "description": description.split(b"\0")[0].decode(errors="replace"),
            "sizes": list(_sizes(ask, code)),
        }


def _sizes(ask: Ask, code: int) -> Iterator[dict[str, Any]]:
    # v4l2_frmsizeenum: index, pixel_format, type, then width and height, or the least and largest
    # of each with their steps; reserved[2]
    for answer in _list(ask, _ENUM_FRAMESIZES, lambda n: struct.pack("<11I", n, code, *[0] * 9)):
        values = struct.unpack("<11I", answer)
        if values[2] == _DISCRETE:
            width, height = values[3:5]
        else:
            width, height = values[4], values[7]
        yield {"width": width, "height": height, "fps": _rates(ask, code, width, height)}
        if values[2] != _DISCRETE:
            return


def _rates(ask: Ask, code: int, width: int, height: int) -> list[float]:
    # v4l2_frmivalenum: index, pixel_format, width, height, type, then one interval as a fraction,
    # or the shortest, longest and step; reserved[2]
    rates = []
    for answer in _list(
        ask, _ENUM_FRAMEINTERVALS, lambda n: struct.pack("<13I", n, code, width, height, *[0] * 9)
    ):
        values = struct.unpack("<13I", answer)
        numerator, denominator = values[5:7]
        if numerator:
            rates.append(round(denominator / numerator, 3))
        if values[4] != _DISCRETE:
            break
    return rates


def _list(ask: Ask, request: int, question: Callable[[int], bytes]) -> Iterator[bytes]:
    for index in range(_MOST):
        try:
            yield ask(request, question(index))
        except OSError:  # EINVAL: the list has ended; ENOTTY: the driver keeps none
            return
