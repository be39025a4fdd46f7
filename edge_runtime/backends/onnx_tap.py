"""Heat maps of ONNX classifiers that have no output for them."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import ModelError, first_line
from .onnx_graph import OnnxGraph
from .onnx_head import read_head


class OnnxTap:
    """A classifier, opened a second time with its feature map as one more output."""

    def __init__(self, session: Any, content: bytes, where: str, scores: str, classes: int) -> None:
        """Look for the feature map and open the edited file.

        Args:
            session: The ``InferenceSession`` of the file as it is, whose options are kept.
            content: Of the file.
            where: The file.
            scores: Name of the output with the scores.
            classes: How many there are.

        Raises:
            ModelError: The graph does not end in pooling and a head that can be read.
        """
        graph = OnnxGraph(content, where)
        self._head = read_head(graph, scores, classes, where)
        self._where, self._scores = where, scores
        given = {output.name for output in session.get_outputs()}
        features = self._head.features
        edited = graph.with_output(features) if features not in given else where
        try:
            self._session = type(session)(
                edited, session.get_session_options(), providers=session.get_providers()
            )
        except Exception as error:  # onnxruntime's own exceptions share no public base class
            raise ModelError(
                f"{where}: onnxruntime cannot open it with its feature map as an output "
                f"({first_line(error)}). Weights in a file of their own have to be inside."
            ) from error

    def run(self, feed: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Scores float32 (n, classes) and the feature map of the first photo, float32."""
        scores, features = self._session.run([self._scores, self._head.features], feed)
        if features.ndim != 4:
            raise ModelError(f"{self._where}: its feature map has the shape {features.shape}.")
        return np.asarray(scores, np.float32), np.asarray(features[0], np.float32)

    def vector(self, features: np.ndarray) -> np.ndarray:
        """The pooled features, float32 (k,), of what :meth:`run` gave."""
        return self._head.vector(features)

    def maps(self, features: np.ndarray, index: int | None) -> np.ndarray:
        """Grad-CAM of all classes, float32 (h, w, classes), or of one, (h, w, 1)."""
        return self._head.maps(features, index)
