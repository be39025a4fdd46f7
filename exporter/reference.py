"""What the Keras model answers and where it looks: what every exported file is compared with."""

from __future__ import annotations

from typing import Any

import numpy as np

from edge_runtime.backends.full_model import import_tensorflow
from edge_runtime.errors import ModelError
from edge_runtime.gradcam import gradcam_function

from .network import find_head

_BATCH = 16


class Reference:
    """The Keras model, in float32 on the CPU (a GPU may round to TF32)."""

    def __init__(self, model: Any) -> None:
        """Wrap a ``keras.Model`` from pixels, 0..255, to probabilities."""
        self._model = model
        self._explain: Any = None

    def scores(self, pixels: np.ndarray) -> np.ndarray:
        """Probabilities, float32 (n, classes), of uint8 (n, height, width, 3).

        Raises:
            ModelError: Some are not finite.
        """
        return reference_scores(self._model, pixels)

    def heatmap(self, pixels: np.ndarray, index: int) -> np.ndarray:
        """Grad-CAM at the feature map in front of the head, which the exported files explain, too.

        Args:
            pixels: uint8 (height, width, 3).
            index: Class index.

        Returns:
            float32 (h, w), >= 0, not normalised.

        Raises:
            ModelError: The model does not end in average pooling and a linear layer.
        """
        tf = import_tensorflow()
        if self._explain is None:
            head = find_head(self._model)
            if head is None:
                raise ModelError("The model does not end in pooling and a linear layer.")
            self._explain = gradcam_function(self._model, head.layer)
        with tf.device("/CPU:0"):
            found = self._explain(
                image=tf.constant(pixels[None].astype(np.float32)),
                class_index=tf.constant(index),
            )
        heat: np.ndarray = np.asarray(found["heatmap"])
        return heat


def reference_scores(model: Any, pixels: np.ndarray) -> np.ndarray:
    """Probabilities of the Keras model, in float32 on the CPU (a GPU may round to TF32).

    Args:
        model: The ``keras.Model``.
        pixels: uint8 (n, height, width, 3).

    Returns:
        float32 (n, classes).

    Raises:
        ModelError: Some are not finite.
    """
    tf = import_tensorflow()
    shape = (None, *pixels.shape[1:])

    @tf.function(input_signature=[tf.TensorSpec(shape, tf.float32)], autograph=False)
    def run(batch: Any) -> Any:
        return model(batch, training=False)

    with tf.device("/CPU:0"):
        parts = [
            run(tf.constant(pixels[start : start + _BATCH].astype(np.float32))).numpy()
            for start in range(0, len(pixels), _BATCH)
        ]
    scores = np.concatenate(parts).astype(np.float32)
    if not np.isfinite(scores).all():
        raise ModelError("The Keras model gives probabilities that are not finite. Train again.")
    return scores
