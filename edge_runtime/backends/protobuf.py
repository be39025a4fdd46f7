"""Read protocol buffers in place: https://protobuf.dev/programming-guides/encoding.

An ONNX file is one such message. The package ``protobuf`` is not installed on a device, and it
would copy every weight to read a name.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from ..errors import ModelError

#: Wire types. A group (3 and 4) is deprecated since 2008 and in no format read here.
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5

_FIXED = {FIXED64: struct.Struct("<Q"), FIXED32: struct.Struct("<I")}

#: A varint holds at most 64 bits in groups of seven.
_VARINT_BYTES = 10


def fields(data: bytes | memoryview) -> Iterator[tuple[int, int, int | memoryview]]:
    """The fields of a message, in the order of the file.

    Args:
        data: The message, without a length in front. A map of the file serves: only what is
            looked at is read.

    Yields:
        Number, wire type and value: of :data:`VARINT`, :data:`FIXED64` and :data:`FIXED32` an
        unsigned int (negative numbers as two's complement of 64 bits, see :func:`signed`), of
        :data:`BYTES` (text, messages, packed numbers) a view of ``data``, which copies nothing.

    Raises:
        ModelError: The message is damaged or cut off.
    """
    view = memoryview(data)
    end, place = len(view), 0
    while place < end:
        key, place = _varint(view, place)
        number, wire = key >> 3, key & 7
        if not number:
            raise ModelError("damaged: a protocol buffer's fields are numbered from 1.")
        if wire == VARINT:
            value, place = _varint(view, place)
            yield number, wire, value
            continue
        if wire == BYTES:
            length, place = _varint(view, place)
        elif wire in _FIXED:
            length = _FIXED[wire].size
        else:
            raise ModelError(f"damaged: no protocol buffer has a field of wire type {wire}.")
        if length > end - place:
            raise ModelError(
                f"damaged or cut off: field {number} should have {length} bytes, "
                f"{end - place} are left."
            )
        payload = view[place : place + length]
        place += length
        yield number, wire, _FIXED[wire].unpack(payload)[0] if wire in _FIXED else payload


def packed(data: memoryview) -> Iterator[int]:
    """The unsigned numbers of a packed field of varints.

    Raises:
        ModelError: It is damaged or cut off.
    """
    place = 0
    while place < len(data):
        value, place = _varint(data, place)
        yield value


def signed(value: int) -> int:
    """An ``int32`` or ``int64`` from the unsigned number that :func:`fields` gives."""
    return value - (1 << 64) if value >= 1 << 63 else value


def text(value: int | memoryview) -> str:
    """A string field; other bytes than UTF-8 are replaced.

    Raises:
        ModelError: The field is a number.
    """
    if isinstance(value, int):
        raise ModelError("damaged: a number stands where a protocol buffer should have text.")
    return bytes(value).decode(errors="replace")


def _varint(view: memoryview, place: int) -> tuple[int, int]:
    """A number of seven bits a byte, the lowest first, and where it ends."""
    number = 0
    for shift, byte in enumerate(view[place : place + _VARINT_BYTES]):
        number |= (byte & 0x7F) << (7 * shift)
        if byte < 0x80:
            return number & 0xFFFF_FFFF_FFFF_FFFF, place + shift + 1
    raise ModelError("damaged or cut off: a number of a protocol buffer does not end.")
