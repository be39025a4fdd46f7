"""What every interpreter offers to the classifier and to the benchmark."""

from __future__ import annotations

import abc
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ModelError
from ..manifest import HeatmapSpec, InputSpec, ModelInfo
from .feeding import Feeding, InputTensor, usual_spec

if TYPE_CHECKING:
    from .model_file import ModelFile

#: Photos that a model with a dynamic batch is given at once; more gain no time on a CPU.
DYNAMIC_BATCH = 16

#: Device, inode, size and time of a file.
Identity = tuple[int, int, int, int]

#: Stands for the class with the highest score.
BEST = -1


class Backend(abc.ABC):
    """A loaded model.

    Attributes:
        name: Interpreter, e.g. ``litert``.
        input: The tensor that it takes.
        input_size: (width, height) in pixels that the model takes, None where it takes any.
        classes: Number of scores that it gives.
        step: Distance of two neighbouring scores where the output is quantised, else 0.
        batch: Photos that one run takes; None for any number.
        any_thread: Whether another thread than the one that loaded it may run it, one at a time.
        embedded: What the model file says about itself, None if it says nothing.
    """

    name: str
    input: InputTensor
    input_size: tuple[int, int] | None
    classes: int
    step: float = 0.0
    batch: int | None = 1
    any_thread: bool = True
    embedded: ModelInfo | None = None

    _feeding: Feeding
    _where: str  #: path of the file, of a model in one file
    _known: Identity  #: of that file, before it was loaded
    _source: str | bytes  #: what was loaded: the path or the contents

    @property
    def _file(self) -> ModelFile:
        """The file of a model in one file, to read more of it."""
        from .model_file import ModelFile

        return ModelFile(self._where, self._known, self._source)

    def feed(self, spec: InputSpec | None = None) -> None:
        """Say how pixels become the input tensor from now on.

        Args:
            spec: The description; None for what the file says, else for the pixels as they are.

        Raises:
            ModelError: It contradicts the model's input.
        """
        if spec is None:
            spec = usual_spec(self.input) if self.embedded is None else self.embedded.input
        self._feeding = Feeding(spec, self.input)
        width, height = self.input.size(spec.layout)
        self.input_size = None if width is None or height is None else (width, height)

    def prepare(self, pixels: np.ndarray) -> np.ndarray:
        """Make the model's input tensor out of pixels, see :meth:`feed`.

        Args:
            pixels: uint8 (h, w, 3) RGB, as :func:`edge_runtime.preprocess.preprocess` gives, or
                several of them, (n, h, w, 3).

        Returns:
            Array of shape (1, h, w, 3), or (n, h, w, 3), or of the model's other layout, in the
            dtype and quantisation of its input.
        """
        return self._feeding(pixels)

    @abc.abstractmethod
    def run(self, tensor: np.ndarray) -> np.ndarray:
        """Run the model once.

        Args:
            tensor: What :meth:`prepare` gave for as many photos as :attr:`batch` says.

        Returns:
            float32 (n, classes), dequantised where the model is quantised.
        """

    def infer(self, tensor: np.ndarray) -> np.ndarray:
        """Run the model on what :meth:`prepare` gave for one photo.

        Returns:
            float32 (classes,), dequantised where the model is quantised.
        """
        scores: np.ndarray = self.run(self.filled(tensor))[0]
        return scores

    def scores(self, pixels: np.ndarray) -> np.ndarray:
        """:meth:`prepare` and :meth:`infer` in one."""
        return self.infer(self.prepare(pixels))

    def scores_many(self, pixels: np.ndarray) -> np.ndarray:
        """Scores of several photos, as many at once as the model takes.

        Args:
            pixels: uint8 (n, h, w, 3) RGB.

        Returns:
            float32 (n, classes).
        """
        step = self.batch or DYNAMIC_BATCH
        result = np.empty((len(pixels), self.classes), np.float32)
        for start in range(0, len(pixels), step):
            tensor = self.prepare(np.asarray(pixels[start : start + step]))
            result[start : start + step] = self.run(self.filled(tensor))[: len(tensor)]
        return result

    def filled(self, tensor: np.ndarray) -> np.ndarray:
        """A batch as large as the model takes: the last photo repeated where some are missing."""
        if self.batch is None or len(tensor) == self.batch:
            return tensor
        return np.concatenate([tensor, np.repeat(tensor[-1:], self.batch - len(tensor), axis=0)])

    def running(self) -> dict[str, Any]:
        """What really runs the model.

        Returns:
            JSON object with ``interpreter`` (its name) and, as far as it applies, ``version``,
            ``delegate`` (for people), ``placement`` (``operators``, ``delegated``, ``parts``),
            ``providers`` and ``provider_options``.
        """
        return {"interpreter": self.name}

    @property
    def heatmap(self) -> HeatmapSpec | None:
        """The tensors that a heat map is made of, by name.

        None where the model has none, and where they have no names of their own, or more than one
        layer follows them: :meth:`explain` finds those all the same.
        """
        return None

    def explain(
        self, pixels: np.ndarray, index: int | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Scores of one photo, and where in it each of them comes from.

        Args:
            pixels: uint8 (h, w, 3) RGB.
            index: Of the class whose map is wanted, :data:`BEST` for the one with the highest
                score; None for the maps of all classes, which cost more where there are many.

        Returns:
            Scores float32 (classes,), as of :meth:`scores`, and maps float32 (h', w', classes), or
            (h', w', 1) of one class, >= 0: Grad-CAM of each class's logit (Zhou et al. 2016,
            Selvaraju et al. 2017).

        Raises:
            ModelError: The model has no such map.
        """
        raise ModelError(
            f"{self.name} gives no heat map beside its answers. edge-classify gradcam draws those of "
            "a full model, with gradients; a .tflite or .onnx file gives one without."
        )

    @property
    def has_maps(self) -> bool:
        """Whether the file itself has the heat maps of all classes as an output."""
        return False

    def run_with_maps(self, tensor: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """:meth:`run`, and the file's own output of heat maps; see :attr:`has_maps`.

        Returns:
            Scores float32 (n, classes), and maps float32 (n, h', w', classes), >= 0.

        Raises:
            ModelError: The file has no such output.
        """
        raise ModelError(f"{self.name}: the file has no output with heat maps.")

    def pooling(self) -> Callable[[np.ndarray], np.ndarray]:
        """Open the file once more, to compute the features in front of its head.

        Returns:
            From pixels, uint8 (h, w, 3) RGB, to the mean of the feature map over its places,
            float32 (k,). For one thread at a time, which may be another than that of :meth:`run`.

        Raises:
            ModelError: The model has no feature map in front of a global pooling.
        """
        raise ModelError(f"{self.name} gives no features; a .tflite or .onnx file may.")


def chosen(scores: np.ndarray, index: int | None) -> int | None:
    """A class as :meth:`Backend.explain` takes it, with :data:`BEST` looked up in the scores."""
    return int(scores.argmax()) if index == BEST else index


def default_threads() -> int:
    """Interpreter threads when none are asked for: the usable cores, at most 4."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        cores = os.cpu_count() or 1
    return min(4, cores)


def check_image_input(shape: tuple[int | str | None, ...], where: str) -> tuple[int, int]:
    """(width, height) of an NHWC input with three channels.

    Raises:
        ModelError: The input has another shape.
    """
    if len(shape) != 4 or shape[3] != 3 or not all(isinstance(n, int) and n > 0 for n in shape[1:]):
        raise ModelError(
            f"{where}: expected an image input of shape (batch, height, width, 3), "
            f"found {tuple(shape)}."
        )
    return int(shape[2]), int(shape[1])  # type: ignore[arg-type]


def batch_of(dimension: int | str | None) -> int | None:
    """Photos that a run takes, from an input's first dimension: -1, None or a name is any."""
    return dimension if isinstance(dimension, int) and dimension > 0 else None


def path_or_bytes(path: str, private: bool = False) -> str | bytes:
    """The path, which lets an interpreter map the file; its contents where it is not UTF-8.

    Args:
        path: Of the file.
        private: Whether its contents are wanted in any case: whoever overwrites a file that is
            mapped, and so cuts it short, ends the process (SIGBUS).
    """
    try:
        path.encode()
    except UnicodeEncodeError:
        private = True
    if not private:
        return path
    with open(path, "rb") as stream:
        return stream.read()


def identity(file: str | int) -> Identity:
    """What tells a file, by its path or descriptor, from one that was put into its place."""
    status = os.stat(file)
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
