"""Run TFLite files in this process and look at what is inside them."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from edge_runtime.backends.base import default_threads
from edge_runtime.quiet import quiet_stderr

#: Bins of a histogram: eight for each of the 256 steps that an activation will have.
BINS = 2048

#: Repetitions of a timing, after as many that warm up; the median counts.
_REPEATS = 15


class Interpreter:
    """A TFLite file, ready to be run on photos, whatever its input, output and batch.

    Attributes:
        batch: Photos that it takes at once.
    """

    def __init__(self, model: bytes, threads: int | None = None, inside: bool = False) -> None:
        """Load a file.

        Args:
            model: The flatbuffer.
            threads: Interpreter threads; None for the usable cores, at most 4.
            inside: Whether :meth:`tensor` is wanted; every tensor is kept then.
        """
        from ai_edge_litert import interpreter

        options: dict[str, Any] = {"experimental_preserve_all_tensors": True} if inside else {}
        with quiet_stderr(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the memory that keeping tensors takes
            self._interpreter = interpreter.Interpreter(
                model_content=model, num_threads=threads or default_threads(), **options
            )
            self._interpreter.allocate_tensors()
        self._input = self._interpreter.get_input_details()[0]
        self._output = self._interpreter.get_output_details()[0]
        self.batch = int(self._input["shape"][0])
        self._known = {
            entry["name"]: entry
            for entry in self._interpreter.get_tensor_details()
            if entry["name"]
        }

    def run(self, pixels: np.ndarray) -> None:
        """Run the network on one batch.

        Args:
            pixels: uint8 (batch, height, width, 3).
        """
        self._interpreter.set_tensor(self._input["index"], self._prepared(pixels))
        self._interpreter.invoke()

    def answer(self) -> np.ndarray:
        """What the network gave: float32 (batch, classes)."""
        return self._values(self._output)

    def tensor(self, name: str) -> np.ndarray:
        """Values of a tensor by its name, float32, dequantised."""
        return self._values(self._known[name])

    def names(self) -> set[str]:
        """Names of all tensors."""
        return set(self._known)

    def milliseconds(self, pixels: np.ndarray) -> float:
        """Median time of one inference, in milliseconds.

        Args:
            pixels: uint8 (batch, height, width, 3).
        """
        times = []
        self.run(pixels)
        for _ in range(2 * _REPEATS):
            start = time.perf_counter()
            self._interpreter.invoke()
            times.append(time.perf_counter() - start)
        return float(np.median(times[_REPEATS:]) * 1000)

    def _prepared(self, pixels: np.ndarray) -> np.ndarray:
        dtype = self._input["dtype"]
        if dtype == np.float32:
            return pixels.astype(np.float32)
        scale, zero_point = self._input["quantization"]
        limits = np.iinfo(dtype)
        steps = np.round(pixels / np.float32(scale)) + zero_point
        prepared: np.ndarray = np.clip(steps, limits.min, limits.max).astype(dtype)
        return prepared

    def _values(self, entry: Mapping[str, Any]) -> np.ndarray:
        values: np.ndarray = self._interpreter.get_tensor(entry["index"])
        scale, zero_point = entry["quantization"]
        if values.dtype.kind in "iu" and scale:
            return (values.astype(np.float32) - np.float32(zero_point)) * np.float32(scale)
        return values


def batches(pixels: np.ndarray, size: int) -> Iterator[tuple[np.ndarray, int]]:
    """Photos in groups of a network's batch; the last group is filled up with its last photo.

    Yields:
        uint8 (size, height, width, 3), and how many of them are photos.
    """
    for start in range(0, len(pixels), size):
        part = np.asarray(pixels[start : start + size])
        yield np.concatenate([part, *[part[-1:]] * (size - len(part))]), len(part)


def answers(model: bytes, pixels: np.ndarray) -> np.ndarray:
    """What a file gives for photos: float32 (n, classes)."""
    network = Interpreter(model)
    found = []
    for part, count in batches(pixels, network.batch):
        network.run(part)
        found.append(network.answer().reshape(len(part), -1)[:count].copy())
    return np.concatenate(found)


def inside(
    model: bytes, pixels: np.ndarray, names: Sequence[str], look: Callable[[str, np.ndarray], None]
) -> None:
    """Show a function the values of tensors for every photo.

    Args:
        model: The flatbuffer.
        pixels: uint8 (n, height, width, 3).
        names: Of the tensors.
        look: Gets a name and float32 values; photo by photo, or batch by batch.
    """
    network = Interpreter(model, inside=True)
    for part, count in batches(pixels, network.batch):
        network.run(part)
        for name in names:
            values = network.tensor(name)
            # Of a batch that was filled up, what repeats the last photo is left out.
            look(name, values[:count] if len(values) == len(part) else values)
