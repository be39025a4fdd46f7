"""The classifier of a run, opened for conversion: float32, checked, its head found."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from edge_runtime.backends.base import check_image_input
from edge_runtime.errors import ModelError
from edge_runtime.manifest import ModelInfo

#: Keras layers that change nothing at inference, or not which class wins.
_TRANSPARENT = ("Dropout", "Identity", "Flatten", "Reshape", "GaussianNoise", "GaussianDropout")


@dataclass(frozen=True)
class Head:
    """Global average pooling and a linear layer: what a class's heat map is made of.

    Attributes:
        features: Symbolic tensor F (n, h, w, k) in front of the pooling.
        pooled: Symbolic tensor (n, k) that the linear layer takes.
        dense: The linear layer, with the kernel W (k, classes).
    """

    features: Any
    pooled: Any
    dense: Any

    @property
    def layer(self) -> str:
        """Name of the layer that gives F."""
        return str(self.features._keras_history.operation.name)


class Network:
    """A classifier of the trainer.

    Attributes:
        model: ``keras.Model`` from float32 (n, h, w, 3), 0..255, to probabilities (n, classes).
        head: Its end; None if it ends in another way, and has no heat map.
    """

    def __init__(self, model: Any) -> None:
        """Find the head of a model.

        Args:
            model: The ``keras.Model``.
        """
        self.model, self.head = model, find_head(model)

    def check(self, info: ModelInfo, where: str, logits: bool = False) -> None:
        """Check that this is the classifier that the run describes.

        Args:
            info: Class names and preprocessing of the run.
            where: File of the model, for the message.
            logits: Whether its logits will be asked for.

        Raises:
            ModelError: It is not, or it has no logits.
        """
        check_model(self.model, info, where)
        if logits and self.head is None:
            raise ModelError(
                f"{where}: does not end in global average pooling, a linear layer and softmax, so "
                "there are no logits to end with. Export without --logits."
            )

    def function(self, logits: bool = False) -> Callable[[Any], Any]:
        """The classifier as a function of the pixels.

        Args:
            logits: Whether it stops in front of the softmax.

        Returns:
            A function of float32 (n, h, w, 3) to float32 (n, classes), in inference mode.
        """
        if not logits:
            return lambda image: self.model(image, training=False)
        tapped, head = self._tapped(), self._head()
        return lambda image: _linear(head.dense, tapped(image, training=False)[1])

    def function_with_heatmap(self, logits: bool = False) -> Callable[[Any], tuple[Any, Any]]:
        """:meth:`function` and the heat maps of all classes.

        Grad-CAM of a logit behind average pooling is relu(F W) / (h w) (Zhou et al. 2016,
        "Learning Deep Features for Discriminative Localization"; Selvaraju et al. 2017).

        Returns:
            A function of float32 (n, h, w, 3) to the scores, and to float32 (n, h', w', classes).
        """
        from edge_runtime.backends.full_model import import_tensorflow

        tf = import_tensorflow()
        tapped, head = self._tapped(), self._head()
        area = head.features.shape[1] * head.features.shape[2]

        def answer(image: Any) -> tuple[Any, Any]:
            features, pooled, probabilities = tapped(image, training=False)
            scores = _linear(head.dense, pooled) if logits else probabilities
            maps = tf.matmul(features, tf.convert_to_tensor(head.dense.kernel))
            return scores, tf.nn.relu(maps) / area

        return answer

    def layers_with(self, operators: set[str]) -> list[str]:
        """Layers that a TensorFlow operator comes from, by their names, for messages.

        Args:
            operators: Names of operators, such as ``Erfinv``.
        """
        from edge_runtime.backends.full_model import import_tensorflow

        tf = import_tensorflow()
        known = {layer.name for layer in self.model.layers} | {
            operation.name for operation in getattr(self.model, "operations", ())
        }
        spec = tf.TensorSpec((1, *self.model.input_shape[1:]), tf.float32)
        graph = tf.function(self.function()).get_concrete_function(spec).graph
        found = []
        for node in graph.get_operations():
            if node.type in operators:
                # TensorFlow numbers the scopes of a layer that is called again.
                scopes = [re.sub(r"_\d+$", "", part) for part in node.name.split("/")]
                layers = [
                    name
                    for part, scope in zip(node.name.split("/"), scopes, strict=True)
                    for name in (part, scope)
                    if name in known
                ]
                found.append(layers[-1] if layers else node.name)
        return list(dict.fromkeys(found))

    def _head(self) -> Head:
        if self.head is None:
            raise ModelError("The network does not end in average pooling and a linear layer.")
        return self.head

    def _tapped(self) -> Any:
        from edge_runtime.backends.full_model import import_keras

        head = self._head()
        outputs = [head.features, head.pooled, self.model.output]
        return import_keras().Model(self.model.input, outputs)


def _linear(dense: Any, pooled: Any) -> Any:
    from edge_runtime.backends.full_model import import_tensorflow

    tf = import_tensorflow()
    product = tf.matmul(pooled, tf.convert_to_tensor(dense.kernel))
    return product if dense.bias is None else product + tf.convert_to_tensor(dense.bias)


def find_head(model: Any) -> Head | None:
    """Walk back from a model's output over softmax and a linear layer to the pooling.

    Args:
        model: A ``keras.Model``.

    Returns:
        The head; None if the model ends in another way.
    """
    dense = pooled = None
    tensor = model.outputs[0]
    while True:
        operation = tensor._keras_history.operation
        kind = type(operation).__name__
        if kind == "GlobalAveragePooling2D" and dense is not None:
            features = operation.input
            return Head(features, pooled, dense) if len(features.shape) == 4 else None
        if kind == "Dense" and dense is None and _activation(operation) in ("linear", "softmax"):
            dense, pooled = operation, operation.input
        elif not (
            kind in _TRANSPARENT
            or (kind in ("Softmax", "Activation") and dense is None)
            or (kind == "Activation" and _activation(operation) == "linear")
        ):
            return None
        tensor = operation.input
        if isinstance(tensor, (list, tuple)):
            return None


def _activation(layer: Any) -> str:
    return str(getattr(layer.activation, "__name__", layer.activation))


def check_model(model: Any, info: ModelInfo, where: str) -> None:
    """Check that a Keras model is the classifier that the run describes.

    Args:
        model: A ``keras.Model``.
        info: Class names and preprocessing of the run.
        where: Its file, for the message.

    Raises:
        ModelError: It is not.
    """
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise ModelError(
            f"{where}: expected one input and one output, found {len(model.inputs)} and "
            f"{len(model.outputs)}. Only classifiers of edge-train can be exported."
        )
    spec = info.preprocess
    found = check_image_input(tuple(model.input_shape), where)
    if found != (spec.width, spec.height):
        raise ModelError(
            f"{where}: takes {found[0]}x{found[1]} pixels, the run's description says "
            f"{spec.width}x{spec.height}. Train again."
        )
    if tuple(model.output_shape)[1:] != (len(info.class_names),):
        raise ModelError(
            f"{where}: gives scores of shape {tuple(model.output_shape)[1:]} for "
            f"{len(info.class_names)} class names. Train again."
        )
    kinds = {tensor.dtype for tensor in (*model.inputs, *model.outputs)}
    kinds |= {layer.compute_dtype for layer in model.layers}
    if kinds != {"float32"}:
        raise ModelError(
            f"{where}: computes in {', '.join(sorted(kinds))}; a float32 graph was expected. "
            "edge-train saves one; train again."
        )
