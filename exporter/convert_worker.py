"""The child process that opens a run's model and converts it. TensorFlow is loaded here only.

Run by :mod:`exporter.conversion` as ``python -m exporter.convert_worker``, see
:mod:`edge_runtime.child.asking`. The first request opens the model, each other one writes a format.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from edge_runtime.child.answering import serve_session
from edge_runtime.errors import ModelError
from edge_runtime.manifest import ModelInfo

from .formats.job import Job, Judging
from .formats.registry import FORMATS
from .formats.source import Source
from .network import Network
from .opening import open_model
from .options import ExportOptions
from .reference import Reference


class Worker:
    """Answers requests; the model stays open between them."""

    def __init__(self) -> None:
        self._source: Source | None = None
        self._answers: Reference | None = None

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Do what ``request["do"]`` says, with the other keys as arguments."""
        arguments = {key: value for key, value in request.items() if key != "do"}
        actions: dict[str, Callable[..., dict[str, Any]]] = {
            "open": self.open,
            "score": self.score,
            "explain": self.explain,
            "convert": self.convert,
        }
        return actions[request["do"]](**arguments)

    def open(
        self, model: str, info: dict[str, Any], options: dict[str, Any], work: str
    ) -> dict[str, Any]:
        """Open and check the model.

        Args:
            model: ``model.keras``.
            info: Description of the run, as :meth:`edge_runtime.manifest.ModelInfo.to_dict`.
            options: As :meth:`exporter.options.ExportOptions.to_dict`.
            work: Folder for intermediate files.

        Returns:
            ``heatmap``: whether the network has a head that gives one.
        """
        chosen = ExportOptions.from_dict(options)
        network = Network(open_model(Path(model)))
        network.check(ModelInfo.from_dict(info, "the run"), model, chosen.logits)
        self._source = Source(network, chosen, Path(work))
        return {"heatmap": network.head is not None}

    def score(self, pixels: str, count: int, out: str) -> dict[str, Any]:
        """Let the Keras model answer.

        Args:
            pixels: ``.npy`` of uint8 (n, height, width, 3).
            count: How many of them to answer.
            out: ``.npy`` to write: probabilities, float32 (count, classes).

        Returns:
            Nothing.
        """
        np.save(out, self._reference().scores(np.load(pixels, mmap_mode="r")[:count]))
        return {}

    def explain(
        self, pixels: str, photos: list[int], classes: list[int], out: str
    ) -> dict[str, Any]:
        """Compute Grad-CAM of the feature map in front of the pooling.

        Args:
            pixels: ``.npy`` of uint8 (n, height, width, 3).
            photos: Indices of the photos to explain.
            classes: Class index for each.
            out: ``.npy`` to write: float32 (len(photos), h, w), >= 0, not normalised.

        Returns:
            Nothing.
        """
        reference, stored = self._reference(), np.load(pixels, mmap_mode="r")
        maps = [
            reference.heatmap(np.asarray(stored[photo]), index)
            for photo, index in zip(photos, classes, strict=True)
        ]
        np.save(out, np.stack(maps).astype(np.float32))
        return {}

    def convert(
        self,
        format: str,
        target: str,
        calibration: str | None = None,
        judging: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Write one format, without its description.

        Args:
            format: A key of :data:`exporter.formats.registry.FORMATS`.
            target: File or folder to write.
            calibration: ``.npy`` of uint8 (n, height, width, 3), for formats that calibrate.
            judging: ``pixels``, ``labels`` and ``validation`` of
                :class:`exporter.formats.job.Judging`.

        Returns:
            As :meth:`exporter.formats.registry.Format.convert`.
        """
        source = self._opened()
        photos = None if calibration is None else Path(calibration)
        judges = None
        if judging is not None:
            labels = tuple(judging["labels"])
            judges = Judging(Path(judging["pixels"]), labels, judging["validation"])
        return FORMATS[format].convert(
            Job(format, source, Path(target), source.options, photos, judges)
        )

    def _reference(self) -> Reference:
        if self._answers is None:
            self._answers = Reference(self._opened().network.model)
        return self._answers

    def _opened(self) -> Source:
        if self._source is None:  # the process that had opened it died
            raise ModelError("no model is open.")
        return self._source


def main() -> None:
    """Answer the requests on stdin."""
    # TensorFlow announces itself on stderr when it is loaded, whoever loads it.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    serve_session(Worker().answer)


if __name__ == "__main__":
    main()
