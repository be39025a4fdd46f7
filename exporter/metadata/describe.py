"""Turn a plain converted file into one that explains itself; as often as its figures change."""

from __future__ import annotations

import shutil
from pathlib import Path

from edge_runtime.manifest import EMBEDDED_NAME, FORMAT_SUFFIXES, ModelInfo

#: Where TensorFlow leaves files of other programs alone in a SavedModel.
_EXTRA = "assets.extra"


def describe(plain: Path, target: Path, info: ModelInfo, name: str) -> None:
    """Write a file with its description.

    A temperature is known only after the file has answered, so a file is converted once and
    described as often as needed: with the same plain file and description, to the same bytes.

    Args:
        plain: File or folder as converted.
        target: File or folder to write; one that is there is replaced.
        info: What it has to say about itself; ``about["format"]`` is its format.
        name: Name of the model, for people.

    Raises:
        ModelError: A class name cannot be written.
        MissingComponent: A package is not installed.
    """
    suffix = FORMAT_SUFFIXES[info.about["format"]]
    if suffix == ".tflite":
        from .tflite import describe_tflite

        target.write_bytes(describe_tflite(plain.read_bytes(), info, name))
    elif suffix == ".onnx":
        from .onnx import describe_onnx

        target.write_bytes(describe_onnx(plain.read_bytes(), info, name))
    else:
        shutil.copytree(plain, target, dirs_exist_ok=True)
        extra = target / _EXTRA
        extra.mkdir(exist_ok=True)
        (extra / EMBEDDED_NAME).write_text(info.to_json() + "\n", encoding="utf-8")
