"""What every interpreter offers to the classifier and to the benchmark."""

from __future__ import annotations

import abc
import os

import numpy as np

from ..errors import ModelError
from ..manifest import ModelInfo


class Backend(abc.ABC):
    """A loaded model.

    Attributes:
        name: Interpreter, e.g. ``litert``.
        input_size: (width, height) in pixels that the model takes, None where it takes any.
        classes: Number of scores that it gives.
        step: Distance of two neighbouring scores where the output is quantised, else 0.
        embedded: What the model file says about itself, None if it says nothing.
    """

    name: str
    input_size: tuple[int, int] | None
    classes: int
    step: float = 0.0
    embedded: ModelInfo | None = None

    @abc.abstractmethod
    def prepare(self, pixels: np.ndarray) -> np.ndarray:
        """Cast pixels to the model's input tensor.

        Args:
            pixels: uint8 (h, w, 3) RGB, as :func:`edge_runtime.preprocess.preprocess` gives.

        Returns:
            Array of shape (1, h, w, 3) in the dtype and quantisation of the model's input.
        """

    @abc.abstractmethod
    def infer(self, tensor: np.ndarray) -> np.ndarray:
        """Run the model on what :meth:`prepare` gave.

        Returns:
            float32 (classes,), dequantised where the model is quantised.
        """

    def scores(self, pixels: np.ndarray) -> np.ndarray:
        """:meth:`prepare` and :meth:`infer` in one."""
        return self.infer(self.prepare(pixels))


def default_threads() -> int:
    """Interpreter threads when none are asked for: the usable cores, at most 4."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        cores = os.cpu_count() or 1
    return min(4, cores)


def check_image_input(shape: tuple[int | str | None, ...], where: str) -> tuple[int, int]:
    """(width, height) of an NHWC input with three channels and a batch of one.

    Raises:
        ModelError: The input has another shape.
    """
    if len(shape) != 4 or shape[3] != 3 or not all(isinstance(n, int) and n > 0 for n in shape[1:]):
        raise ModelError(
            f"{where}: expected an image input of shape (1, height, width, 3), "
            f"found {tuple(shape)}."
        )
    return int(shape[2]), int(shape[1])  # type: ignore[arg-type]


def path_or_bytes(path: str) -> str | bytes:
    """The path, which lets an interpreter map the file; its contents where it is not UTF-8."""
    try:
        path.encode()
    except UnicodeEncodeError:
        with open(path, "rb") as stream:
            return stream.read()
    return path
