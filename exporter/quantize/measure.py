"""Run TFLite files in this process and look at what is inside them."""

from __future__ import annotations

import functools
import math
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np

from edge_runtime.backends.base import default_threads
from edge_runtime.quiet import quiet_stderr

from ..photos import batches

#: Bins of a histogram: eight for each of the 256 steps that an activation will have.
BINS = 2048

#: Runs of photos that are worked on at the same time, as far as there are cores.
_CHUNKS = 4

_T = TypeVar("_T")

#: Repetitions of a timing, after as many that warm up; the median counts.
_REPEATS = 15


class Interpreter:
    """A TFLite file, ready to be run on photos, whatever its input, output and batch.

    Attributes:
        batch: Photos that it takes at once.
    """

    def __init__(self, model: bytes, inside: bool = False) -> None:
        """Load a file, to be run by one thread.

        Args:
            model: The flatbuffer.
            inside: Whether :meth:`tensor` is wanted; every tensor is kept then.
        """
        from ai_edge_litert import interpreter

        options: dict[str, Any] = {"experimental_preserve_all_tensors": True} if inside else {}
        with quiet_stderr(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the memory that keeping tensors takes
            self._interpreter = interpreter.Interpreter(
                model_content=model, num_threads=1, **options
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


def answers(model: bytes, pixels: np.ndarray) -> np.ndarray:
    """What a file gives for photos: float32 (n, classes)."""

    def chunk(part: np.ndarray, _: int) -> np.ndarray:
        network = Interpreter(model)
        found = []
        for group, count in batches(part, network.batch):
            network.run(group)
            found.append(network.answer().reshape(len(group), -1)[:count].copy())
        return np.concatenate(found)

    return np.concatenate(_in_chunks(chunk, pixels))


def inside(
    model: bytes,
    pixels: np.ndarray,
    names: Sequence[str],
    digest: Callable[[str, int, np.ndarray], _T],
    join: Callable[[_T, _T], _T],
) -> dict[str, _T]:
    """Look at the values of tensors for every photo.

    Args:
        model: The flatbuffer.
        pixels: uint8 (n, height, width, 3).
        names: Of the tensors.
        digest: What is kept of a tensor: from its name, the number of the photo (of the first one
            of a batch), and float32 values.
        join: Puts what is kept of two photos, or of two runs of photos, into one.

    Returns:
        What is kept of each tensor, of all photos in order.
    """

    def chunk(part: np.ndarray, first: int) -> dict[str, _T]:
        network = Interpreter(model, inside=True)
        found: dict[str, _T] = {}
        for number, (group, count) in enumerate(batches(part, network.batch)):
            network.run(group)
            for name in names:
                values = network.tensor(name)
                # Of a batch that was filled up, what repeats the last photo is left out.
                values = values[:count] if len(values) == len(group) else values
                new = digest(name, first + number * network.batch, values)
                found[name] = join(found[name], new) if name in found else new
        return found

    parts = _in_chunks(chunk, pixels)
    return {name: functools.reduce(join, [part[name] for part in parts]) for name in names}


def _in_chunks(work: Callable[[np.ndarray, int], _T], pixels: np.ndarray) -> list[_T]:
    """Share photos between the cores: several interpreters of one thread wait for nobody.

    The chunks do not depend on the number of cores, so neither do the results.
    """
    size = math.ceil(len(pixels) / _CHUNKS)
    starts = range(0, len(pixels), size)
    with ThreadPoolExecutor(min(default_threads(), _CHUNKS)) as pool:
        return list(pool.map(lambda start: work(pixels[start : start + size], start), starts))
