"""The worker of edge-bench with every inference made slower, for :mod:`.bench_compare`.

``PLANTED_SLOWDOWN`` says by how many percent: after each inference the processor is kept busy for
that share of the time that it took.
"""

from __future__ import annotations

import os
import runpy
import time

import numpy as np

from edge_runtime.backends.base import Backend

#: Environment variable with the percents.
VARIABLE = "PLANTED_SLOWDOWN"


def slow_down(percent: float) -> None:
    """Make ``infer`` of every backend slower, from now on, in this process.

    Args:
        percent: Of the time of each inference.
    """
    infer, clock = Backend.infer, time.perf_counter

    def slower(self: Backend, tensor: np.ndarray) -> np.ndarray:
        start = clock()
        scores = infer(self, tensor)
        end = clock() + (clock() - start) * percent / 100
        while clock() < end:
            pass
        return scores

    Backend.infer = slower  # type: ignore[method-assign]


if __name__ == "__main__":
    slow_down(float(os.environ.get(VARIABLE, "0")))
    runpy.run_module("benchmarks.measuring.worker", run_name="__main__", alter_sys=True)
