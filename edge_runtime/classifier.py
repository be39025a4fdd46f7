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
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .backends.base import Backend
from .bundle import Bundle, is_bundle
from .errors import ImageError, ModelError, UsageError
from .manifest import ModelInfo, check_format
from .postprocess import calibrated, probabilities, top_k
from .preprocess import Photo, describe, preprocess
from .rundir import MODEL, RunDir, looks_like_run

if TYPE_CHECKING:
    from .heatmap import Explanation


@dataclass(frozen=True)
class Prediction:
    """The answer for one photo; ``label`` and what belongs to it are None when ``error`` is set.

    Attributes:
        path: The photo as the caller named it.
        label: Class name of the raw top-1.
        index: Its class index.
        score: Its probability, 0..1.
        top: The best classes as (label, index, score), best first.
        calibrated_score: Temperature-scaled probability of ``index``; None without a temperature.
        unknown: Whether it is under the unknown-threshold; None without a threshold.
        ms: Milliseconds of ``decode`` (photo to pixels), ``infer`` and ``total``.
        error: Why the photo could not be classified.
    """

    path: str
    label: str | None = None
    index: int | None = None
    score: float | None = None
    top: tuple[tuple[str, int, float], ...] = ()
    calibrated_score: float | None = None
    unknown: bool | None = None
    ms: dict[str, float] | None = None
    error: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """The JSON object that ``--json`` prints."""
        return {
            "path": self.path,
            "label": self.label,
            "index": self.index,
            "score": self.score,
            "calibrated_score": self.calibrated_score,
            "unknown": self.unknown,
            "top": [{"label": n, "index": i, "score": s} for n, i, s in self.top],
            "ms": self.ms,
            "error": self.error,
        }


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
        cls, path: str | os.PathLike[str], fmt: str | None = None, threads: int | None = None
    ) -> Classifier:
        """Open a bundle, a ``.tflite`` or ``.onnx`` file, a SavedModel or a run directory.

        Args:
            path: The model; a SavedModel and a run directory need TensorFlow.
            fmt: Which artifact of a bundle; None for its default.
            threads: Interpreter threads; None for the usable cores, at most 4.

        Raises:
            UsageError: No such path or format.
            ModelError: The model is damaged or contradicts its description.
            MissingComponent: Its interpreter is not installed.
        """
        where = os.fspath(path)
        root = Path(path)
        if not root.exists():
            raise UsageError(f"{where}: no such model.")
        if is_bundle(root):
            bundle = Bundle.open(root)
            artifact, file = bundle.file(fmt)
            backend = open_backend(file, threads)
            return cls(backend, bundle.manifest.info_of(artifact), artifact.format, str(file))
        if fmt is not None:
            check_format(fmt)
            raise UsageError(f"{where}: --format chooses from a bundle, and this is none.")
        if root.is_dir() and looks_like_run(root):
            run = RunDir.open(root)
            return cls(open_backend(run.model_path, threads), run.info, "keras", where)
        if root.name == MODEL and looks_like_run(root.parent):
            return cls.open(root.parent, threads=threads)
        backend = open_backend(root, threads)
        if backend.embedded is None:
            raise ModelError(
                f"{where}: carries no labels and preprocessing of edge-export, so any answer "
                "would be a guess. Export it with edge-export, or use its whole bundle."
            )
        return cls(backend, backend.embedded, _format_of(root), where)

    def pixels(self, photo: Photo) -> np.ndarray:
        """The network's input for a photo: uint8 (height, width, 3) RGB."""
        return preprocess(photo, self.info.preprocess)

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


def open_backend(path: str | os.PathLike[str], threads: int | None = None) -> Backend:
    """Load a model file or folder with the interpreter that its name asks for.

    Args:
        path: ``.tflite``, ``.onnx`` or ``.keras`` file, or a SavedModel folder.
        threads: Interpreter threads; None for the usable cores, at most 4.

    Raises:
        ModelError: It is none of these, or damaged.
        MissingComponent: Its interpreter is not installed.
    """
    root = Path(path)
    if root.suffix == ".tflite":
        from .backends.litert import LiteRtBackend

        return LiteRtBackend(root, threads)
    if root.suffix == ".onnx":
        from .backends.onnx import OnnxBackend

        return OnnxBackend(root, threads)
    if root.suffix == ".keras":
        from .backends.full_model import KerasBackend

        return KerasBackend(root, threads)
    if (root / "saved_model.pb").is_file():
        from .backends.full_model import SavedModelBackend

        return SavedModelBackend(root, threads)
    raise ModelError(
        f"{root}: not a model. Expected a bundle, a .tflite or .onnx file, "
        "a SavedModel folder or a run directory."
    )


def _format_of(path: Path) -> str:
    return {".tflite": "tflite", ".onnx": "onnx", ".keras": "keras"}.get(path.suffix, "saved_model")


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)
