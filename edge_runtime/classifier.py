"""Open any model of the toolkit and classify photos with it.

Example:
    >>> from edge_runtime import Classifier
    >>> with Classifier.open("bundle") as classifier:
    ...     classifier.classify("photo.jpg").label
    'red'
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from threading import Lock
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np

from .backends.base import BEST, Backend
from .engine import Engine
from .errors import ModelError, UsageError
from .manifest import ModelInfo
from .meanwhile import FirstPhoto
from .opening import open_model
from .pipeline import Decoded, Inferred, classify_in_order, decode, infer, run_size
from .postprocess import probabilities, top_k
from .prediction import Prediction
from .records import replace

if TYPE_CHECKING:
    from .heatmap import Explanation
    from .preprocess import Photo, Roi
    from .settings import ModelSettings


class Classifier:
    """A loaded model with its labels and preprocessing; open one with :meth:`open`.

    Several threads may share a Classifier: each decodes its own photos, and a lock lets one of them
    at a time use the interpreter, so more threads of yours hide the decoding but do not infer
    faster; :meth:`classify_many` does the same by itself. Open the model in each process: an
    interpreter's threads do not survive ``os.fork``, so that a forked copy infers on one thread at
    best, and hangs if another thread was in an inference at that moment.

    Attributes:
        info: Class names, preprocessing, output.
        format: Format name, ``keras`` for a run directory, ``tflite`` or ``onnx`` for a file alone.

    Example:
        >>> classifier = Classifier.open("bundle")
        >>> answer = classifier.classify("photo.jpg", k=2)
        >>> answer.label, round(answer.score, 3)
        ('red', 1.0)
        >>> [label for label, index, score in answer.top]
        ['red', 'green']
        >>> for answer in classifier.classify_many(["photo.jpg", "missing.jpg"]):
        ...     print(answer.label or answer.error)
        red
        missing.jpg: no such file.
        >>> classifier.close()
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
        self.info, self.format = info, fmt
        self._backend: Backend | None = backend
        self._where, self._interpreter = where, Lock()
        self._first: FirstPhoto | None = None

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
        first: FirstPhoto | None = None,
    ) -> Classifier:
        """Open a bundle, a ``.tflite`` or ``.onnx`` file, a SavedModel or a run directory.

        Args:
            path: The model; a SavedModel and a run directory need TensorFlow.
            fmt: Which artifact of a bundle; None for its default.
            threads: Interpreter threads; None for the engine's.
            engine: Interpreter, threads, delegate; None for the defaults.
            settings: What the caller knows of the model and the file does not say.
            probe: Whether a file that this board has not run yet is tried in a child process
                first, see :mod:`edge_runtime.tried`; the command line does.
            first: The photo that will be classified first, to be decoded while the model loads.

        Raises:
            UsageError: No such path or format.
            ModelError: The model is damaged or contradicts its description.
            MissingComponent: Its interpreter is not installed.
        """
        engine = engine or Engine()
        if threads is not None:
            engine = replace(engine, threads=threads)
        opened = open_model(path, fmt, engine, settings, probe, first)
        made = cls(opened.backend, opened.info, opened.format, opened.where)
        made._first = first
        return made

    def __enter__(self) -> Classifier:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Release the interpreter, its memory and the model file; safe to call twice.

        Waits for an inference that another thread is in. Whatever is asked of the classifier later
        is a UsageError.
        """
        with self._interpreter:
            self._backend = None

    def become(self, other: Classifier) -> None:
        """Take another classifier's model over, between two inferences; the own one is released.

        Whoever holds this classifier works on with the new model. What :meth:`decode` made for the
        old one is of no use any more: :attr:`backend` tells which model it was made for.

        Args:
            other: Closed for its holders from now on.
        """
        with other._interpreter:
            taken, other._backend = other.backend, None
        with self._interpreter:
            self._backend, self.info = taken, other.info
            self.format, self._where = other.format, other._where

    @property
    def backend(self) -> Backend:
        """The interpreter that holds the model.

        Raises:
            UsageError: The classifier was closed.
        """
        if self._backend is None:
            raise UsageError(f"{self._where}: its classifier was closed. Open the model again.")
        return self._backend

    def pixels(self, photo: Photo, roi: Roi | None = None) -> np.ndarray:
        """The network's input for a photo: uint8 (height, width, 3) RGB."""
        from .preprocess import preprocess

        return preprocess(photo, self.info.preprocess, roi)

    def scores(self, photo: Photo) -> np.ndarray:
        """Probabilities of all classes, float32 (classes,), in index order."""
        tensor = self.backend.prepare(self.pixels(photo))
        with self._interpreter:
            return probabilities(self.backend.infer(tensor), self.info.output)

    def classify(
        self, photo: Photo, k: int = 5, *, roi: Roi | None = None, explain: bool = False
    ) -> Prediction:
        """Classify one photo.

        Args:
            photo: Path, bytes, PIL image or array, see :func:`edge_runtime.preprocess.preprocess`.
            k: How many of the best classes ``top`` lists.
            roi: The part of the photo that is looked at: (left, top, right, bottom) as fractions.
            explain: Whether the answer carries its ``explanation``, of the same inference.

        Raises:
            ImageError: The photo cannot be read.
            UsageError: The classifier was closed, or ``roi`` is no such part.
            ModelError: An explanation is wanted and the model holds no heat map.
        """
        decoded = self.decode(photo, roi, explain)
        if decoded.error is not None:
            raise decoded.error
        return self.answer([decoded], k, explain)[0]

    def try_classify(
        self, photo: Photo, k: int = 5, *, roi: Roi | None = None, explain: bool = False
    ) -> Prediction:
        """:meth:`classify`, with a photo that cannot be read as a Prediction with ``error``."""
        return self.answer([self.decode(photo, roi, explain)], k, explain)[0]

    def classify_many(
        self,
        photos: Iterable[Photo],
        k: int = 5,
        *,
        roi: Roi | None = None,
        explain: bool = False,
        batch: int | None = None,
        workers: int | None = None,
    ) -> Iterator[Prediction]:
        """Classify photos; of one that cannot be read, its ``error``.

        Threads decode ahead of the inference, so that photos cost what the slower of the two costs;
        they end with the iteration, also when it is left early. At most a handful of photos is in
        memory, so ``photos`` may be endless; it is drawn by those threads, a little ahead. The
        answer to a photo never waits for the next photo, unless ``batch`` is given.

        Args:
            photos: As for :meth:`classify`.
            k: How many of the best classes ``top`` lists.
            roi: The part of each photo that is looked at.
            explain: Whether each answer carries its ``explanation``, of the same inference.
            batch: Photos that share a run, where the model takes several; None for as many as it
                takes if that number is fixed, else one.
            workers: Threads that decode; None for the usable cores, at most 4; 0 for none.

        Yields:
            As many answers as photos, in their order, each as soon as it is there.

        Raises:
            UsageError: The model does not take so many, or see :meth:`classify`.
            ModelError: An explanation is wanted and the model holds no heat map.
        """
        if workers is not None and workers < 0:
            raise UsageError(f"workers {workers}: expected 0 or more threads.")
        return classify_in_order(
            photos,
            decode=lambda photo: self.decode(photo, roi, explain),
            answer=lambda group: self.answer(group, k, explain),
            size=run_size(self.backend, batch, explain),
            wait=batch is not None,
            workers=workers,
        )

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
        tensor = self.backend.prepare(pixels)
        decoded = Decoded(path, tensor, time.perf_counter() - start)
        return self.answer([decoded], k, explain=False)[0]

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

        with self._interpreter:
            raw, maps = self.backend.explain(pixels, BEST if index is None else index)
        scores = probabilities(raw, self.info.output)
        index = top_k(scores, 1)[0] if index is None else index
        return Explanation(
            heatmap=maps[..., 0],
            index=index,
            label=self.info.class_names[index],
            score=float(scores[index]),
        )

    def decode(self, photo: Photo, roi: Roi | None = None, explain: bool = False) -> Decoded:
        """The first half of :meth:`classify`: from a photo to a tensor, on any thread.

        Args:
            photo: As for :meth:`classify`.
            roi: The part of the photo that is looked at.
            explain: Whether :meth:`answer` will be asked for the ``explanation``.

        Returns:
            What :meth:`answer` takes; of a photo that cannot be read, its ``error``.
        """
        first, self._first = self._first, None
        return decode(photo, self.backend, self.info.preprocess, roi, explain, first)

    def answer(
        self, group: list[Decoded], k: int = 5, explain: bool = False, keep: bool = False
    ) -> list[Prediction]:
        """The second half: the answers to photos, which share a run unless maps are wanted.

        Args:
            group: What :meth:`decode` gave, with the same ``explain``.
            k: How many of the best classes ``top`` lists.
            explain: Whether answers carry their ``explanation``.
            keep: Whether answers carry the ``scores`` of all classes.
        """
        return self.infer(group, explain).answers(k, keep)

    def infer(self, group: list[Decoded], explain: bool = False) -> Inferred:
        """What :meth:`answer` begins with: the run of the network alone.

        Args:
            group: What :meth:`decode` gave, with the same ``explain``.
            explain: Whether answers shall carry their ``explanation``.
        """
        with self._interpreter:
            backend, info = self.backend, self.info
            start = time.perf_counter()
            raws = infer(group, backend, explain)
            seconds = time.perf_counter() - start
        share = seconds / max(sum(raw is not None for raw in raws), 1)
        return Inferred(group, raws, info, backend.step, share)
