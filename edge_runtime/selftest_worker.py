"""The child process that runs artifacts for ``edge-classify selftest``.

Run as ``python -m edge_runtime.selftest_worker``, see :mod:`.child.asking`. A request holds
``model`` (path of the artifact), ``pixels`` (``.npy`` of uint8 (n, h, w, 3)), ``kind`` (of its
output) and perhaps ``engine`` (fields of :class:`~edge_runtime.engine.Engine`); the answer
``scores`` (n lists of probabilities), ``interpreter`` and ``ms`` (median of one photo).
"""

from __future__ import annotations

import time
from typing import Any

from .child.answering import serve_session


def work(request: dict[str, Any]) -> dict[str, Any]:
    """Answer a request; opens the file as ``edge-classify image`` does."""
    import numpy as np

    from .engine import Engine
    from .manifest import OutputSpec
    from .opening import open_backend
    from .postprocess import probabilities

    backend = open_backend(request["model"], engine=Engine(**request.get("engine", {})))
    output = OutputSpec(kind=request["kind"])
    scores, times = [], []
    for pixels in np.load(request["pixels"]):
        start = time.perf_counter()
        raw = backend.scores(pixels)
        times.append((time.perf_counter() - start) * 1000)
        scores.append([float(value) for value in probabilities(raw, output)])
    return {
        "scores": scores,
        "interpreter": backend.name,
        "ms": round(sorted(times)[len(times) // 2], 3),
    }


def main() -> None:
    """Answer the requests on stdin."""
    serve_session(work)


if __name__ == "__main__":
    main()
