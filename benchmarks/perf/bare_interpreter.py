"""The loop that one writes by hand around an interpreter; bare_loop.py compares edge-bench with it.

Takes a JSON object on stdin (model, tensor, threads, seconds, runs), prints the median in ms.
Nothing of the toolkit is imported.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable

import numpy as np


def tflite(model: str, tensor: np.ndarray, threads: int) -> Callable[[], object]:
    """One inference with LiteRT."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=model, num_threads=threads)
    interpreter.allocate_tensors()
    source = interpreter.get_input_details()[0]["index"]
    sink = interpreter.get_output_details()[0]["index"]

    def infer() -> object:
        interpreter.set_tensor(source, tensor)
        interpreter.invoke()
        return interpreter.get_tensor(sink)

    return infer


def onnx(model: str, tensor: np.ndarray, threads: int) -> Callable[[], object]:
    """One inference with onnxruntime."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    feed = {session.get_inputs()[0].name: tensor}
    names = [session.get_outputs()[0].name]
    return lambda: session.run(names, feed)


def loop(infer: Callable[[], object], seconds: float, runs: int) -> list[float]:
    """Seconds of each call."""
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < runs or time.perf_counter() < end:
        start = time.perf_counter()
        infer()
        times.append(time.perf_counter() - start)
    return times


def main() -> None:
    """Answer the request on stdin."""
    request = json.load(sys.stdin)
    make = tflite if request["model"].endswith(".tflite") else onnx
    infer = make(request["model"], np.load(request["tensor"]), request["threads"])
    loop(infer, 0.25, 3)
    median = statistics.median(loop(infer, request["seconds"], request["runs"]))
    sys.stdout.write(f"{median * 1000}\n")


if __name__ == "__main__":
    main()
