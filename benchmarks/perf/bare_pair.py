"""edge-bench's timing and a bare one in turns, call by call, for bare_loop.py.

Whatever the machine does, both have it. Takes a JSON object on stdin: a request of
:mod:`benchmarks.measuring.worker` with ``path`` (the model file) and ``count``. Prints ``pairs``, the
milliseconds of each pair of calls (edge-bench, bare), and ``lost_ms``, what of edge-bench's loop is in
no sample, an inference. Each side has an interpreter of its own.
"""

from __future__ import annotations

import json
import sys
import time

from benchmarks.measuring.opened import open_request, pixels_of
from benchmarks.measuring.timing import time_calls, warm_up
from benchmarks.perf.bare_interpreter import loop, onnx, tflite

#: Calls of the loop whose own time is measured.
_CALLS = 50


def main() -> None:
    """Answer the request on stdin."""
    request = json.load(sys.stdin)
    classifier = open_request(request).classifier
    backend = classifier.backend
    tensor = backend.prepare(pixels_of(classifier, request["photo"]))
    make = tflite if request["path"].endswith(".tflite") else onnx
    bare = make(request["path"], tensor, request["engine"]["threads"])
    warm_up(backend.infer, tensor)
    loop(bare, 0.25, 3)

    def ours() -> float:
        return time_calls(backend.infer, tensor, 0, 1)[0] / 1e6

    def theirs() -> float:
        return loop(bare, 0, 1)[0] * 1e3

    pairs = []
    for number in range(request["count"]):
        if number % 2:
            second = theirs()
            pairs.append((ours(), second))
        else:
            first = ours()
            pairs.append((first, theirs()))
    start = time.perf_counter_ns()
    samples = time_calls(backend.infer, tensor, 0, _CALLS)
    lost = (time.perf_counter_ns() - start - sum(samples)) / 1e6 / _CALLS
    json.dump({"pairs": pairs, "lost_ms": lost}, sys.stdout)


if __name__ == "__main__":
    main()
