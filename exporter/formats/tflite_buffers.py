"""Constants of TFLite files: adding some, and moving those that lie outside the flatbuffer into it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .flatbuffer import import_flatbuffers, table, vector
from .tflite_graph import import_schema

#: The TFLite schema wants buffers aligned to this many bytes (``force_align: 16``).
_ALIGNMENT = 16

# Fields of the table Model, and of Buffer.
_BUFFERS, _METADATA, _FIELDS = 4, 6, 10
_DATA = 0


def inline(model: bytes) -> bytes:
    """Move constants that lie behind the flatbuffer into it.

    Buffers of that kind are for files beyond 2 GB: they name their place in the file, so nothing
    can be put in front, and interpreters up to TensorFlow 2.14 do not know them.

    Args:
        model: The TFLite file.

    Returns:
        The same model as one flatbuffer.
    """
    root = import_schema().Model.GetRootAs(model)
    places = {}
    for index in range(root.BuffersLength()):
        buffer = root.Buffers(index)
        if buffer.Offset() > 1:  # 0 and 1 stand for none
            places[index] = (buffer.Offset(), buffer.Size())
    if not places:
        return model
    end = min(start for start, _ in places.values())
    constants = {index: model[start : start + size] for index, (start, size) in places.items()}
    return with_buffers(model[:end], constants=constants)


def with_buffers(
    model: bytes,
    constants: Mapping[int, bytes] | None = None,
    metadata: Mapping[str, bytes] | None = None,
) -> bytes:
    """A copy of a TFLite flatbuffer with other or more buffers.

    Flatbuffers are built from their end and refer forwards only, so a new root table can stand
    in front of the old file and refer into it: the weights are not touched and stay aligned.

    Args:
        model: The flatbuffer.
        constants: Contents of buffers that are there, by their numbers.
        metadata: Contents of new buffers, by the names that the model's metadata list gives them.

    Returns:
        The flatbuffer; the same bytes for the same arguments.
    """
    old = import_schema().Model.GetRootAs(model)
    added = [*(constants or {}).values(), *(metadata or {}).values()]
    tail = model + bytes(-len(model) % _ALIGNMENT)
    size = len(tail) + sum(len(data) + 2 * _ALIGNMENT for data in added)
    builder = import_flatbuffers().Builder(size + 8 * old.BuffersLength() + 1024)
    builder.minalign = _ALIGNMENT
    builder.head -= len(tail)
    builder.Bytes[builder.head :] = tail

    def reference(position: int) -> int:
        """What the builder calls a place of the old file: its distance from the end."""
        return len(tail) - position

    buffers = [reference(old.Buffers(i)._tab.Pos) for i in range(old.BuffersLength())]
    entries = [reference(old.Metadata(i)._tab.Pos) for i in range(old.MetadataLength())]
    for index, data in (constants or {}).items():
        buffers[index] = _buffer(builder, data)
    for name, data in (metadata or {}).items():
        buffer = _buffer(builder, data)
        entries.append(table(builder, {0: builder.CreateString(name)}, uint32={1: len(buffers)}))
        buffers.append(buffer)
    replaced = {_BUFFERS: vector(builder, buffers)}
    if entries:
        replaced[_METADATA] = vector(builder, entries)
    kept = {}
    for slot in range(1, _FIELDS):  # field 0 is the schema version, all others are references
        offset = old._tab.Offset(4 + 2 * slot)
        if offset and slot not in replaced:
            kept[slot] = reference(old._tab.Indirect(old._tab.Pos + offset))
    root = table(builder, kept | replaced, uint32={0: old.Version()})
    builder.Finish(root, file_identifier=b"TFL3")
    return bytes(builder.Output())


def _buffer(builder: Any, data: bytes) -> int:
    """Write a table Buffer with aligned contents; gives its offset."""
    builder.StartVector(1, len(data), _ALIGNMENT)
    builder.head -= len(data)
    builder.Bytes[builder.head : builder.head + len(data)] = data
    return table(builder, {_DATA: builder.EndVector()})
