"""TFLite files: float32, float16 weights, dynamic range int8, full int8.

Schemes as in https://ai.google.dev/edge/litert/conversion/tensorflow/quantization/post_training_quantization
and the TFLite 8-bit quantisation specification (per-channel weights, symmetric; per-tensor
activations, affine).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from edge_runtime.backends.full_model import SERVE_SIGNATURE, import_tensorflow
from edge_runtime.errors import ModelError, missing_package

from .calibration import representative_dataset
from .converting import converting

#: What each format is, under its true name.
SCHEMES = {
    "tflite-fp32": "none (float32)",
    "tflite-fp16": "float16 weights, float32 activations",
    "tflite-dynamic": "dynamic range: int8 weights per-channel, float32 activations",
    "tflite-int8": "full integer int8, weights per-channel, uint8 input and output",
}


def convert(saved_model: Path, fmt: str, calibration: np.ndarray | None = None) -> bytes:
    """Convert the ``serve`` signature of a SavedModel.

    Args:
        saved_model: The folder.
        fmt: A key of :data:`SCHEMES`.
        calibration: uint8 (n, height, width, 3) photos; needed for ``tflite-int8`` only.

    Returns:
        A TFLite file without metadata: one subgraph, batch of one, builtin operators only.

    Raises:
        ModelError: The converter failed, or made a file that a plain interpreter cannot run.
    """
    tf = import_tensorflow()
    with converting(fmt):
        converter = tf.lite.TFLiteConverter.from_saved_model(
            str(saved_model), signature_keys=[SERVE_SIGNATURE]
        )
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        if fmt != "tflite-fp32":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if fmt == "tflite-fp16":
            converter.target_spec.supported_types = [tf.float16]
        if fmt == "tflite-int8":
            if calibration is None:
                raise ModelError(f"{fmt}: photos to calibrate with are needed, got none.")
            converter.representative_dataset = representative_dataset(calibration)
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
            # uint8 and not int8: it is what pixels are, and what MediaPipe accepts.
            converter.inference_input_type = tf.uint8
            converter.inference_output_type = tf.uint8
        model: bytes = converter.convert()
    check(model, fmt)
    return model


def check(model: bytes, fmt: str) -> None:
    """Check that any TFLite interpreter can run a file as a classifier of one photo.

    Args:
        model: The TFLite flatbuffer.
        fmt: Its format, for the message.

    Raises:
        ModelError: It needs Flex or custom operators, or has not the one subgraph, input and
            output with a batch of one.
    """
    schema = import_schema()
    root = schema.Model.GetRootAs(model)
    foreign = [
        code.CustomCode().decode()
        for code in (root.OperatorCodes(i) for i in range(root.OperatorCodesLength()))
        if code.CustomCode() is not None
    ]
    if foreign:
        raise ModelError(
            f"{fmt}: needs the operators {', '.join(sorted(foreign))}, which a plain TFLite "
            "interpreter lacks. Replace the layer that they come from, and train again."
        )
    graph = root.Subgraphs(0)
    counts = (root.SubgraphsLength(), graph.InputsLength(), graph.OutputsLength())
    if counts != (1, 1, 1):
        raise ModelError(
            f"{fmt}: expected one subgraph, input and output, found {counts}: not a classifier."
        )
    for index in (graph.Inputs(0), graph.Outputs(0)):
        tensor = graph.Tensors(index)
        shape = tensor.ShapeAsNumpy().tolist()
        if shape[0] != 1 or (
            tensor.ShapeSignatureLength() and -1 in tensor.ShapeSignatureAsNumpy()
        ):
            raise ModelError(f"{fmt}: expected a fixed batch of one, found shape {shape}.")


def import_schema() -> Any:
    """The generated reader of TFLite flatbuffers.

    Raises:
        MissingComponent: ai-edge-litert is not installed.
    """
    try:
        from ai_edge_litert import schema_py_generated
    except ImportError as error:
        raise missing_package("ai-edge-litert", "export", "write TFLite metadata") from error
    return schema_py_generated
