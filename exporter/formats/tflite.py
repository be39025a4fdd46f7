"""What the TFLite formats share: the converter call.

https://ai.google.dev/edge/litert/conversion/tensorflow/convert_tf
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from edge_runtime.backends.full_model import SERVE_SIGNATURE, import_tensorflow
from edge_runtime.errors import ModelError

from ..converting import converting
from ..photos import batches
from .source import Source
from .tflite_graph import check

#: How the converter lists what it has no operator for, in the middle of its message.
_FOREIGN = re.compile(r"^(?:TF Select|Custom) ops: (.+)$", re.MULTILINE)


def convert(source: Source, fmt: str, configure: Callable[[Any, Any], None] | None = None) -> bytes:
    """Convert the ``serve`` signature of the SavedModel with TensorFlow's converter.

    Args:
        source: The model.
        fmt: Name of the format, for messages.
        configure: Gets ``tensorflow`` and the ``TFLiteConverter`` to set; None for float32.

    Returns:
        A TFLite file without metadata: one subgraph, builtin operators only.

    Raises:
        ModelError: The converter failed, or made a file that a plain interpreter cannot run.
    """
    tf = import_tensorflow()
    folder = source.saved_model()
    with converting(fmt):
        converter = tf.lite.TFLiteConverter.from_saved_model(
            str(folder), signature_keys=[SERVE_SIGNATURE]
        )
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        if configure is not None:
            configure(tf, converter)
        try:
            model: bytes = converter.convert()
        except Exception as error:
            raise_foreign(source, fmt, foreign_operators(str(error)), "TFLite")
            raise
    check(model, fmt, source.options.batch)
    return model


def foreign_operators(message: str) -> set[str]:
    """The TensorFlow operators that a converter's message says it cannot translate."""
    return {name.strip() for names in _FOREIGN.findall(message) for name in names.split(",")}


def raise_foreign(source: Source, fmt: str, operators: set[str], target: str) -> None:
    """Raise ModelError that names operators and the layers they come from, if there are any."""
    if not operators:
        return
    layers = ", ".join(source.network.layers_with(operators)) or "a layer"
    raise ModelError(
        f"{fmt}: {layers} needs the operator {', '.join(sorted(operators))}, which a plain "
        f"{target} interpreter lacks. Replace the layer, and train again."
    )


def representative_dataset(
    pixels: np.ndarray, batch: int | None = 1
) -> Callable[[], Iterator[list[np.ndarray]]]:
    """What ``TFLiteConverter.representative_dataset`` expects.

    Args:
        pixels: uint8 (n, height, width, 3).
        batch: Photos that the network takes at once; the last batch is filled up with its last
            photo. None counts as one.

    Returns:
        A function that yields float32 (batch, height, width, 3), 0..255.
    """

    def photos() -> Iterator[list[np.ndarray]]:
        for group, _ in batches(pixels, batch or 1):
            yield [group.astype(np.float32)]

    return photos
