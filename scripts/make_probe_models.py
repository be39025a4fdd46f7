"""Make the two small models with which edge_runtime tries interpreters.

Run ``python scripts/make_probe_models.py`` (needs the extra ``export``) after a change here; the
files in ``edge_runtime/data`` are part of the package. Both compute softmax(mean(x) W + b) of an
8 x 8 picture, with operators of version 1 and opset 13 that every interpreter of the last years
knows.
"""

from __future__ import annotations

import sys
from pathlib import Path

import flatbuffers
import numpy as np
import onnx
from ai_edge_litert import schema_py_generated as schema
from onnx import TensorProto, helper

FOLDER = Path(__file__).resolve().parent.parent / "edge_runtime" / "data"

SIDE, CHANNELS, CLASSES = 8, 3, 4
WEIGHTS = np.repeat(np.arange(CLASSES, dtype=np.float32)[:, None] / 100, CHANNELS, axis=1)
BIAS = np.array([1.5, 0, 0, 0], np.float32)


def tflite() -> bytes:
    """CONV_2D 1 x 1, AVERAGE_POOL_2D, RESHAPE, SOFTMAX."""
    model = schema.ModelT()
    model.version, model.description = 3, "edge-classify probe"
    buffers = [b"", WEIGHTS.tobytes(), BIAS.tobytes(), np.array([1, CLASSES], "<i4").tobytes()]
    model.buffers = []
    for data in buffers:
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(data, np.uint8) if data else None
        model.buffers.append(buffer)
    kind = schema.BuiltinOperator
    steps = (kind.CONV_2D, kind.AVERAGE_POOL_2D, kind.RESHAPE, kind.SOFTMAX)
    model.operatorCodes = []
    for code in steps:
        entry = schema.OperatorCodeT()
        entry.deprecatedBuiltinCode = entry.builtinCode = code
        entry.version = 1
        model.operatorCodes.append(entry)
    graph = schema.SubGraphT()
    picture, map_ = [1, SIDE, SIDE, CHANNELS], [1, SIDE, SIDE, CLASSES]
    graph.tensors = [
        _tensor("image", picture, 0),
        _tensor("kernel", [CLASSES, 1, 1, CHANNELS], 1),
        _tensor("bias", [CLASSES], 2),
        _tensor("map", map_, 0),
        _tensor("pooled", [1, 1, 1, CLASSES], 0),
        _tensor("shape", [2], 3, schema.TensorType.INT32),
        _tensor("logits", [1, CLASSES], 0),
        _tensor("probabilities", [1, CLASSES], 0),
    ]
    conv, pool, shape, soft = (
        schema.Conv2DOptionsT(),
        schema.Pool2DOptionsT(),
        schema.ReshapeOptionsT(),
        schema.SoftmaxOptionsT(),
    )
    conv.padding = pool.padding = schema.Padding.VALID
    conv.strideH = conv.strideW = conv.dilationHFactor = conv.dilationWFactor = 1
    pool.strideH = pool.strideW = 1
    pool.filterHeight = pool.filterWidth = SIDE
    shape.newShape, soft.beta = [1, CLASSES], 1.0
    options = schema.BuiltinOptions
    graph.operators = [
        _operator(0, [0, 1, 2], [3], options.Conv2DOptions, conv),
        _operator(1, [3], [4], options.Pool2DOptions, pool),
        _operator(2, [4, 5], [6], options.ReshapeOptions, shape),
        _operator(3, [6], [7], options.SoftmaxOptions, soft),
    ]
    graph.inputs, graph.outputs = [0], [7]
    model.subgraphs = [graph]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _tensor(name: str, shape: list[int], buffer: int, kind: int = 0) -> schema.TensorT:
    tensor = schema.TensorT()
    tensor.name, tensor.shape, tensor.buffer, tensor.type = name, shape, buffer, kind
    return tensor


def _operator(
    code: int, inputs: list[int], outputs: list[int], kind: int, options: object
) -> schema.OperatorT:
    operator = schema.OperatorT()
    operator.opcodeIndex, operator.inputs, operator.outputs = code, inputs, outputs
    operator.builtinOptionsType, operator.builtinOptions = kind, options
    return operator


def onnx_file() -> bytes:
    """ReduceMean, MatMul, Add, Softmax."""
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMean", ["image"], ["means"], axes=[1, 2], keepdims=0),
            helper.make_node("MatMul", ["means", "kernel"], ["product"]),
            helper.make_node("Add", ["product", "bias"], ["logits"]),
            helper.make_node("Softmax", ["logits"], ["probabilities"], axis=-1),
        ],
        "probe",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, SIDE, SIDE, CHANNELS])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [1, CLASSES])],
        [
            onnx.numpy_helper.from_array(np.ascontiguousarray(WEIGHTS.T), "kernel"),
            onnx.numpy_helper.from_array(BIAS, "bias"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 7
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def main() -> None:
    """Write both files."""
    for name, data in (("probe.tflite", tflite()), ("probe.onnx", onnx_file())):
        (FOLDER / name).write_bytes(data)
        sys.stdout.write(f"{FOLDER / name}: {len(data)} bytes\n")


if __name__ == "__main__":
    main()
