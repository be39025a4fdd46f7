"""The converting process, as the rest of the exporter sees it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from edge_runtime.child.asking import Session, module_command
from edge_runtime.errors import ChildDied, EdgeError, ModelError, SystemFailure
from edge_runtime.manifest import artifact_name
from edge_runtime.rundir import RunDir

from .formats.job import Judging
from .options import ExportOptions

#: The child that loads TensorFlow.
COMMAND = module_command("exporter.convert_worker")

#: What makes its answers the same on any machine and in any run: no GPU (some round to TF32), the
#: backend that can write a SavedModel, and sets in one order.
_ENVIRONMENT = {
    "CUDA_VISIBLE_DEVICES": "-1",
    "KERAS_BACKEND": "tensorflow",
    "PYTHONHASHSEED": "0",
}

_SIGKILL = "SIGKILL"


@dataclass(frozen=True)
class Converted:
    """One format, converted."""

    file: Path  #: the plain file or folder
    #: ``quantization``, ``recipe`` and ``trail``, where the format chose between several ways
    notes: Mapping[str, Any]


class Converter:
    """A process that has the model of a run open and writes it in any format.

    Use it in a ``with`` block; the process, and the memory that converters take, end with it.
    """

    def __init__(self, run: RunDir, options: ExportOptions, work: Path) -> None:
        """Open and check the model.

        Args:
            run: The run.
            options: Of the export.
            work: Folder for what is not part of the bundle.

        Raises:
            ModelError: The model is damaged, or not the classifier that the run describes.
            SystemFailure: Disk full, or killed for memory.
        """
        self._session, self._work = Session(COMMAND, env=_ENVIRONMENT), work
        request: dict[str, Any] = {"info": run.info.to_dict(), "options": options.to_dict()}
        request |= {"do": "open", "model": run.model_path, "work": work}
        try:
            opened = self._ask("opening the model", request)
        except BaseException:  # no `with` block has begun that would end the process
            self._session.close(patiently=False)
            raise
        self.heatmap = bool(opened["heatmap"])

    def __enter__(self) -> Converter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._session.__exit__(kind, error, trace)

    def scores(self, pixels: Path, count: int) -> np.ndarray:
        """Let the Keras model answer.

        Args:
            pixels: ``.npy`` of uint8 (n, height, width, 3).
            count: How many of them.

        Returns:
            Probabilities, float32 (count, classes).

        Raises:
            ModelError: Some are no numbers.
            SystemFailure: Disk full, or killed for memory.
        """
        return self._array("the Keras model", {"do": "score", "pixels": pixels, "count": count})

    def heatmaps(self, pixels: Path, photos: Sequence[int], classes: Sequence[int]) -> np.ndarray:
        """Grad-CAM of the Keras model, with real gradients, in front of the global pooling.

        Args:
            pixels: ``.npy`` of uint8 (n, height, width, 3).
            photos: Indices of the photos to explain, at least one.
            classes: Class index for each.

        Returns:
            float32 (len(photos), h, w), >= 0, not normalised.

        Raises:
            ModelError: The model has no feature map.
            SystemFailure: Disk full, or killed for memory.
        """
        request = {"pixels": pixels, "photos": list(photos), "classes": list(classes)}
        return self._array("Grad-CAM", {"do": "explain", **request})

    def convert(
        self, fmt: str, calibration: Path | None = None, judging: Judging | None = None
    ) -> Converted:
        """Write one format.

        Args:
            fmt: A key of :data:`exporter.formats.registry.FORMATS`.
            calibration: ``.npy`` of uint8 (n, height, width, 3), for formats that calibrate.
            judging: Photos that it is judged on, for formats that choose between several ways.

        Returns:
            The plain file or folder, without a description, and what is to be said of it.

        Raises:
            ModelError: The converter failed or died, or its file needs more than a plain
                interpreter.
            SystemFailure: Disk full, or the converter was killed, most likely for memory.
        """
        target = self._work / f"plain-{artifact_name(fmt)}"
        request: dict[str, Any] = {
            "do": "convert",
            "format": fmt,
            "target": target,
            "calibration": calibration,
        }
        if judging is not None:
            pixels = os.fspath(judging.pixels.absolute())
            request["judging"] = {**asdict(judging), "pixels": pixels}
        return Converted(target, self._ask(fmt, request))

    def _array(self, what: str, request: Mapping[str, Any]) -> np.ndarray:
        out = self._work / "answer.npy"
        self._ask(what, {**request, "out": out})
        found: np.ndarray = np.load(out)
        return found

    def _ask(self, what: str, request: Mapping[str, Any]) -> dict[str, Any]:
        # The child works in another folder.
        plain = {
            key: os.fspath(value.absolute()) if isinstance(value, Path) else value
            for key, value in request.items()
        }
        with self._deaths(what):
            return self._session.ask(plain)

    @contextlib.contextmanager
    def _deaths(self, what: str) -> Iterator[None]:
        """Turn what becomes of the process into errors that say at what."""
        try:
            yield
        except ChildDied as error:
            if _SIGKILL in str(error):
                raise SystemFailure(
                    f"{what}: the converter was killed, most likely because memory ran out. Close "
                    "other programs, or export fewer --formats at a time."
                ) from error
            raise ModelError(f"{what}: the converter crashed: {error}") from error
        except SystemFailure as error:
            raise SystemFailure(f"{what}: {error}") from error
        except EdgeError as error:
            if type(error) is EdgeError:  # what nobody expected of it
                raise ModelError(f"{what}: {error}") from error
            raise
