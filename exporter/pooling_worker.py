"""The child process that computes the features in front of the heads of files.

Run by :mod:`exporter.features` as ``python -m exporter.pooling_worker``, see
:mod:`edge_runtime.child.asking`. The request holds the arguments of :func:`answer`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from edge_runtime.child.answering import serve


def answer(
    models: dict[str, str],
    validation: str,
    checked: list[int],
    training: str,
    drawn: int,
    out: str,
) -> dict[str, Any]:
    """Compute pooled features of photos with the runtime's own backend.

    Args:
        models: By format, described ``.tflite`` and ``.onnx`` files.
        validation: ``.npy`` of uint8 (n, height, width, 3).
        checked: Which of them to compute.
        training: ``.npy`` of more photos, computed by the first file that can be.
        drawn: How many of those, the first ones.
        out: ``.npz`` to write: float32 (photos, k) for each format, and ``training``.

    Returns:
        ``errors``, by format: why a file gives no features.
    """
    from edge_runtime.classifier import Classifier
    from edge_runtime.errors import EdgeError

    arrays: dict[str, Any] = {}
    errors: dict[str, str] = {}

    def computed(pooling: Any, file: str, places: Any) -> np.ndarray:
        photos = np.load(file, mmap_mode="r")
        return np.stack([pooling(np.asarray(photos[place])) for place in places])

    for fmt, model in models.items():
        try:
            with Classifier.open(model) as classifier:
                pooling = classifier.backend.pooling()
                if "training" not in arrays:
                    arrays["training"] = computed(pooling, training, range(drawn))
                arrays[fmt] = computed(pooling, validation, checked)
        except EdgeError as error:  # a network that ends otherwise, or no interpreter here
            errors[fmt] = str(error)
    np.savez(out, **arrays)
    return {"errors": errors}


def main() -> None:
    """Answer the request on stdin."""
    serve(lambda request: answer(**request))


if __name__ == "__main__":
    main()
