"""Grad-CAM on the full model, with real gradients. Needs TensorFlow, never on the device.

Selvaraju et al. 2017, "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based
Localization": the map is relu(sum_k a_k F_k), where F is a feature map (h x w x k) and a_k the
mean over h and w of the gradient of the class's logit by F_k.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from .backends.full_model import (
    GRADCAM_SIGNATURE,
    import_keras,
    import_tensorflow,
    load_keras_model,
    load_saved_model,
    read_embedded,
    signature,
)
from .bundle import Bundle, is_bundle
from .errors import ModelError, UsageError
from .heatmap import Explanation
from .manifest import ModelInfo
from .preprocess import Photo, preprocess
from .rundir import MODEL, RunDir, looks_like_run

#: A coarser map than this tells nobody where the network looked.
MIN_MAP_SIDE = 7

#: Layers whose output is a feature map in its own right, and not a step inside a block.
_MAP_LAYERS = (
    "Activation", "ReLU", "Add", "Conv2D", "BatchNormalization", "LayerNormalization",
)  # fmt: skip

#: Name of the layer in front of the softmax in models of edge-train.
LOGITS_LAYER = "logits"


def choose_layer(model: Any) -> str:
    """Name of the last feature map that is still fine enough to read.

    That is the last layer whose map has at least :data:`MIN_MAP_SIDE` rows and columns: at 224
    pixels the end of the base, at small inputs an earlier block.

    Args:
        model: A ``keras.Model``.

    Raises:
        ModelError: The model has no convolutional feature map.
    """
    sizes = {}
    for layer in model.layers:
        shape = getattr(getattr(layer, "output", None), "shape", None)
        if type(layer).__name__ in _MAP_LAYERS and shape is not None and len(shape) == 4:
            height, width = shape[1], shape[2]
            if height and width:
                sizes[layer.name] = min(height, width)
    if not sizes:
        raise ModelError("The model has no convolutional feature map, so no Grad-CAM.")
    fine = [name for name, side in sizes.items() if side >= MIN_MAP_SIDE]
    return str(fine[-1] if fine else max(sizes, key=lambda name: sizes[name]))


def gradcam_function(model: Any, layer: str | None = None) -> Any:
    """A ``tf.function`` that computes Grad-CAM; ``edge-export`` saves it as a signature.

    Args:
        model: A ``keras.Model`` from pixels to probabilities.
        layer: Feature-map layer; None for :func:`choose_layer`.

    Returns:
        A function of ``image`` float32 (1, h, w, 3), 0..255, and ``class_index`` int32 () to a
        dict of ``heatmap`` float32 (h', w') and ``probabilities`` float32 (classes,). A negative
        ``class_index`` stands for the most probable class.

    Raises:
        UsageError: The model has no such layer.
    """
    tf, keras = import_tensorflow(), import_keras()
    names = [known.name for known in model.layers]
    chosen = layer or choose_layer(model)
    if chosen not in names:
        raise UsageError(f"The model has no layer {chosen!r}.")
    logits = model.get_layer(LOGITS_LAYER).output if LOGITS_LAYER in names else None
    features = model.get_layer(chosen).output
    outputs = [features, model.output] if logits is None else [features, model.output, logits]
    tapped = keras.Model(model.inputs, outputs)
    _, height, width, channels = model.input_shape

    @tf.function(
        input_signature=[
            tf.TensorSpec((1, height, width, channels), tf.float32, name="image"),
            tf.TensorSpec((), tf.int32, name="class_index"),
        ]
    )
    def explain(image: Any, class_index: Any) -> dict[str, Any]:
        with tf.GradientTape() as tape:
            tape.watch(image)
            maps, probabilities, *rest = tapped(image, training=False)
            # Without a logits layer, log p stands in: its gradient differs from the logit's by
            # the same term for all classes, and stays finite where p saturates.
            scores = rest[0] if rest else tf.math.log(tf.maximum(probabilities, 1e-12))
            best = tf.argmax(probabilities[0], output_type=tf.int32)
            score = scores[0, tf.where(class_index < 0, best, class_index)]
        weights = tf.reduce_mean(tape.gradient(score, maps), axis=(1, 2), keepdims=True)
        heatmap = tf.nn.relu(tf.reduce_sum(maps * weights, axis=-1))[0]
        return {
            "heatmap": tf.cast(heatmap, tf.float32),
            "probabilities": tf.cast(probabilities[0], tf.float32),
        }

    return explain


class GradCam:
    """Grad-CAM for a run directory or a SavedModel.

    Attributes:
        info: Class names and preprocessing of the model.
    """

    def __init__(self, explain: Callable[..., Any], info: ModelInfo) -> None:
        """Join a function as :func:`gradcam_function` gives with a model description."""
        self._explain, self.info = explain, info

    @classmethod
    def open(cls, path: str | os.PathLike[str], layer: str | None = None) -> GradCam:
        """Open a run directory, a SavedModel of ``edge-export``, or a bundle that has one.

        Args:
            path: The model.
            layer: Feature-map layer; a SavedModel keeps the one that it was exported with.

        Raises:
            UsageError: No such path or layer.
            ModelError: The model is damaged, or of a kind without gradients.
        """
        root = Path(path)
        if not root.exists():
            raise UsageError(f"{root}: no such model.")
        if root.name == MODEL and root.is_file():
            root = root.parent
        if is_bundle(root):
            root = Bundle.open(root).file("saved_model")[1]
        if looks_like_run(root):
            run = RunDir.open(root)
            return cls(gradcam_function(load_keras_model(run.model_path), layer), run.info)
        if (root / "saved_model.pb").is_file():
            if layer is not None:
                raise UsageError("A SavedModel keeps the layer that it was exported with.")
            loaded = load_saved_model(root)
            info = read_embedded(root)
            if info is None:
                raise ModelError(f"{root}: carries no labels. Export it with edge-export.")
            found = cls(signature(loaded, GRADCAM_SIGNATURE, str(root)), info)
            found._keep = loaded
            return found
        raise ModelError(
            f"{root}: Grad-CAM needs gradients, so the full model: a run directory or a "
            "SavedModel of edge-export."
        )

    _keep: Any = None  # a signature holds its SavedModel only weakly

    def explain(self, photo: Photo, class_name: str | None = None) -> Explanation:
        """Compute the map of one photo.

        Args:
            photo: As for :func:`edge_runtime.preprocess.preprocess`.
            class_name: Class to explain; None for the most probable one.

        Raises:
            ImageError: The photo cannot be read.
            UsageError: There is no such class.
        """
        tf = import_tensorflow()
        wanted = -1 if class_name is None else self.info.class_index(class_name)
        pixels = preprocess(photo, self.info.preprocess)
        result = self._explain(
            image=tf.constant(pixels[None].astype(np.float32)), class_index=tf.constant(wanted)
        )
        scores = np.asarray(result["probabilities"])
        index = int(scores.argmax()) if wanted < 0 else wanted
        return Explanation(
            heatmap=np.asarray(result["heatmap"]),
            index=index,
            label=self.info.class_names[index],
            score=float(scores[index]),
        )
