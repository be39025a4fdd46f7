"""The child process that runs one exported file. Loads no more than the device would.

Run by :mod:`exporter.parity` as ``python -m exporter.worker``, with one JSON object on stdin:
``model`` (file or folder, opened by itself as on a device without its bundle), ``pixels``
(``.npy`` of uint8 (n, height, width, 3)), ``count`` (how many of them to score), ``info``
(description that the file has to carry) and ``out`` (``.npy`` to write, float32 (count,
classes)). The last line on stdout is one JSON object, ``error`` in
it being the reason of a failure; a crash leaves none.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import numpy as np


def score(model: str, pixels: str, count: int, info: dict[str, Any], out: str) -> None:
    """Score photos with the runtime's own classifier.

    Args:
        model: As above, like all others.
        pixels: Photos as the network sees them.
        count: The first so many.
        info: See :meth:`edge_runtime.manifest.ModelInfo.to_dict`.
        out: Where the probabilities go.

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
    """Read the request, answer it."""
    answer = {}
    try:
        score(**json.load(sys.stdin))
    except Exception as error:  # whatever an interpreter raises is a reason for the report
        answer["error"] = str(error).strip() or type(error).__name__
    sys.stdout.write("\n" + json.dumps(answer))  # below whatever an interpreter wrote


if __name__ == "__main__":
    main()
