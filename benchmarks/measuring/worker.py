"""The child process of ``edge-bench``: one configuration, measured alone.

Run as ``python -m benchmarks.measuring.worker`` with a JSON request on stdin; the JSON answer goes to
stdout. A process of its own keeps the memory of the others out of the figures, and a crash costs
one row. Each request holds what :func:`.opened.open_request` reads, ``task``, and::

    {"task": "describe"}
    {"task": "pixels", "photo": PATH, "out": PATH}
    {"task": "latency", "pixels": PATH or null, "photos": [PATH, ...], "min_seconds": S, "min_runs": N}
    {"task": "throughput", "photo": PATH or null, "modes": [[STREAMS, BATCH], ...], "seconds": S}
    {"task": "accuracy", "photos": [[PATH, INDEX], ...]}
    {"task": "profile", "photo": PATH or null, "runs": N}

``photo`` null stands for a generated pattern, and so does ``pixels``, else what "pixels" wrote. The answer holds what the function of the task
returns, or ``{"error": MESSAGE, "class": NAME}`` with a class of :mod:`edge_runtime.errors`.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from edge_runtime.child.answering import serve
from edge_runtime.procfs import resident_bytes

from ..memory import peak_bytes
from .counting import count
from .opened import open_request, pixels_of
from .profile import profile
from .running import describe_running
from .stages import time_stages
from .throughput import measure_throughput
from .timing import time_calls, to_ms, warm_up


def describe(request: dict[str, Any]) -> dict[str, Any]:
    """What is known of a single model file before it is measured.

    Returns:
        ``class_names``, ``width``, ``height`` (of its input) and ``format``.
    """
    classifier = open_request(request).classifier
    spec = classifier.info.preprocess
    return {
        "class_names": list(classifier.info.class_names),
        "width": spec.width,
        "height": spec.height,
        "format": classifier.format,
    }


def write_pixels(request: dict[str, Any]) -> dict[str, Any]:
    """Decode a photo for :func:`latency`, whose peak memory it must not be in."""
    np.save(request["out"], pixels_of(open_request(request).classifier, request["photo"]))
    return {}


def latency(request: dict[str, Any]) -> dict[str, Any]:
    """Load a model and time it.

    Returns:
        ``running`` (see :func:`.running.describe_running`); ``import_ms`` and ``load_ms`` (see
        :class:`.opened.Opened`), ``first_ms``; ``samples``, nanoseconds of each timed
        :meth:`~edge_runtime.backends.base.Backend.infer` (int64 in base64); ``seconds`` of that
        loop; ``warm_up_runs``, ``steady``; ``peak_bytes`` and ``steady_bytes`` of this process,
        Python, numpy and Pillow included, the decoding of photos excluded; ``stages`` of each of
        ``photos``, see :func:`.stages.time_stages`.

    Raises:
        MissingComponent: The interpreter is not installed.
        ModelError: The model cannot be loaded.
    """
    opened = open_request(request)
    classifier = opened.classifier
    backend = classifier.backend
    file = request["pixels"]
    tensor = backend.prepare(pixels_of(classifier, None) if file is None else np.load(file))
    before = time.perf_counter_ns()
    backend.infer(tensor)
    after = time.perf_counter_ns()
    warmed = warm_up(backend.infer, tensor)
    start = time.perf_counter()
    samples = time_calls(backend.infer, tensor, request["min_seconds"], request["min_runs"])
    seconds = time.perf_counter() - start
    peak, resident = peak_bytes(), resident_bytes()  # before large photos are decoded
    return {
        "running": describe_running(backend),
        "import_ms": opened.import_ms,
        "load_ms": opened.load_ms,
        "first_ms": to_ms(after - before),
        "samples": base64.b64encode(samples.tobytes()).decode("ascii"),
        "seconds": round(seconds, 4),
        "warm_up_runs": warmed.runs,
        "steady": warmed.steady,
        "peak_bytes": peak,
        "steady_bytes": resident,
        "stages": [time_stages(classifier, photo) for photo in request["photos"]],
    }


def samples_of(answer: dict[str, Any]) -> np.ndarray:
    """``samples`` of :func:`latency` in milliseconds, float64 (n,), in the order of their taking."""
    return np.frombuffer(base64.b64decode(answer["samples"]), np.int64) / 1e6


_TASKS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "describe": describe,
    "pixels": write_pixels,
    "latency": latency,
    "throughput": measure_throughput,
    "accuracy": count,
    "profile": profile,
}


def main() -> None:
    """Answer the request on stdin."""
    serve(lambda request: _TASKS[request["task"]](request))


if __name__ == "__main__":
    main()
