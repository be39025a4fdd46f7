"""Read a flatbuffer in place: https://flatbuffers.dev/internals, the few kinds of field in use.

The package ``flatbuffers`` comes with some interpreters only, and its generated classes for TFLite
take a tenth of a second to import.
"""

from __future__ import annotations

import struct

import numpy as np

_INT32 = struct.Struct("<i")
_UINT32 = struct.Struct("<I")
_UINT16 = struct.Struct("<H")
_FLOAT32 = struct.Struct("<f")

#: Formats of the :mod:`struct` module by the name that the schema has for them.
_SCALARS = {
    kind: struct.Struct(f"<{letter}")
    for kind, letter in {
        "bool": "?", "byte": "b", "ubyte": "B", "int": "i", "uint": "I", "ulong": "Q",
    }.items()
}  # fmt: skip


#: More tensors or operators than any model has; a damaged count must not fill the memory.
_MOST_TABLES = 1_000_000


class Table:
    """A table inside a flatbuffer; fields are named by their place in the schema, from 0.

    Reading outside the file raises ``struct.error``.

    Attributes:
        position: Of the table in the file, in bytes.
    """

    def __init__(self, data: bytes, position: int) -> None:
        """Stand on the table at a position."""
        self._data, self.position = data, position

    @classmethod
    def root(cls, data: bytes) -> Table:
        """The table that a file begins with."""
        return cls(data, _UINT32.unpack_from(data)[0])

    def place(self, slot: int) -> int | None:
        """Position of a field in the file; None where it has its default."""
        vtable = self.position - _INT32.unpack_from(self._data, self.position)[0]
        if 4 + 2 * slot >= _UINT16.unpack_from(self._data, vtable)[0]:
            return None
        offset = _UINT16.unpack_from(self._data, vtable + 4 + 2 * slot)[0]
        return self.position + offset if offset else None

    def number(self, slot: int, kind: str, default: int = 0) -> int:
        """A scalar field.

        Args:
            slot: Its place.
            kind: Its type in the schema, e.g. ``ubyte``.
            default: Its default in the schema.
        """
        place = self.place(slot)
        if place is None:
            return default
        return int(_SCALARS[kind].unpack_from(self._data, place)[0])

    def real(self, slot: int) -> float:
        """A field of type float; 0 where it is absent."""
        place = self.place(slot)
        return 0.0 if place is None else float(_FLOAT32.unpack_from(self._data, place)[0])

    def table(self, slot: int) -> Table | None:
        """A table field; None where it is absent."""
        place = self.place(slot)
        return None if place is None else Table(self._data, self._target(place))

    def tables(self, slot: int) -> list[Table]:
        """A vector of tables; empty where it is absent."""
        start, count = self._vector(slot)
        if count > _MOST_TABLES:
            raise struct.error(f"{count} tables")
        return [
            Table(self._data, self._target(place))
            for place in range(start, start + 4 * count, 4)
        ]  # fmt: skip

    def array(self, slot: int, dtype: str) -> np.ndarray:
        """A vector of numbers, as a view of the file; empty where it is absent.

        Args:
            slot: Its place.
            dtype: numpy's name of its type, little-endian, e.g. ``<i4``.
        """
        start, count = self._vector(slot)
        return _view(self._data, dtype, count, start)

    def text(self, slot: int) -> str:
        """A string field; empty where it is absent."""
        return bytes(self.array(slot, "u1")).decode(errors="replace")

    def _target(self, place: int) -> int:
        return place + int(_UINT32.unpack_from(self._data, place)[0])

    def _vector(self, slot: int) -> tuple[int, int]:
        place = self.place(slot)
        if place is None:
            return 0, 0
        start = self._target(place)
        return start + 4, int(_UINT32.unpack_from(self._data, start)[0])


def _view(data: bytes, dtype: str, count: int, start: int) -> np.ndarray:
    try:
        return np.frombuffer(data, dtype, count, start)
    except ValueError as error:
        raise struct.error(str(error)) from error


def with_vector(data: bytes, place: int, values: np.ndarray) -> bytes:
    """A copy of a file in which one field refers to another vector.

    References point forwards, so the vector is appended and nothing else moves.

    Args:
        data: The flatbuffer, with or without something behind it.
        place: Position of the field, of :meth:`Table.place`.
        values: int32 (n,).
    """
    end = len(data) + -len(data) % 4
    vector = _UINT32.pack(len(values)) + values.astype("<i4").tobytes()
    padding = bytes(end - len(data))
    reference = _UINT32.pack(end - place)
    return b"".join((data[:place], reference, memoryview(data)[place + 4 :], padding, vector))
