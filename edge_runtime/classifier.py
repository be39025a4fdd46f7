"""Open any model of the toolkit and classify photos with it.

Example:
    >>> from edge_runtime import Classifier
    >>> classifier = Classifier.open("bundle")
    >>> classifier.classify("photo.jpg").label  # doctest: +SKIP
    'banana'
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from .backends.base import Backend
from .engine import Engine
from .errors import ImageError, ModelError
from .manifest import ModelInfo
from .opening import open_model
from .postprocess import calibrated, probabilities, top_k
from .prediction import Prediction
from .preprocess import Photo, Roi, describe, preprocess
from .settings import ModelSettings

if TYPE_CHECKING:
    from .heatmap import Explanation


class Classifier:
    """A loaded model with its labels and preprocessing.

    Attributes:
        info: Class names, preprocessing, output.
        backend: The interpreter that holds the model.
        format: Format name, or ``keras`` for a run directory.
    """

    def __init__(self, backend: Backend, info: ModelInfo, fmt: str, where: str) -> None:
        """Join a backend with a description.

        Raises:
            ModelError: They contradict each other.
        """
        spec = info.preprocess
        if backend.input_size not in (None, (spec.width, spec.height)):
            raise ModelError(
                f"{where}: the model takes {backend.input_size} pixels, "
                f"its description says {(spec.width, spec.height)}. Export it again."
            )
        if backend.classes != len(info.class_names):
            raise ModelError(
                f"{where}: the model gives {backend.classes} scores for "
                f"{len(info.class_names)} class names. Export it again."
            )
        self.backend, self.info, self.format = backend, info, fmt

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        fmt: str | None = None,
        threads: int | None = None,
        *,
        engine: Engine | None = None,
        settings: ModelSettings | None = None,
        probe: bool = False,
    ) -> Classifier:
        """Open a bundle, a ``.tflite`` or ``.onnx`` file, a SavedModel or a run directory.

        Args:
            path: The model; a SavedModel and a run directory need TensorFlow.
            fmt: Which artifact of a bundle; None for its default.
            threads: Interpreter threads; None for the engine's.
            engine: Interpreter, threads, delegate; None for the defaults.
            settings: What the caller knows of the model and the file does not say.
            probe: Whether a file that this board has not run yet is tried in a child process
                first, see :mod:`edge_runtime.probe`; the command line does.

        Raises:
            UsageError: No such path or format.
            ModelError: The model is damaged or contradicts its description.
            MissingComponent: Its interpreter is not installed.
        """
        engine = engine or Engine()
        if threads is not None:
            engine = replace(engine, threads=threads)
        opened = open_model(path, fmt, engine, settings, probe)
        return cls(opened.backend, opened.info, opened.format, opened.where)

    def pixels(self, photo: Photo, roi: Roi | None = None) -> np.ndarray:
        """The network's input for a photo: uint8 (height, width, 3) RGB."""
        return preprocess(photo, self.info.preprocess, roi)

    def scores(self, photo: Photo) -> np.ndarray:
        """Probabilities of all classes, float32 (classes,), in index order."""
        return probabilities(self.backend.scores(self.pixels(photo)), self.info.output)

    def classify(self, photo: Photo, k: int = 5) -> Prediction:
        """Classify one photo.

        Args:
            photo: Path, bytes, PIL image or array, see :func:`edge_runtime.preprocess.preprocess`.
            k: How many of the best classes ``top`` lists.

        Raises:
            ImageError: The photo cannot be read.
        """
        start = time.perf_counter()
        pixels = self.pixels(photo)
        return self.classify_pixels(pixels, describe(photo), start, k)

    def try_classify(self, photo: Photo, k: int = 5) -> Prediction:
        """:meth:`classify`, with a photo that cannot be read as a Prediction with ``error``."""
        try:
            return self.classify(photo, k)
        except ImageError as error:
            return Prediction(path=describe(photo), error=str(error))

    def classify_many(
        self, photos: Iterable[Photo], k: int = 5, *, roi: Roi | None = None, explain: bool = False
    ) -> Iterator[Prediction]:
        """Classify photos one after the other; of one that cannot be read, its ``error``.

        Args:
            photos: As for :meth:`classify`.
            k: How many of the best classes ``top`` lists.
            roi: The part of each photo that is looked at.
            explain: Whether each answer carries its ``explanation``, of the same inference.

        Yields:
            As many answers as photos, in their order.
        """
        for photo in photos:
            yield self.try_classify(photo, k)

    def classify_pixels(
        self, pixels: np.ndarray, path: str, start: float, k: int = 5
    ) -> Prediction:
        """Classify what :meth:`pixels` gave.

        Args:
            pixels: uint8 (height, width, 3).
            path: Name for the result.
            start: ``time.perf_counter()`` from before decoding.
            k: How many of the best classes ``top`` lists.
        """
        decoded = time.perf_counter()
        raw = self.backend.scores(pixels)
        end = time.perf_counter()
        output, names = self.info.output, self.info.class_names
        scores = probabilities(raw, output)
        best = top_k(scores, max(k, 1))
        tempered = calibrated(raw, output, self.backend.step)
        confidence = None if tempered is None else float(tempered[best[0]])
        threshold = output.unknown_threshold
        certain = float(scores[best[0]]) if confidence is None else confidence
        return Prediction(
            path=path,
            label=names[best[0]],
            index=best[0],
            score=float(scores[best[0]]),
            top=tuple((names[i], i, float(scores[i])) for i in best[:k]),
            calibrated_score=confidence,
            unknown=None if threshold is None else certain < threshold,
            ms={
                "decode": _ms(decoded - start),
                "infer": _ms(end - decoded),
                "total": _ms(time.perf_counter() - start),
            },
        )

    def explain(self, photo: Photo, class_name: str | None = None) -> Explanation:
        """Where the network looked; needs no more than classifying does.

        Args:
            photo: As for :meth:`classify`.
            class_name: Class to explain; None for the most probable one.

        Raises:
            ImageError: The photo cannot be read.
            UsageError: There is no such class.
            ModelError: The model holds no heat map.
        """
        index = None if class_name is None else self.info.class_index(class_name)
        return self.explain_pixels(self.pixels(photo), index)

    def explain_pixels(self, pixels: np.ndarray, index: int | None = None) -> Explanation:
        """:meth:`explain` what :meth:`pixels` gave.

        Args:
            pixels: uint8 (height, width, 3).
            index: Class to explain; None for the most probable one.
        """
        from .heatmap import Explanation

        raw, maps = self.backend.explain(pixels)
        scores = probabilities(raw, self.info.output)
        index = top_k(scores, 1)[0] if index is None else index
        return Explanation(
            heatmap=maps[..., index],
            index=index,
            label=self.info.class_names[index],
            score=float(scores[index]),
        )


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)
