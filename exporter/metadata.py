"""Labels and description inside the model file, so that one file is enough.

TFLite: the TFLite Metadata standard
(https://ai.google.dev/edge/litert/conversion/tensorflow/metadata, ``metadata_schema.fbs`` 1.1.0,
file identifier M001). A flatbuffer of its own, in a model buffer that the model's ``metadata``
list names TFLITE_METADATA, says what the tensors mean; the files that it refers to are appended
to the model as an uncompressed zip archive. The writer of that standard, tflite-support, is
unmaintained; what is needed of it stands here.

ONNX: entries of ``metadata_props``.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

from edge_runtime import __version__
from edge_runtime.backends.onnx import METADATA_KEY, SCORES_NAME
from edge_runtime.errors import ModelError, missing_package
from edge_runtime.manifest import EMBEDDED_NAME, LABELS_NAME, ModelInfo

from .saved_model import INPUT_NAME
from .tflite import import_schema

#: Entry of the model's metadata list, and identifier of the flatbuffer behind it.
TFLITE_ENTRY = "TFLITE_METADATA"
TFLITE_IDENTIFIER = b"M001"

#: The TFLite schema wants buffers aligned to this many bytes (``force_align: 16``).
_ALIGNMENT = 16

_DESCRIPTION = "Image classifier, exported by edge-classify."
_INPUT_DESCRIPTION = "RGB photo, pixel values 0 to 255; normalisation is part of the network."
_OUTPUT_DESCRIPTION = "Probability of each class, in the order of the labels."

# Enumerations of metadata_schema.fbs.
_FILE_DESCRIPTIONS, _FILE_AXIS_LABELS = 1, 2
_CONTENT_FEATURE, _CONTENT_IMAGE = 1, 2
_UNIT_NORMALIZATION = 1
_COLOR_RGB = 1


def labels_text(names: Sequence[str]) -> str:
    """Contents of ``labels.txt``: one class name a line, in index order.

    Raises:
        ModelError: A name cannot stand on one line of a UTF-8 text file.
    """
    for name in names:
        if name.splitlines() != [name]:
            raise ModelError(
                f"class name {name!r}: empty or with a line break, so it cannot stand in "
                f"{LABELS_NAME}. Rename the class folder and train again."
            )
        try:
            name.encode()
        except UnicodeEncodeError as error:
            raise ModelError(
                f"class name {name!r}: not UTF-8, so it cannot stand in {LABELS_NAME}. "
                "Rename the class folder and train again."
            ) from error
    return "".join(f"{name}\n" for name in names)


def describe_tflite(model: bytes, info: ModelInfo, name: str) -> bytes:
    """Add the standard metadata, the labels and the description to a TFLite model.

    Args:
        model: The TFLite flatbuffer.
        info: Class names and preprocessing.
        name: Name of the model, for people.

    Returns:
        The file: a TFLite flatbuffer with a zip archive behind it.
    """
    described = _add_buffer(model, _tflite_metadata(info, name))
    files = {LABELS_NAME: labels_text(info.class_names), EMBEDDED_NAME: info.to_json()}
    return _append_zip(described, files)


def describe_onnx(model: Any, info: ModelInfo, name: str) -> None:
    """Add labels and description to an ``onnx.ModelProto``, in place.

    Args:
        model: The model.
        info: Class names and preprocessing.
        name: Name of the model, for people.
    """
    model.producer_name = "edge-classify"
    model.producer_version = __version__
    model.doc_string = _DESCRIPTION
    model.graph.name = name
    del model.metadata_props[:]
    entries = {
        METADATA_KEY: info.to_json(),
        "class_names": json.dumps(list(info.class_names), ensure_ascii=False),
    }
    for key, value in entries.items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value


def _tflite_metadata(info: ModelInfo, name: str) -> bytes:
    """The ``ModelMetadata`` flatbuffer; the numbers are the fields' places in the schema."""
    builder = _flatbuffers().Builder(1024)
    text, spec = builder.CreateString, info.preprocess

    def file(file_name: str, description: str, kind: int) -> int:
        return _table(builder, {0: text(file_name), 1: text(description)}, int8={2: kind})

    def content(kind: int, properties: int) -> int:
        return _table(builder, {1: properties}, int8={0: kind})

    def stats(smallest: float, largest: float) -> int:
        return _table(builder, {0: _floats(builder, largest), 1: _floats(builder, smallest)})

    size = _table(builder, {}, uint32={0: spec.width, 1: spec.height})
    image = _table(builder, {1: size}, int8={0: _COLOR_RGB})
    # (x - mean) / std with 0 and 1: the network takes the pixels as they are.
    raw = _table(builder, {0: _floats(builder, 0.0), 1: _floats(builder, 1.0)})
    unit = _table(builder, {1: raw}, int8={0: _UNIT_NORMALIZATION})
    pixels = _table(
        builder,
        {
            0: text(INPUT_NAME),
            1: text(_INPUT_DESCRIPTION),
            3: content(_CONTENT_IMAGE, image),
            4: _vector(builder, [unit]),
            5: stats(0.0, 255.0),
        },
    )
    labels = file(LABELS_NAME, "Class names in index order.", _FILE_AXIS_LABELS)
    scores = _table(
        builder,
        {
            0: text(SCORES_NAME),
            1: text(_OUTPUT_DESCRIPTION),
            3: content(_CONTENT_FEATURE, _table(builder, {})),
            5: stats(0.0, 1.0),
            6: _vector(builder, [labels]),
        },
    )
    graph = _table(builder, {2: _vector(builder, [pixels]), 3: _vector(builder, [scores])})
    own = file(EMBEDDED_NAME, "Classes, preprocessing and output.", _FILE_DESCRIPTIONS)
    model = _table(
        builder,
        {
            0: text(name),
            1: text(_DESCRIPTION),
            2: text(__version__),
            3: _vector(builder, [graph]),
            6: _vector(builder, [own]),
            7: text("1.0.0"),  # oldest schema that has all of the above
        },
    )
    builder.Finish(model, file_identifier=TFLITE_IDENTIFIER)
    return bytes(builder.Output())


def _add_buffer(model: bytes, metadata: bytes) -> bytes:
    """Put a buffer and its entry in the metadata list in front of a TFLite flatbuffer.

    Flatbuffers are built from their end and refer forwards only, so a new root table can stand
    in front of the old file and refer into it: the weights are not touched and stay aligned.
    """
    schema = import_schema()
    old = schema.Model.GetRootAs(model)
    tail = model + bytes(-len(model) % _ALIGNMENT)
    builder = _flatbuffers().Builder(len(tail) + len(metadata) + 4 * old.BuffersLength() + 1024)
    builder.minalign = _ALIGNMENT
    builder.head -= len(tail)
    builder.Bytes[builder.head :] = tail

    def reference(position: int) -> int:
        """What the builder calls a place of the old file: its distance from the end."""
        return len(tail) - position

    builder.StartVector(1, len(metadata), _ALIGNMENT)
    builder.head -= len(metadata)
    builder.Bytes[builder.head : builder.head + len(metadata)] = metadata
    buffer = _table(builder, {0: builder.EndVector()})
    entry = _table(
        builder, {0: builder.CreateString(TFLITE_ENTRY)}, uint32={1: old.BuffersLength()}
    )
    buffers = [reference(old.Buffers(i)._tab.Pos) for i in range(old.BuffersLength())]
    entries = [reference(old.Metadata(i)._tab.Pos) for i in range(old.MetadataLength())]
    replaced = {4: _vector(builder, [*buffers, buffer]), 6: _vector(builder, [*entries, entry])}
    kept = {}
    for slot in range(1, 10):  # field 0 is the schema version, all others are references
        offset = old._tab.Offset(4 + 2 * slot)
        if offset and slot not in replaced:
            kept[slot] = reference(old._tab.Indirect(old._tab.Pos + offset))
    root = _table(builder, kept | replaced, uint32={0: old.Version()})
    builder.Finish(root, file_identifier=b"TFL3")
    return bytes(builder.Output())


def _append_zip(model: bytes, files: Mapping[str, str]) -> bytes:
    """Append files as an uncompressed zip archive, the same bytes whenever it is done."""
    stream = io.BytesIO(model)
    with zipfile.ZipFile(stream, "a", zipfile.ZIP_STORED) as archive:
        for name, content in files.items():
            member = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            member.external_attr = 0o644 << 16
            archive.writestr(member, content.encode())
    return stream.getvalue()


def _table(
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


def _vector(builder: Any, offsets: Sequence[int]) -> int:
    """Write a vector of references; gives its offset."""
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return int(builder.EndVector())


def _floats(builder: Any, value: float) -> int:
    """Write a vector of one float32; gives its offset."""
    builder.StartVector(4, 1, 4)
    builder.PrependFloat32(value)
    return int(builder.EndVector())


def _flatbuffers() -> Any:
    try:
        import flatbuffers
    except ImportError as error:
        raise missing_package("flatbuffers", "export", "write TFLite metadata") from error
    return flatbuffers
