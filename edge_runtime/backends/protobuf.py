"""Read a protobuf message in place: https://protobuf.dev/programming-guides/encoding/.

The package ``onnx`` is no part of what a device installs, and would copy all weights to tell which
operator stands at the end.
"""

from __future__ import annotations

from collections.abc import Iterator

#: Kinds of fields on the wire.
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5

#: A number, or the contents of a string or message.
Value = int | memoryview


class Damaged(ValueError):
    """It is no whole message."""


def fields(message: memoryview) -> Iterator[tuple[int, Value]]:
    """Number and value of each field of a message, in their order in the file.

    Args:
        message: Its bytes; strings and messages inside are given as views of them.

    Raises:
        Damaged: It is cut off, or holds a kind of field that no message has.
    """
    place, end = 0, len(message)
    while place < end:
        key, place = _varint(message, place)
        kind = key & 7
        if kind == _VARINT:
            number, place = _varint(message, place)
            yield key >> 3, number
            continue
        if kind == _BYTES:
            size, place = _varint(message, place)
        elif kind in (_FIXED32, _FIXED64):
            size = 4 if kind == _FIXED32 else 8
        else:
            raise Damaged(f"a field of kind {kind}")
        if place + size > end:
            raise Damaged("cut off")
        yield key >> 3, message[place : place + size]
        place += size


def text(value: Value) -> str:
    """A string field.

    Raises:
        Damaged: It is a number.
    """
    return bytes(contents(value)).decode(errors="replace")


def contents(value: Value) -> memoryview:
    """A string or message field.

    Raises:
        Damaged: It is a number.
    """
    if isinstance(value, int):
        raise Damaged("a number in place of a message")
    return value


def _varint(message: memoryview, place: int) -> tuple[int, int]:
    """A number of seven bits a byte, the lowest first, and the place behind it."""
    number = 0
    for shift in range(0, 70, 7):
        if place >= len(message):
            raise Damaged("cut off")
        byte = message[place]
        place += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, place
    raise Damaged("a number of more than ten bytes")
