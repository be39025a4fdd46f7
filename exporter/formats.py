"""One way to write any format, whichever module converts it."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from edge_runtime.errors import missing_package
from edge_runtime.manifest import EMBEDDED_NAME, ModelInfo, artifact_name

from . import onnx, saved_model, tflite
from .metadata import describe_onnx, describe_tflite

#: Every format's quantisation scheme under its true name.
SCHEMES = {"saved_model": "none (float32)", **tflite.SCHEMES, **onnx.SCHEMES}

#: The format that needs photos to calibrate with.
CALIBRATED = frozenset({"tflite-int8"})

_PACKAGES = {
    "tflite": ("ai_edge_litert", "flatbuffers"),
    "onnx": ("onnx", "onnxruntime", "tf2onnx"),
}


def require(formats: Iterable[str]) -> None:
    """Check, before any work, that what the formats need is installed.

    Raises:
        MissingComponent: A package is not.
    """
    for fmt in formats:
        for package in _PACKAGES.get(fmt.partition("-")[0], ()):
            if importlib.util.find_spec(package) is None:
                raise missing_package(package, "export", f"write {fmt}")


class FormatWriter:
    """Writes the files of one model, all converted from one SavedModel."""

    def __init__(self, model: Any, info: ModelInfo, name: str, work: Path) -> None:
        """Save the SavedModel that the formats are converted from.

        Args:
            model: The ``keras.Model``.
            info: Class names and preprocessing, which go into every file.
            name: Name of the model, for people.
            work: Folder for what is not part of the bundle.

        Raises:
            ModelError: TensorFlow cannot save the model.
        """
        self._info, self._name = info, name
        self._source = work / "source"
        saved_model.write_saved_model(model, self._source, info)

    def write(
        self,
        fmt: str,
        folder: Path,
        calibration: np.ndarray | None = None,
        opset: int = onnx.DEFAULT_OPSET,
    ) -> Path:
        """Write one format, still without its description.

        Args:
            fmt: A key of :data:`SCHEMES`.
            folder: Where to.
            calibration: uint8 (n, height, width, 3), for the formats of :data:`CALIBRATED`.
            opset: ONNX operator set.

        Returns:
            The file or folder, named as :func:`edge_runtime.manifest.artifact_name` says.

        Raises:
            ModelError: The converter failed, or its file needs more than a plain interpreter.
        """
        target = folder / artifact_name(fmt)
        if fmt in tflite.SCHEMES:
            target.write_bytes(tflite.convert(self._source, fmt, calibration))
        elif fmt in onnx.SCHEMES:
            model = onnx.convert(self._source, fmt, opset)
            target.write_bytes(model.SerializeToString(deterministic=True))
        else:
            shutil.copytree(self._source, target)
        return target

    def describe(self, target: Path, info: ModelInfo) -> None:
        """Add the description to a file of :meth:`write`, once its output is known."""
        if target.suffix == ".tflite":
            target.write_bytes(describe_tflite(target.read_bytes(), info, self._name))
        elif target.suffix == ".onnx":
            model = onnx.import_onnx().load(str(target))
            describe_onnx(model, info, self._name)
            target.write_bytes(model.SerializeToString(deterministic=True))
        else:
            file = target / "assets.extra" / EMBEDDED_NAME
            file.write_text(info.to_json() + "\n", encoding="utf-8")
