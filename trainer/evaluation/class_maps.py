"""Heat maps without gradients: where the network saw what speaks for a class.

Behind average pooling and a linear layer, Grad-CAM of a logit is exactly relu(F W_c) / (h w),
where F (h x w x k) is the feature map in front of the pooling and W_c the class's column of the
layer's kernel (Zhou et al. 2016; Selvaraju et al. 2017). It needs one pass and no TensorFlow.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from edge_runtime.backends.full_model import import_keras
from edge_runtime.errors import MissingComponent, ModelError

#: What may stand behind the pooling besides the one linear layer.
_HARMLESS = {"Dropout", "Activation", "Softmax"}

#: A function of pixels, uint8 (h, w, 3), and class indices to maps, float32 (classes, h', w').
ClassMaps = Callable[[np.ndarray, list[int]], np.ndarray]


def class_maps(model: Any) -> ClassMaps | None:
    """The function that gives a photo's heat maps, in closed form or, for another head, Grad-CAM.

    Args:
        model: A ``keras.Model`` from pixels, 0..255, to probabilities.

    Returns:
        A function of pixels, uint8 (h, w, 3) RGB, and class indices to float32 (indices, h', w'),
        >= 0, not normalised; None where the network has no feature map, or one of a single place
        (as at 32 pixels), or where its head is another one and TensorFlow is not installed.
    """
    head = _linear_head(model)
    if head is None:
        return _with_gradients(model)
    if tuple(head[0].input.shape[1:3]) == (1, 1):
        return None
    features, dense = import_keras().Model(model.inputs, head[0].input), head[1]
    kernel = np.asarray(dense.get_weights()[0])

    def compute(pixels: np.ndarray, indices: list[int]) -> np.ndarray:
        found = np.asarray(features.predict_on_batch(pixels[None].astype(np.float32)))[0]
        maps = np.maximum(np.einsum("hwk,kc->chw", found, kernel[:, indices]), 0)
        result: np.ndarray = (maps / (found.shape[0] * found.shape[1])).astype(np.float32)
        return result

    return compute


def _linear_head(model: Any) -> tuple[Any, Any] | None:
    """The pooling and the linear layer behind it; None where the head is not of that kind."""
    kinds = [type(layer).__name__ for layer in model.layers]
    if "GlobalAveragePooling2D" not in kinds:
        return None
    # The last one: squeeze-and-excitation blocks pool, too.
    last = len(kinds) - 1 - kinds[::-1].index("GlobalAveragePooling2D")
    behind = [layer for layer in model.layers[last + 1 :] if type(layer).__name__ not in _HARMLESS]
    if [type(layer).__name__ for layer in behind] != ["Dense"]:
        return None
    return model.layers[last], behind[0]


def _with_gradients(model: Any) -> ClassMaps | None:
    from edge_runtime.gradcam import gradcam_function

    try:
        explain = gradcam_function(model)
    except (MissingComponent, ModelError):
        return None

    def compute(pixels: np.ndarray, indices: list[int]) -> np.ndarray:
        image = pixels[None].astype(np.float32)
        return np.stack(
            [
                np.asarray(explain(image=image, class_index=np.int32(index))["heatmap"])
                for index in indices
            ]
        )

    return compute
