"""The child process that runs one exported file. Loads no more than the device would.

Run by :mod:`exporter.parity` as ``python -m exporter.worker``, see :mod:`edge_runtime.child`. The
request holds the arguments of :func:`score`; the answer is empty, the probabilities are in a file.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from edge_runtime.child import serve


def score(model: str, pixels: str, count: int, info: dict[str, Any], out: str) -> None:
    """Score photos with the runtime's own classifier.

    Args:
        model: File or folder, opened by itself as on a device without its bundle.
        pixels: ``.npy`` of uint8 (n, height, width, 3), photos as the network sees them.
        count: How many of them to score.
        info: Description that the file has to carry, of
            :meth:`edge_runtime.manifest.ModelInfo.to_dict`.
        out: ``.npy`` to write, float32 (count, classes).

    Raises:
        EdgeError: The file cannot be run, or describes itself differently.
    """
    from edge_runtime.classifier import Classifier
    from edge_runtime.errors import ModelError
    from edge_runtime.manifest import ModelInfo
    from edge_runtime.postprocess import probabilities

    classifier = Classifier.open(model)
    if classifier.info != ModelInfo.from_dict(info, "the run"):
        raise ModelError(f"{os.path.basename(model)}: carries another description than the run.")
    scores = [
        probabilities(classifier.backend.scores(np.asarray(photo)), classifier.info.output)
        for photo in np.load(pixels, mmap_mode="r")[:count]
    ]
    np.save(out, np.stack(scores).astype(np.float32))


def main() -> None:
    """Answer the request on stdin."""
    serve(_work)


def _work(request: dict[str, Any]) -> dict[str, Any]:
    score(**request)
    return {}


if __name__ == "__main__":
    main()
