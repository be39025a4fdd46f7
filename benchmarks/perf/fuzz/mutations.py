"""Ways to spoil bytes: anywhere, and where a format keeps its lengths, sizes and metadata."""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Callable, Sequence

#: What a length, count, offset or size is replaced by.
_EXTREMES = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000,
             0xFFFFFFFE, 0xFFFFFFFF)  # fmt: skip

#: Bytes after which an interesting field begins, of any of the formats.
_MARKS = (
    b"IHDR", b"PLTE", b"tRNS", b"iCCP", b"eXIf", b"tEXt", b"zTXt", b"iTXt", b"acTL", b"fcTL",
    b"Exif\0\0", b"II*\0", b"MM\0*", b"ICC_PROFILE\0", b"acsp", b"http://ns.adobe.com/xap/1.0/\0",
    b"\xff\xc0", b"\xff\xc2", b"\xff\xc4", b"\xff\xda", b"\xff\xdb", b"\xff\xe1", b"\xff\xe2",
    b"Adobe", b"GIF89a", b"GIF87a", b"\x21\xf9", b"\x2c", b"BM", b"VP8X", b"VP8 ", b"VP8L",
    b"ICCP", b"EXIF", b"XMP ", b"ANMF", b"ispe", b"irot", b"ipma", b"iloc", b"iinf", b"hvcC",
    b"av1C", b"mdat", b"TFL3", b"PK\3\4", b"PK\1\2", b"PK\5\6", b"MPF\0",
)  # fmt: skip

Mutation = Callable[[bytes, random.Random, Sequence[bytes]], bytes]


def mutate(data: bytes, chance: random.Random, others: Sequence[bytes]) -> bytes:
    """Spoil some bytes in one to three ways.

    Args:
        data: A whole file.
        chance: Decides everything.
        others: Further files, for pieces of another.
    """
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        data = chance.choice(_WAYS)(data, chance, others)
    return data


def _place(data: bytes, chance: random.Random) -> int:
    """Anywhere, but more often near the beginning and the end, where formats keep tables."""
    size = max(1, len(data))
    kind = chance.randrange(4)
    if kind == 0:
        return chance.randrange(min(size, 256))
    if kind == 1:
        return size - 1 - chance.randrange(min(size, 256))
    return chance.randrange(size)


def _flip(data: bytes, chance: random.Random, _: Sequence[bytes]) -> bytes:
    made = bytearray(data)
    for _turn in range(chance.choice((1, 1, 2, 4, 16, 64))):
        if made:
            made[_place(data, chance)] ^= 1 << chance.randrange(8)
    return bytes(made)


def _cut(data: bytes, chance: random.Random, _: Sequence[bytes]) -> bytes:
    return data[: _place(data, chance)]


def _field(data: bytes, chance: random.Random, _: Sequence[bytes]) -> bytes:
    """A number of 1, 2 or 4 bytes, of either order, becomes an extreme or its neighbour."""
    return _number(data, _place(data, chance), chance)


def _marked_field(data: bytes, chance: random.Random, _: Sequence[bytes]) -> bytes:
    """The same, within 40 bytes of a mark of the format."""
    marks = [mark for mark in _MARKS if mark in data]
    if not marks:
        return _number(data, _place(data, chance), chance)
    mark = chance.choice(marks)
    place = data.index(mark) + len(mark)
    return _mended(_number(data, max(0, place + chance.randrange(-8, 40)), chance), chance)


def _number(data: bytes, place: int, chance: random.Random) -> bytes:
    size = chance.choice((1, 2, 4))
    order = chance.choice("<>")
    code = {1: "B", 2: "H", 4: "I"}[size]
    old = data[place : place + size]
    if len(old) < size:
        return data
    (value,) = struct.unpack(order + code, old)
    new = chance.choice((*_EXTREMES, value + 1, value - 1, value * 2, value * 256))
    made = struct.pack(order + code, new % (1 << 8 * size))
    return data[:place] + made + data[place + size :]


def _remove(data: bytes, chance: random.Random, _: Sequence[bytes]) -> bytes:
    place = _place(data, chance)
    return data[:place] + data[place + chance.choice((1, 2, 4, 16, 256, 4096)) :]


def _repeat(data: bytes, chance: random.Random, _: Sequence[bytes]) -> bytes:
    place, size = _place(data, chance), chance.choice((1, 4, 16, 256, 1024))
    return data[:place] + data[place : place + size] * chance.choice((2, 3, 16)) + data[place:]


def _swap(data: bytes, chance: random.Random, _: Sequence[bytes]) -> bytes:
    size = chance.choice((2, 8, 32, 256))
    first, second = sorted((_place(data, chance), _place(data, chance)))
    if second + size > len(data) or first + size > second:
        return data[::-1] if not chance.randrange(50) else data
    return (
        data[:first] + data[second : second + size] + data[first + size : second]
        + data[first : first + size] + data[second + size :]
    )  # fmt: skip


def _splice(data: bytes, chance: random.Random, others: Sequence[bytes]) -> bytes:
    other = chance.choice(others) if others else data
    return data[: _place(data, chance)] + other[_place(other, chance) :]


def _noise(data: bytes, chance: random.Random, _: Sequence[bytes]) -> bytes:
    place, size = _place(data, chance), chance.choice((1, 4, 32, 512))
    filler = chance.choice((bytes(size), b"\xff" * size, chance.randbytes(size)))
    return data[:place] + filler + data[place + size :]


def _chunks(data: bytes) -> list[tuple[int, int]]:
    """Start and end of each chunk of a PNG, length and CRC included."""
    found, place = [], 8
    while place + 12 <= len(data):
        end = place + 12 + int.from_bytes(data[place : place + 4], "big")
        if end > len(data):
            break
        found.append((place, end))
        place = end
    return found


def _shuffle_chunks(data: bytes, chance: random.Random, others: Sequence[bytes]) -> bytes:
    """Chunks of a PNG, segments of a JPEG or of whatever, in another order, or twice."""
    if data.startswith(b"\x89PNG"):
        parts = [data[start:end] for start, end in _chunks(data)]
        head = data[:8]
    elif data.startswith(b"\xff\xd8"):
        pieces = data.split(b"\xff")
        head, parts = b"\xff\xd8", [b"\xff" + piece for piece in pieces[2:]]
    else:
        return _swap(data, chance, others)
    if len(parts) < 2:
        return data
    first, second = chance.randrange(len(parts)), chance.randrange(len(parts))
    parts[first], parts[second] = parts[second], parts[first]
    if chance.randrange(2):
        parts.insert(first, parts[second])
    return head + b"".join(parts)


def _mended(data: bytes, chance: random.Random) -> bytes:
    """A PNG with right CRCs, so that what was changed is looked at."""
    if not data.startswith(b"\x89PNG") or not chance.randrange(4):
        return data
    made = bytearray(data)
    for start, end in _chunks(data):
        made[end - 4 : end] = struct.pack(">I", zlib.crc32(data[start + 4 : end - 4]))
    return bytes(made)


def _mended_flips(data: bytes, chance: random.Random, others: Sequence[bytes]) -> bytes:
    return _mended(_flip(data, chance, others), chance)


_WAYS: tuple[Mutation, ...] = (
    _flip, _mended_flips, _cut, _field, _marked_field, _marked_field, _remove, _repeat, _swap,
    _splice, _noise, _shuffle_chunks,
)  # fmt: skip
