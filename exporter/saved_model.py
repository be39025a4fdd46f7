"""The SavedModel: the format that the others are converted from, and the one with gradients."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edge_runtime.backends.base import check_image_input
from edge_runtime.backends.full_model import (
    GRADCAM_SIGNATURE,
    SERVE_SIGNATURE,
    import_tensorflow,
)
from edge_runtime.backends.onnx import SCORES_NAME
from edge_runtime.errors import ModelError
from edge_runtime.gradcam import gradcam_function
from edge_runtime.manifest import EMBEDDED_NAME, ModelInfo

from .converting import converting

#: Name of the pixels in every format.
INPUT_NAME = "image"


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


def write_saved_model(model: Any, folder: Path, info: ModelInfo) -> None:
    """Write a SavedModel with the signatures ``serve`` and ``gradcam``.

    ``serve`` takes ``image`` float32 (1, height, width, 3), RGB, 0..255, and gives
    ``probabilities`` float32 (1, classes). ``gradcam`` is
    :func:`edge_runtime.gradcam.gradcam_function`. The model description goes to
    ``assets.extra/``, where TensorFlow leaves files of other programs alone.

    Args:
        model: The ``keras.Model`` of the run.
        folder: The folder to make.
        info: Class names and preprocessing.

    Raises:
        ModelError: TensorFlow cannot save the model.
    """
    tf = import_tensorflow()
    spec = info.preprocess

    @tf.function(
        input_signature=[
            tf.TensorSpec((1, spec.height, spec.width, 3), tf.float32, name=INPUT_NAME)
        ],
        autograph=False,
    )
    def serve(image: Any) -> dict[str, Any]:
        return {SCORES_NAME: model(image, training=False)}

    with converting("saved_model"):
        module = tf.Module()
        module.weights_of_the_network = [variable.value for variable in model.variables]
        signatures = {
            SERVE_SIGNATURE: serve.get_concrete_function(),
            GRADCAM_SIGNATURE: gradcam_function(model).get_concrete_function(),
        }
        tf.saved_model.save(module, str(folder), signatures=signatures)
    extra = folder / "assets.extra"
    extra.mkdir(exist_ok=True)
    (extra / EMBEDDED_NAME).write_text(info.to_json() + "\n", encoding="utf-8")
