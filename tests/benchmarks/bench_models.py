"""A bundle whose answers are known, made without TensorFlow: the class is the strongest colour.

Both files compute softmax(mean over the picture / 16): a pure red photo scores red at
softmax([255/16, 0, 0]). The TFLite file is assembled with the schema that ai-edge-litert ships,
the ONNX file with onnx's helpers, so the real interpreters run them.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from edge_runtime.files import sha256_tree, size_of
from edge_runtime.manifest import (
    MANIFEST_NAME,
    Artifact,
    Manifest,
    ModelInfo,
    PreprocessSpec,
    artifact_name,
)

SIDE = 16
COLORS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}
INFO = ModelInfo(tuple(COLORS), PreprocessSpec(SIDE, SIDE))
SHARPNESS = 1 / 16


def build_bundle(folder: Path, formats: tuple[str, ...] = ("tflite-fp32", "onnx-fp32")) -> Path:
    """Write the bundle; ``onnx-fp32`` is marked as failing parity, so that the order shows."""
    folder.mkdir(parents=True)
    for fmt in formats:
        content = _onnx() if fmt.startswith("onnx") else _tflite()
        (folder / artifact_name(fmt)).write_bytes(content)
    write_manifest(folder, formats)
    return folder


def write_manifest(folder: Path, formats: tuple[str, ...]) -> None:
    """List the files that are there with their true sizes and checksums."""
    artifacts = []
    for fmt in formats:
        file = folder / artifact_name(fmt)
        passed = not fmt.startswith("onnx")
        artifacts.append(
            Artifact(fmt, file.name, size_of(file), sha256_tree(file), "float32", passed)
        )
    text = Manifest(INFO, tuple(artifacts), default=formats[0]).to_json()
    (folder / MANIFEST_NAME).write_text(text)


def write_photos(folder: Path) -> Path:
    """Ten photos: three a class, all right but one green one among the reds; one cut off.

    That is 8 of 9 readable photos right.
    """
    for name, color in COLORS.items():
        (folder / name).mkdir(parents=True)
        for number in range(3):
            wrong = name == "red" and number == 2
            image = Image.new("RGB", (20, 24), COLORS["green"] if wrong else color)
            image.save(folder / name / f"{number}.png")
    whole = (folder / "blue" / "0.png").read_bytes()
    (folder / "blue" / "cut.png").write_bytes(whole[: len(whole) // 2])
    return folder


def _onnx() -> bytes:
    from onnx import TensorProto, helper

    nodes = [
        helper.make_node("ReduceMean", ["image"], ["mean"], axes=[1, 2], keepdims=0),
        helper.make_node("Mul", ["mean", "sharpness"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "strongest_color",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, SIDE, SIDE, 3])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [1, 3])],
        [helper.make_tensor("sharpness", TensorProto.FLOAT, [], [SHARPNESS])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


def _tflite() -> bytes:
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    def tensor(name: str, shape: list[int], kind: int, buffer: int):
        made = schema.TensorT()
        made.name, made.shape, made.type, made.buffer = name, shape, kind, buffer
        return made

    def code(builtin: int):
        made = schema.OperatorCodeT()
        made.builtinCode = made.deprecatedBuiltinCode = builtin
        made.version = 1
        return made

    def operator(number: int, inputs: list[int], outputs: list[int], kind: int, options):
        made = schema.OperatorT()
        made.opcodeIndex, made.inputs, made.outputs = number, inputs, outputs
        made.builtinOptionsType, made.builtinOptions = kind, options
        return made

    axes = schema.BufferT()
    axes.data = np.frombuffer(np.array([1, 2], "<i4").tobytes(), np.uint8)
    softmax = schema.SoftmaxOptionsT()
    softmax.beta = SHARPNESS
    graph = schema.SubGraphT()
    graph.tensors = [
        tensor("image", [1, SIDE, SIDE, 3], schema.TensorType.FLOAT32, 0),
        tensor("axes", [2], schema.TensorType.INT32, 1),
        tensor("mean", [1, 3], schema.TensorType.FLOAT32, 0),
        tensor("probabilities", [1, 3], schema.TensorType.FLOAT32, 0),
    ]
    options = schema.BuiltinOptions
    graph.operators = [
        operator(0, [0, 1], [2], options.ReducerOptions, schema.ReducerOptionsT()),
        operator(1, [2], [3], options.SoftmaxOptions, softmax),
    ]
    graph.inputs, graph.outputs = [0], [3]
    model = schema.ModelT()
    model.version = 3
    model.operatorCodes = [code(schema.BuiltinOperator.MEAN), code(schema.BuiltinOperator.SOFTMAX)]
    model.subgraphs = [graph]
    model.buffers = [schema.BufferT(), axes]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())
