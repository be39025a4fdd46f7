"""What a request says of a model, opened as ``edge-classify image`` opens it."""

from __future__ import annotations

import contextlib
import importlib
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from edge_runtime.classifier import Classifier
from edge_runtime.engine import Engine
from edge_runtime.settings import ModelSettings

from .timing import to_ms


class Opened(NamedTuple):
    """A model that is ready to run, and what that took."""

    classifier: Classifier
    import_ms: float  #: of the interpreter; numpy and Pillow excluded
    load_ms: float  #: from the path to a model that is ready to run


def open_request(request: dict[str, Any]) -> Opened:
    """Open the model of a request.

    Args:
        request: ``model`` (absolute path), ``format`` (of a bundle, else null), ``file`` (name of
            the model file), ``engine`` and ``settings`` (fields of Engine and ModelSettings, null
            for none).

    Raises:
        MissingComponent: The interpreter is not installed.
        ModelError: The model cannot be loaded.
    """
    engine = engine_of(request)
    start = time.perf_counter_ns()
    import_interpreter(request["file"], engine.interpreter)
    imported = time.perf_counter_ns()
    classifier = Classifier.open(
        request["model"], request["format"], engine=engine, settings=settings_of(request)
    )
    loaded = time.perf_counter_ns()
    return Opened(classifier, to_ms(imported - start), to_ms(loaded - imported))


def engine_of(request: dict[str, Any]) -> Engine:
    """The engine of a request."""
    return Engine(**request["engine"])


def settings_of(request: dict[str, Any]) -> ModelSettings | None:
    """The settings of a request; JSON has made lists of their tuples."""
    given = request["settings"]
    if given is None:
        return None
    fields: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in given.items()
    }
    return ModelSettings(**fields)


def import_interpreter(file: str, name: str | None = None) -> None:
    """Import what opening a model file will import.

    Args:
        file: Its name, which tells the kind of model.
        name: Of the interpreter; None for the first that is installed.

    Raises:
        MissingComponent: It is not installed.
    """
    suffix = Path(file).suffix
    if suffix == ".tflite":
        importlib.import_module("edge_runtime.backends.litert")
        from edge_runtime.backends.interpreters import load_interpreter

        load_interpreter(name)
    elif suffix == ".onnx":
        importlib.import_module("edge_runtime.backends.onnx")
        with contextlib.suppress(ImportError):  # opening the file says so, with the remedy
            importlib.import_module("onnxruntime")
    else:
        from edge_runtime.backends.full_model import import_keras, import_tensorflow

        (import_keras if suffix == ".keras" else import_tensorflow)()


def pixels_of(classifier: Classifier, photo: str | None) -> np.ndarray:
    """The network's input for a photo; None for a generated pattern."""
    if photo is not None:
        return classifier.pixels(photo)
    spec = classifier.info.preprocess
    return pattern(spec.height, spec.width)


def pattern(height: int, width: int) -> np.ndarray:
    """Pixels to time with where no photo is at hand: ramps and a checkerboard.

    Returns:
        uint8 (height, width, 3), values over the whole range, no two channels alike.
    """
    rows, columns = np.indices((height, width))
    red = rows * 255 // max(height - 1, 1)
    green = columns * 255 // max(width - 1, 1)
    blue = (rows // 8 + columns // 8) % 2 * 200 + 20
    return np.stack([red, green, blue], axis=-1).astype(np.uint8)
