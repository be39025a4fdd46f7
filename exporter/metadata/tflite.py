"""Metadata inside TFLite files: labels, tensors, origin, and the toolkit's own description.

The TFLite Metadata standard (https://ai.google.dev/edge/litert/conversion/tensorflow/metadata,
``metadata_schema.fbs`` 1.1.0, file identifier M001). A flatbuffer of its own, in a model buffer that
the model's ``metadata`` list names TFLITE_METADATA, says what the tensors mean; the files that it
refers to are appended to the model as an uncompressed zip archive. The writer of that standard,
tflite-support, is unmaintained; what is needed of it stands here.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping

from edge_runtime import __version__
from edge_runtime.manifest import EMBEDDED_NAME, LABELS_NAME, ModelInfo

from ..formats.flatbuffer import floats, import_flatbuffers, table, vector
from ..formats.names import INPUT_NAME
from ..formats.tflite_buffers import inline, with_buffers
from .labels import labels_text
from .words import INPUT_DESCRIPTION, author, description, output_description

#: Entry of the model's metadata list, and identifier of the flatbuffer behind it.
TFLITE_ENTRY = "TFLITE_METADATA"
TFLITE_IDENTIFIER = b"M001"

# Enumerations of metadata_schema.fbs.
_FILE_DESCRIPTIONS, _FILE_AXIS_LABELS = 1, 2
_CONTENT_FEATURE, _CONTENT_IMAGE = 1, 2
_UNIT_NORMALIZATION = 1
_COLOR_RGB = 1


def describe_tflite(model: bytes, info: ModelInfo, name: str) -> bytes:
    """Add the standard metadata, the labels and the description to a TFLite model.

    Args:
        model: The plain TFLite flatbuffer.
        info: Its description.
        name: Name of the model, for people.

    Returns:
        The file: a TFLite flatbuffer with a zip archive behind it.
    """
    described = with_buffers(inline(model), metadata={TFLITE_ENTRY: _tflite_metadata(info, name)})
    files = {LABELS_NAME: labels_text(info.class_names), EMBEDDED_NAME: info.to_json()}
    return _append_zip(described, files)


def _tflite_metadata(info: ModelInfo, name: str) -> bytes:
    """The ``ModelMetadata`` flatbuffer; the numbers are the fields' places in the schema."""
    builder = import_flatbuffers().Builder(1024)
    text, spec = builder.CreateString, info.preprocess

    def file(file_name: str, description: str, kind: int) -> int:
        return table(builder, {0: text(file_name), 1: text(description)}, int8={2: kind})

    def content(kind: int, properties: int) -> int:
        return table(builder, {1: properties}, int8={0: kind})

    def stats(smallest: float, largest: float) -> int:
        return table(builder, {0: floats(builder, largest), 1: floats(builder, smallest)})

    size = table(builder, {}, uint32={0: spec.width, 1: spec.height})
    image = table(builder, {1: size}, int8={0: _COLOR_RGB})
    # (x - mean) / std with 0 and 1: the network takes the pixels as they are.
    raw = table(builder, {0: floats(builder, 0.0), 1: floats(builder, 1.0)})
    unit = table(builder, {1: raw}, int8={0: _UNIT_NORMALIZATION})
    pixels = table(
        builder,
        {
            0: text(INPUT_NAME),
            1: text(INPUT_DESCRIPTION),
            3: content(_CONTENT_IMAGE, image),
            4: vector(builder, [unit]),
            5: stats(0.0, 255.0),
        },
    )
    labels = file(LABELS_NAME, "Class names in index order.", _FILE_AXIS_LABELS)
    scores = table(
        builder,
        {
            0: text(info.output.kind),
            1: text(output_description(info)),
            3: content(_CONTENT_FEATURE, table(builder, {})),
            # Logits have no bounds that could be named.
            **({5: stats(0.0, 1.0)} if info.output.kind == "probabilities" else {}),
            6: vector(builder, [labels]),
        },
    )
    graph = table(builder, {2: vector(builder, [pixels]), 3: vector(builder, [scores])})
    own = file(EMBEDDED_NAME, "Classes, preprocessing and output.", _FILE_DESCRIPTIONS)
    model = table(
        builder,
        {
            0: text(name),
            1: text(description(info)),
            2: text(str(info.about.get("run") or __version__)),
            3: vector(builder, [graph]),
            4: text(author()),
            **({5: text(info.about["license"])} if info.about.get("license") else {}),
            6: vector(builder, [own]),
            7: text("1.0.0"),  # oldest schema that has all of the above
        },
    )
    builder.Finish(model, file_identifier=TFLITE_IDENTIFIER)
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
