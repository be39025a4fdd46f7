"""The model that every format of one export is converted from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..network import Network
from ..options import ExportOptions


class Source:
    """A Keras model, and what several formats are made from, each made once.

    Attributes:
        network: The classifier.
        options: Of the export.
    """

    def __init__(self, network: Network, options: ExportOptions, work: Path) -> None:
        """Join a classifier with a folder for what is made from it.

        Args:
            network: The classifier.
            options: Of the export.
            work: Folder for intermediate files.
        """
        self.network, self.options, self._work = network, options, work

    def saved_model(self) -> Path:
        """Folder of the SavedModel that TFLite files are converted from.

        Raises:
            ModelError: TensorFlow cannot save the model.
        """
        from .saved_model import write_saved_model

        return self._once("source", lambda path: write_saved_model(self, path))

    def tflite(self) -> Path:
        """The float32 TFLite file.

        Raises:
            ModelError: TensorFlow cannot convert the model.
        """
        from . import tflite

        return self._once(
            "float32.tflite", lambda path: path.write_bytes(tflite.convert(self, "tflite-fp32"))
        )

    def onnx(self) -> Path:
        """The float32 ONNX file.

        Raises:
            ModelError: tf2onnx cannot convert the model.
        """
        from . import onnx

        return self._once("float32.onnx", lambda path: onnx.convert(self, path))

    def scratch(self, name: str) -> Path:
        """A place for an intermediate file."""
        return self._work / name

    def _once(self, name: str, make: Callable[[Path], Any]) -> Path:
        path = self._work / name
        if not path.exists():
            make(path)
        return path
