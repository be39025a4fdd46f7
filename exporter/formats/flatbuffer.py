"""Writing flatbuffer tables by field number, for schemas that come without a generated writer.

https://flatbuffers.dev/internals/
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from edge_runtime.errors import missing_package


def import_flatbuffers() -> Any:
    """Import flatbuffers.

    Raises:
        MissingComponent: It is not installed.
    """
    try:
        import flatbuffers
    except ImportError as error:
        raise missing_package("flatbuffers", "export", "write TFLite metadata") from error
    return flatbuffers


def table(
    builder: Any,
    offsets: Mapping[int, int],
    int8: Mapping[int, int] | None = None,
    uint32: Mapping[int, int] | None = None,
) -> int:
    """Write a table: field numbers and what they hold; gives its offset."""
    last = max([*offsets, *(int8 or {}), *(uint32 or {})], default=-1)
    builder.StartObject(last + 1)
    for slot, offset in offsets.items():
        builder.PrependUOffsetTRelativeSlot(slot, offset, 0)
    for slot, value in (uint32 or {}).items():
        builder.PrependUint32Slot(slot, value, 0)
    for slot, value in (int8 or {}).items():
        builder.PrependInt8Slot(slot, value, 0)
    offset = builder.EndObject()
    return int(offset)


def vector(builder: Any, offsets: Sequence[int]) -> int:
    """Write a vector of references; gives its offset."""
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return int(builder.EndVector())


def floats(builder: Any, value: float) -> int:
    """Write a vector of one float32; gives its offset."""
    builder.StartVector(4, 1, 4)
    builder.PrependFloat32(value)
    return int(builder.EndVector())
