"""The child process that runs one exported file. Loads no more than the device would.

Run by :mod:`exporter.scoring` as ``python -m exporter.worker``, see
:mod:`edge_runtime.child.asking`. The request holds the arguments of :func:`answer`, whose result
is the answer; arrays are in a file.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.child.answering import serve

if TYPE_CHECKING:
    from edge_runtime.classifier import Classifier


def answer(
    model: str,
    pixels: str,
    count: int,
    info: dict[str, Any],
    out: str,
    described: bool,
    classes: list[int],
    mapped: list[int],
    changed: int,
) -> dict[str, Any]:
    """Score photos one by one with the runtime's own classifier, and explain some.

    Args:
        model: File or folder.
        pixels: ``.npy`` of uint8 (n, height, width, 3), photos as the network sees them.
        count: How many of them to score.
        info: Its description, of :meth:`edge_runtime.manifest.ModelInfo.to_dict`.
        out: ``.npz`` to write: ``raw`` float32 (count, classes), as the file gives them; ``maps``
            float32 (len(mapped), h, w), heat maps of ``classes``; ``changed`` int, photos with
            another answer than ``classes``, and ``own`` float32, the maps of the file's answer.
        described: Whether the file has to carry this description itself, and is opened by it, as
            on a device without its bundle.
        classes: The reference's answer for each photo; empty for scores only.
        mapped: Indices of the photos to explain.
        changed: Of how many photos with another answer to explain that answer, the surest first.

    Returns:
        ``step``, the distance of two neighbouring scores of a quantised output, 0 for another;
        ``heatmap_error``, why there are no maps though the file should have some, else None.

    Raises:
        EdgeError: The file cannot be run, or describes itself differently.
    """
    classifier = _open(model, info, described)
    photos = np.load(pixels, mmap_mode="r")[:count]
    raw = np.stack([classifier.backend.scores(np.asarray(photo)) for photo in photos])
    arrays: dict[str, Any] = {"raw": raw.astype(np.float32)}
    error = None
    if classes and _explains(classifier):
        answers = raw.argmax(axis=1)
        others = [i for i in range(count) if answers[i] != classes[i]]
        others = sorted(others, key=lambda i: -float(raw[i].max()))[:changed]
        try:
            explain = _explainer(classifier, model)
            arrays |= {
                "changed": np.array(others, np.int64),
                "maps": _stacked([explain(np.asarray(photos[i]), classes[i]) for i in mapped]),
                "own": _stacked([explain(np.asarray(photos[i]), int(answers[i])) for i in others]),
            }
        except Exception as reason:  # a reason for the report; the scores are there all the same
            error = str(reason).strip() or type(reason).__name__
    np.savez(out, **arrays)
    return {"step": float(classifier.backend.step), "heatmap_error": error}


def _open(model: str, info: dict[str, Any], described: bool) -> Classifier:
    from edge_runtime.classifier import Classifier
    from edge_runtime.errors import ModelError
    from edge_runtime.manifest import ModelInfo
    from edge_runtime.opening import open_backend

    wanted = ModelInfo.from_dict(info, "the run")
    if not described:
        return Classifier(open_backend(model), wanted, "", os.path.basename(model))
    classifier = Classifier.open(model)
    said = classifier.info
    # A manifest does not repeat where each file comes from.
    if (said if wanted.about else replace(said, about={})) != wanted:
        raise ModelError(f"{os.path.basename(model)}: carries another description than expected.")
    return classifier


def _explains(classifier: Classifier) -> bool:
    """Whether the file has a heat map, or says that it has one."""
    backend, named = classifier.backend, classifier.info.output.heatmap
    return backend.name == "saved_model" or named is not None or backend.heatmap is not None


def _explainer(classifier: Classifier, model: str) -> Callable[[np.ndarray, int], np.ndarray]:
    """From the pixels of a photo and a class to its raw heat map, float32 (h, w)."""
    if classifier.backend.name != "saved_model":
        return lambda pixels, index: classifier.explain_pixels(pixels, index).heatmap
    # It has Grad-CAM itself, as a signature, which holds what it belongs to only weakly.
    from edge_runtime.backends.full_model import GRADCAM_SIGNATURE, load_saved_model, signature
    from edge_runtime.gradcam import GradCam

    loaded, names = load_saved_model(model), classifier.info.class_names
    gradcam = GradCam(signature(loaded, GRADCAM_SIGNATURE, model), classifier.info)

    def explain(pixels: np.ndarray, index: int, _: Any = loaded) -> np.ndarray:
        return gradcam.explain(pixels, names[index]).heatmap

    return explain


def _stacked(maps: list[np.ndarray]) -> np.ndarray:
    """float32 (n, h, w); (0, 0, 0) of none."""
    return np.stack(maps).astype(np.float32) if maps else np.empty((0, 0, 0), np.float32)


def main() -> None:
    """Answer the request on stdin."""
    serve(lambda request: answer(**request))


if __name__ == "__main__":
    main()
