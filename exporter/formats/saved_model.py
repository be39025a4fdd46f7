"""SavedModel: signatures ``serve``, also as ``serving_default``, and ``gradcam``."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from edge_runtime.backends.full_model import (
    GRADCAM_SIGNATURE,
    SERVE_SIGNATURE,
    import_tensorflow,
)
from edge_runtime.gradcam import gradcam_function

from ..converting import converting
from .job import Job
from .names import INPUT_NAME
from .source import Source


def convert(job: Job) -> None:
    """Write the folder; see :func:`write_saved_model`."""
    shutil.copytree(job.source.saved_model(), job.target)


def write_saved_model(source: Source, folder: Path) -> None:
    """Write a SavedModel with the signatures ``serve``, ``serving_default`` and ``gradcam``.

    ``serve`` takes ``image`` float32 (n, height, width, 3), RGB, 0..255, and gives
    ``probabilities`` or ``logits``, float32 (n, classes); n is the batch of the export. ``serving_default`` is the same
    under the name that TensorFlow Serving looks for where a request names none.
    ``gradcam`` is :func:`edge_runtime.gradcam.gradcam_function`, of one photo.

    Args:
        source: The model.
        folder: The folder to make.

    Raises:
        ModelError: TensorFlow cannot save the model.
    """
    tf = import_tensorflow()
    network, name = source.network, source.options.scores
    _, height, width, channels = network.model.input_shape
    shape = (source.options.batch, height, width, channels)
    answer = network.function(logits=source.options.logits)

    @tf.function(
        input_signature=[tf.TensorSpec(shape, tf.float32, name=INPUT_NAME)], autograph=False
    )
    def serve(image: Any) -> dict[str, Any]:
        return {name: answer(image)}

    with converting("saved_model"):
        module = tf.Module()
        module.weights_of_the_network = [variable.value for variable in network.model.variables]
        concrete = serve.get_concrete_function()
        signatures = {
            SERVE_SIGNATURE: concrete,
            tf.saved_model.DEFAULT_SERVING_SIGNATURE_DEF_KEY: concrete,
            GRADCAM_SIGNATURE: gradcam_function(network.model).get_concrete_function(),
        }
        tf.saved_model.save(module, str(folder), signatures=signatures)
