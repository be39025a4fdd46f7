"""Grad-CAM and its kin on the full model, with real gradients. Needs TensorFlow, never on the device.

With F a feature map (h x w x k) and G the gradient of the class's logit by F:

- Grad-CAM (Selvaraju et al. 2017, "Grad-CAM: Visual Explanations from Deep Networks via
  Gradient-based Localization"): relu(sum_k a_k F_k), a_k the mean of G_k over h and w.
- Grad-CAM++ (Chattopadhay et al. 2018, "Grad-CAM++: Improved Visual Explanations for Deep
  Convolutional Networks"): a_k is the sum of alpha relu(G_k), with
  alpha = G_k^2 / (2 G_k^2 + G_k^3 sum(F_k)), the score taken as exp(logit), whose own value
  scales the whole map and is left out.
- LayerCAM (Jiang et al. 2021, "LayerCAM: Exploring Hierarchical Class Activation Maps for
  Localization"): relu(sum_k relu(G_k) F_k), a weight for each place.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..backends.full_model import import_keras, import_tensorflow
from ..errors import ModelError, UsageError

#: A coarser map than this tells nobody where the network looked.
MIN_MAP_SIDE = 7

#: Layers whose output is a feature map in its own right, and not a step inside a block.
_MAP_LAYERS = (
    "Activation", "ReLU", "Add", "Conv2D", "BatchNormalization", "LayerNormalization",
    "Functional", "Sequential",
)  # fmt: skip

#: What stands behind logits.
_SCORING = ("softmax", "sigmoid")

#: Layers that an error lists.
_LISTED = 15

#: Name of the layer in front of the softmax in models of edge-train.
LOGITS_LAYER = "logits"


def map_layers(model: Any) -> dict[str, int]:
    """Layers whose output is a feature map, and rows or columns of it, whichever are fewer.

    Args:
        model: A ``keras.Model``.
    """
    sizes = {}
    for layer in model.layers:
        shape = getattr(getattr(layer, "output", None), "shape", None)
        if type(layer).__name__ in _MAP_LAYERS and shape is not None and len(shape) == 4:
            height, width = shape[1], shape[2]
            if height and width:
                sizes[str(layer.name)] = min(height, width)
    return sizes


def choose_layer(model: Any) -> str:
    """Name of the last feature map that is still fine enough to read.

    That is the last layer whose map has at least :data:`MIN_MAP_SIDE` rows and columns: at 224
    pixels the end of the base, at small inputs an earlier block.

    Args:
        model: A ``keras.Model``.

    Raises:
        ModelError: The model has no convolutional feature map.
    """
    sizes = map_layers(model)
    if not sizes:
        raise ModelError("The model has no convolutional feature map, so no Grad-CAM.")
    fine = [name for name, side in sizes.items() if side >= MIN_MAP_SIDE]
    return fine[-1] if fine else max(sizes, key=lambda name: sizes[name])


def gradcam_function(model: Any, layer: str | None = None, method: str = "gradcam") -> Any:
    """A ``tf.function`` that computes a map; ``edge-export`` saves Grad-CAM's as a signature.

    Args:
        model: A ``keras.Model`` from pixels to probabilities.
        layer: Feature-map layer; None for :func:`choose_layer`.
        method: One of :data:`METHODS`.

    Returns:
        A function of ``image`` float32 (1, h, w, 3), 0..255, and ``class_index`` int32 () to a
        dict of ``heatmap`` float32 (h', w') and ``probabilities`` float32 (classes,). A negative
        ``class_index`` stands for the most probable class.

    Raises:
        UsageError: The model has no such layer; the message lists those that it has.
    """
    tf, keras = import_tensorflow(), import_keras()
    chosen = layer or choose_layer(model)
    usable = _usable(model)
    if chosen not in usable:
        # Squeeze-and-excitation works on one place, of which a map shows nothing.
        names = [name for name, size in usable.items() if size != (1, 1)]
        more = [f"... {len(names)} in all"] if len(names) > _LISTED else []
        raise UsageError(
            f"The model has no layer {chosen!r} with a feature map. The last ones that have: "
            f"{', '.join(names[:_LISTED] + more) or 'none'}."
        )
    tail, to_logits = logits_of(model)
    features = model.get_layer(chosen).output
    tapped = keras.Model(model.inputs, [features, model.output, tail])
    _, height, width, channels = model.input_shape
    weigh = METHODS[method]

    @tf.function(
        input_signature=[
            tf.TensorSpec((1, height, width, channels), tf.float32, name="image"),
            tf.TensorSpec((), tf.int32, name="class_index"),
        ]
    )
    def explain(image: Any, class_index: Any) -> dict[str, Any]:
        with tf.GradientTape() as tape:
            tape.watch(image)
            maps, probabilities, end = tapped(image, training=False)
            scores = tf.reshape(to_logits(end), (1, -1))
            probabilities = tf.reshape(probabilities, (1, -1))
            best = tf.argmax(probabilities[0], output_type=tf.int32)
            score = scores[0, tf.where(class_index < 0, best, class_index)]
        gradient = tape.gradient(score, maps)
        if gradient is None:
            raise UsageError(f"The scores do not depend on the layer {chosen!r}.")
        heatmap = tf.nn.relu(tf.reduce_sum(maps * weigh(tf, maps, gradient), axis=-1))[0]
        return {
            "heatmap": tf.cast(heatmap, tf.float32),
            "probabilities": tf.cast(probabilities[0], tf.float32),
        }

    return explain


def logits_of(model: Any) -> tuple[Any, Callable[[Any], Any]]:
    """Where a model's logits come from.

    Args:
        model: A ``keras.Model``.

    Returns:
        A tensor of its graph, and a function from that tensor's value to the logits.
    """
    tf = import_tensorflow()
    names, last = [known.name for known in model.layers], model.layers[-1]
    if LOGITS_LAYER in names:
        return model.get_layer(LOGITS_LAYER).output, lambda end: end
    activation = getattr(getattr(last, "activation", None), "__name__", None)
    kind = type(last).__name__
    if kind == "Softmax" or (kind == "Activation" and activation in _SCORING):
        return last.input, lambda end: end
    if kind == "Dense" and activation in _SCORING:
        bias = last.bias if last.use_bias else 0.0
        return last.input, lambda end: tf.matmul(end, last.kernel) + bias
    if kind in ("Dense", "Flatten", "Reshape", "GlobalAveragePooling2D") and activation in (
        None,
        "linear",
    ):
        return model.output, lambda end: end
    # log p stands in for what is not known: its gradient differs from the logit's by the same
    # term for all classes, and stays finite where p saturates.
    return model.output, lambda end: tf.math.log(tf.maximum(end, 1e-12))


def _gradcam(tf: Any, maps: Any, gradient: Any) -> Any:
    return tf.reduce_mean(gradient, axis=(1, 2), keepdims=True)


def _gradcam_plus_plus(tf: Any, maps: Any, gradient: Any) -> Any:
    square = gradient * gradient
    below = 2 * square + square * gradient * tf.reduce_sum(maps, axis=(1, 2), keepdims=True)
    alpha = tf.math.divide_no_nan(square, below)
    return tf.reduce_sum(alpha * tf.nn.relu(gradient), axis=(1, 2), keepdims=True)


def _layercam(tf: Any, maps: Any, gradient: Any) -> Any:
    return tf.nn.relu(gradient)


#: Weights of a feature map by a method's name.
METHODS: dict[str, Callable[[Any, Any, Any], Any]] = {
    "gradcam": _gradcam,
    "gradcam++": _gradcam_plus_plus,
    "layercam": _layercam,
}


def _usable(model: Any) -> dict[str, tuple[int, int]]:
    """Names of all layers with a feature map, and its size, the last first."""
    found = {}
    for layer in reversed(model.layers):
        shape = getattr(getattr(layer, "output", None), "shape", None)
        if shape is not None and len(shape) == 4 and shape[1] and shape[2]:
            found[str(layer.name)] = (int(shape[1]), int(shape[2]))
    return found
