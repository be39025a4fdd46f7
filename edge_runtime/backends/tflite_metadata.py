"""The standard metadata inside a TFLite file, of whatever program wrote it.

The TFLite Metadata standard (https://ai.google.dev/edge/litert/conversion/tensorflow/metadata): a
flatbuffer in a buffer of the model says what the tensors mean (``metadata_schema.fbs``, the numbers
of fields below are those of it), and the files that it names lie in a zip archive behind the model.
"""

from __future__ import annotations

import errno
import struct
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..errors import ModelError, UsageError
from ..foreign.labels import parse_labels
from ..settings import ModelSettings
from .flatbuffer import Table

#: Name of the flatbuffer in the model's list of metadata.
ENTRY = "TFLITE_METADATA"

#: Bytes that a file of labels may have unpacked: a million classes of long names.
_MAX_LABELS = 32 << 20

# Enumerations of the schema.
_AXIS_LABELS, _VALUE_LABELS, _CALIBRATION_FILE = 2, 3, 4
_IMAGE_PROPERTIES = 2
_NORMALIZATION, _CALIBRATION, _THRESHOLDING = 1, 2, 3
_COLORS = {1: "RGB", 2: "GRAY"}

# Fields of TensorMetadata, AssociatedFile, ProcessUnit and ModelMetadata.
_CONTENT, _UNITS, _FILES = 3, 4, 6
_FILE_NAME, _FILE_TYPE, _FILE_LOCALE = 0, 2, 3
_ABOUT = {0: "name", 1: "description", 2: "version", 4: "author", 5: "license"}


@dataclass(frozen=True)
class Metadata:
    """What a TFLite file says of itself in the standard's terms.

    Attributes:
        settings: Labels, normalisation, size, and the order of the channels.
        labels_file: Where the labels come from, for people; empty without any.
        about: Name, author, licence and so on, for people.
        complaint: Why its labels, normalisation or size are left aside; empty where they are not.
    """

    settings: ModelSettings = field(default_factory=ModelSettings)
    labels_file: str = ""
    about: dict[str, Any] = field(default_factory=dict)
    complaint: str = ""


def read_metadata(model: bytes, where: str) -> Metadata:
    """Read the metadata of a TFLite file.

    Args:
        model: The file.
        where: Its name.

    Returns:
        An empty one where the file has none.

    Raises:
        ModelError: It is damaged.
    """
    try:
        root = _root(model)
        if root is None:
            return Metadata()
        graphs = root.tables(3)
        tensors = [graphs[0].tables(slot)[:1] for slot in (2, 3)] if graphs else [[], []]
        (inputs, outputs), about = tensors, {
            name: text for slot, name in _ABOUT.items() if (text := root.text(slot))
        }  # fmt: skip
        source, target = next(iter(inputs), None), next(iter(outputs), None)
        about |= {} if target is None else _scores(target)
        labels, file, complaints = None, "", []
        try:
            labels, file = (None, "") if target is None else _labels(target, where)
        except ModelError as error:  # the user may have others
            complaints.append(str(error).removeprefix(f"{where}: "))
        try:
            stated = ModelSettings(labels=labels, **({} if source is None else _input(source)))
        except UsageError as error:
            stated = ModelSettings(labels=labels)
            complaints.append(str(error))
        return Metadata(stated, file, about, " ".join(complaints))
    except (struct.error, IndexError, ValueError, OverflowError) as error:
        raise ModelError(
            f"{where}: its metadata is damaged ({error}). Copy the file again."
        ) from error


def _root(model: bytes) -> Table | None:
    table = Table.root(model)
    buffers = table.tables(4)
    for entry in table.tables(6):
        if entry.text(0) == ENTRY:
            content = buffers[entry.number(1, "uint")]
            start, size = content.number(1, "ulong"), content.number(2, "ulong")
            # Files beyond 2 GB keep their buffers behind the flatbuffer.
            raw = content.array(0, "u1").tobytes() if start <= 1 else model[start : start + size]
            return Table.root(raw)
    return None


def _input(tensor: Table) -> dict[str, Any]:
    """Normalisation, order of the channels and size, as arguments of ModelSettings."""
    found: dict[str, Any] = {}
    content = tensor.table(_CONTENT)
    if content is not None and content.number(0, "ubyte") == _IMAGE_PROPERTIES:
        image = content.table(1)
        if image is not None:
            found["color"] = _COLORS.get(image.number(0, "byte"))
            size = image.table(1)
            if size is not None and (width := size.number(0, "uint")):
                found["size"] = (width, size.number(1, "uint"))
    for unit in tensor.tables(_UNITS):
        options = unit.table(1)
        if unit.number(0, "ubyte") == _NORMALIZATION and options is not None:
            found["mean"], found["std"] = (_few(options.array(slot, "<f4")) for slot in (0, 1))
    return found


def _few(values: np.ndarray) -> tuple[float, ...]:
    """Numbers of each channel; one where they are equal."""
    numbers = tuple(float(value) for value in values[:4])
    return numbers[:1] if len(set(numbers)) == 1 else numbers


def _scores(tensor: Table) -> dict[str, Any]:
    """What else is said of the scores, for people."""
    notes: dict[str, Any] = {}
    for unit in tensor.tables(_UNITS):
        kind, options = unit.number(0, "ubyte"), unit.table(1)
        if kind == _THRESHOLDING and options is not None:
            notes["score_threshold"] = options.real(0)
        elif kind == _CALIBRATION:
            names = [
                file.text(_FILE_NAME)
                for file in tensor.tables(_FILES)
                if file.number(_FILE_TYPE, "byte") == _CALIBRATION_FILE
            ]
            notes["score_calibration"] = f"{', '.join(names) or 'no file'} (not applied)"
    return notes


def _labels(tensor: Table, where: str) -> tuple[tuple[str, ...] | None, str]:
    """The labels of the output, and the name of their file."""
    files = [(file.number(_FILE_TYPE, "byte"), file) for file in tensor.tables(_FILES)]
    for kind in (_AXIS_LABELS, _VALUE_LABELS):
        found = [file for number, file in files if number == kind]
        if found:
            chosen = _without_locale(found)
            name, locale = chosen.text(_FILE_NAME), chosen.text(_FILE_LOCALE)
            labels = parse_labels(_unpacked(name, where), f"{where}:{name}")
            return labels, name + (f" (locale {locale})" if locale else "")
    return None, ""


def _without_locale(files: Sequence[Table]) -> Table:
    """The labels for everybody, else the English ones, else the first.

    A file may be one of several by its locale (``labels_de.txt``); some writers leave the locale
    out and have it in the name alone.
    """
    names = [file.text(_FILE_NAME).rpartition(".")[0] for file in files]

    def foreignness(place: int) -> tuple[int, int, int]:
        locale = files[place].text(_FILE_LOCALE).casefold()
        longer = sum(names[place] != name and names[place].startswith(name) for name in names)
        return (0 if not locale else 1 if locale.startswith("en") else 2, longer, place)

    return files[min(range(len(files)), key=foreignness)]


def _unpacked(name: str, where: str) -> bytes:
    try:
        with zipfile.ZipFile(where) as archive, archive.open(name) as stream:
            content = stream.read(_MAX_LABELS + 1)
    except (
        zipfile.BadZipFile, zlib.error, KeyError, EOFError, NotImplementedError, RuntimeError,
        ValueError, OSError,
    ) as error:  # fmt: skip
        if isinstance(error, OSError) and error.errno != errno.EINVAL:  # of a place in front of it
            raise
        raise ModelError(
            f"{where}: it names the labels {name!r}, which are not in the file or damaged ({error})."
        ) from error
    if len(content) > _MAX_LABELS:
        raise ModelError(f"{where}:{name}: more than {_MAX_LABELS >> 20} MB of labels. Refused.")
    return content
