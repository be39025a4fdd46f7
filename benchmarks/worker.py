"""The child process of ``edge-bench``: one configuration, measured alone.

Run as ``python -m benchmarks.worker`` with a JSON request on stdin; the JSON answer goes to
stdout. A process of its own keeps the memory of the others out of the figures, and a crash
costs one row. Requests::

    {"task": "measure", "bundle": PATH, "format": FORMAT, "threads": N or null,
     "photo": PATH or null, "end_to_end_photo": PATH or null, "min_seconds": S, "min_runs": N}
    {"task": "accuracy", "bundle": PATH, "format": FORMAT, "photos": [[PATH, INDEX], ...]}

The answer holds what :func:`measure` or :func:`count` returns, or ``{"error": MESSAGE,
"class": NAME}`` with the name of a class of :mod:`edge_runtime.errors`.
"""

from __future__ import annotations

import contextlib
import importlib
import time
from pathlib import Path
from typing import Any

import numpy as np

from edge_runtime.bundle import Bundle
from edge_runtime.child.answering import serve
from edge_runtime.classifier import Classifier
from edge_runtime.opening import open_backend

from .memory import peak_bytes, resident_bytes
from .timing import percentile, time_calls, to_ms, warm_up

#: ``prepare`` and the way from photo to scores are side figures: fewer runs will do.
_SIDE_SHARE = 0.1
_SIDE_RUNS = 10


def measure(request: dict[str, Any]) -> dict[str, Any]:
    """Load one model and time it.

    Args:
        request: See the module's docstring; ``photo`` null means a generated pattern.

    Returns:
        ``interpreter``; ``import_ms`` (import of the interpreter, numpy and Pillow excluded),
        ``load_ms`` (opening the file, ready to run), ``first_inference_ms``; ``samples_ns``, one
        a timed :meth:`~edge_runtime.backends.base.Backend.infer` after warm-up; ``prepare_ms`` and
        ``end_to_end_ms`` (decode, prepare, infer; null without such a photo), both medians;
        ``peak_memory_bytes`` and ``resident_memory_bytes`` of this process, Python, numpy and
        Pillow included, the decoding of ``end_to_end_photo`` excluded.

    Raises:
        MissingComponent: The interpreter is not installed.
        ModelError: The model cannot be loaded.
    """
    bundle = Bundle.open(request["bundle"])
    artifact, file = bundle.file(request["format"])
    info = bundle.manifest.info
    start = time.perf_counter_ns()
    import_interpreter(file)
    imported = time.perf_counter_ns()
    backend = open_backend(file, request["threads"])
    loaded = time.perf_counter_ns()
    classifier = Classifier(backend, info, artifact.format, str(file))
    if request["photo"] is None:
        pixels = pattern(info.preprocess.height, info.preprocess.width)
    else:
        pixels = classifier.pixels(request["photo"])
    tensor = backend.prepare(pixels)
    before = time.perf_counter_ns()
    backend.infer(tensor)
    after = time.perf_counter_ns()
    min_seconds, min_runs = request["min_seconds"], request["min_runs"]
    warm_up(backend.infer, tensor)
    samples = time_calls(backend.infer, tensor, min_seconds, min_runs)
    side = (min_seconds * _SIDE_SHARE, min(min_runs, _SIDE_RUNS))
    prepared = time_calls(backend.prepare, pixels, *side)
    peak, resident = peak_bytes(), resident_bytes()  # before a large photo is decoded
    photo = request["end_to_end_photo"]
    whole = None if photo is None else time_calls(classifier.scores, photo, *side)
    return {
        "interpreter": backend.name,
        "import_ms": to_ms(imported - start),
        "load_ms": to_ms(loaded - imported),
        "first_inference_ms": to_ms(after - before),
        "samples_ns": samples.tolist(),
        "prepare_ms": to_ms(percentile(sorted(prepared), 50)),
        "end_to_end_ms": None if whole is None else to_ms(percentile(sorted(whole), 50)),
        "peak_memory_bytes": peak,
        "resident_memory_bytes": resident,
    }


def count(request: dict[str, Any]) -> dict[str, Any]:
    """Classify labelled photos as ``edge-classify image`` does.

    Args:
        request: See the module's docstring.

    Returns:
        ``correct`` (a count) and ``unreadable``, a list of (position in ``photos``, reason).
    """
    classifier = Classifier.open(request["bundle"], request["format"])
    correct, unreadable = 0, []
    for position, (photo, index) in enumerate(request["photos"]):
        prediction = classifier.try_classify(photo, k=1)
        if prediction.error is not None:
            unreadable.append((position, prediction.error))
        correct += prediction.index == index
    return {"correct": correct, "unreadable": unreadable}


def import_interpreter(file: Path) -> None:
    """Import what :func:`~edge_runtime.opening.open_backend` will import for a model file.

    Raises:
        MissingComponent: It is not installed.
    """
    if file.suffix == ".tflite":
        from edge_runtime.backends.litert import load_interpreter

        load_interpreter()
    elif file.suffix == ".onnx":
        importlib.import_module("edge_runtime.backends.onnx")
        with contextlib.suppress(ImportError):  # opening the file says so, with the remedy
            importlib.import_module("onnxruntime")
    else:
        from edge_runtime.backends.full_model import import_tensorflow

        import_tensorflow()


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


_TASKS = {"measure": measure, "accuracy": count}


def main() -> None:
    """Answer the request on stdin."""
    serve(lambda request: _TASKS[request["task"]](request))


if __name__ == "__main__":
    main()
