"""Classifiers as others make them, whose right answers are known.

All look at the mean of each colour, x, as it is after their own normalisation: the logits are 4 x of
red, green and blue, and 0 for "dark". With pixels of -1 to 1 a photo below half the brightness is
dark; a reader who feeds 0 to 1 or 0 to 255 never finds it so, and one who mixes up red and blue says
the other.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
from PIL import Image

from exporter.formats.flatbuffer import table, vector
from exporter.formats.tflite_buffers import inline, with_buffers

LABELS = ("dark", "red", "green", "blue")
SIDE = 8

#: Photos and what they are at -1 to 1: 200 is +0.57, 100 is -0.22.
PHOTOS = {"dark": (100, 60, 20), "red": (200, 20, 20), "green": (20, 200, 20), "blue": (0, 20, 200)}

KERNEL = np.zeros((3, 4), np.float32)
KERNEL[[0, 1, 2], [1, 2, 3]] = 4


def photo(name: str) -> np.ndarray:
    """uint8 (SIDE, SIDE, 3) of one colour."""
    return np.full((SIDE, SIDE, 3), PHOTOS[name], np.uint8)


def save_photos(folder: Path) -> list[str]:
    """The photos as PNG files named by their right answers, in the order of their names."""
    folder.mkdir(exist_ok=True)
    for name in PHOTOS:
        Image.fromarray(photo(name)).save(folder / f"{name}.png")
    return [str(folder / f"{name}.png") for name in PHOTOS]


def logits(name: str, mean: Any = 127.5, std: Any = 127.5) -> np.ndarray:
    """What the network computes for a photo, float32 (4,)."""
    x = (np.array(PHOTOS[name], np.float32) - np.float32(mean)) / np.float32(std)
    return x @ KERNEL


def softmax(values: np.ndarray) -> np.ndarray:
    powers = np.exp(values - values.max())
    return powers / powers.sum()


def write_labels(folder: Path, names: Sequence[str] = LABELS) -> Path:
    file = folder / "labels.txt"
    file.write_text("".join(f"{name}\n" for name in names))
    return file


def keras_network(
    end: str = "softmax", planar: bool = False, grey: bool = False, side: int | None = SIDE
) -> Any:
    """The network in Keras: ``end`` is softmax, sigmoid, linear or rescaled (of the softmax)."""
    from edge_runtime.backends.full_model import import_keras

    keras = import_keras()
    layers = keras.layers
    channels = 1 if grey else 3
    shape = (channels, side, side) if planar else (side, side, channels)
    image = keras.Input(shape, name="image")
    x = layers.Permute((2, 3, 1))(image) if planar else image
    x = layers.GlobalAveragePooling2D()(x)
    dense = layers.Dense(4)
    x = dense(x)
    dense.set_weights(
        [np.full((1, 4), 4, np.float32) * [0, 1, 0, -1] if grey else KERNEL, np.zeros(4)]
    )
    if end != "linear":
        x = layers.Activation("sigmoid" if end == "sigmoid" else "softmax")(x)
    if end == "rescaled":  # an operator that no list of endings holds
        x = layers.Lambda(lambda value: value * value / value)(x)
    return keras.Model(image, x)


def tflite(network: Any, quantized: str = "", low: float = -1, high: float = 1) -> bytes:
    """A TFLite file without metadata; ``quantized`` is uint8 or int8, calibrated on low to high."""
    from edge_runtime.backends.full_model import import_tensorflow

    tf = import_tensorflow()
    converter = tf.lite.TFLiteConverter.from_keras_model(network)
    if quantized:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        # Means of a picture reach as far as its pixels only where all pixels are alike.
        corners = [[low] * 3, [high] * 3, [high, low, low], [low, high, low], [low, low, high]]
        flat = [np.full((1, SIDE, SIDE, 3), corner, np.float32) for corner in corners]
        converter.representative_dataset = lambda: ([picture] for picture in flat)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = getattr(tf, quantized)
    return bytes(converter.convert())


def with_metadata(
    model: bytes,
    labels: Mapping[str, tuple[int, str]] | None = None,
    files: Mapping[str, bytes] | None = None,
    normalization: tuple[Sequence[float], Sequence[float]] | None = None,
    color: int = 1,
    size: tuple[int, int] | None = None,
    threshold: float | None = None,
    calibration: str = "",
    about: Mapping[int, str] | None = None,
) -> bytes:
    """Add standard metadata to a TFLite file, as TFLite's own writer does.

    Args:
        model: The file.
        labels: Associated files of the output: type and locale by name.
        files: What the zip archive holds.
        normalization: Mean and std, as many as are wanted.
        color: Of ColorSpaceType.
        size: Default size in the image's properties.
        threshold: Of the scores.
        calibration: Name of a file of score calibration.
        about: Texts of ModelMetadata by their field.
    """
    builder = flatbuffers.Builder(1024)

    def reals(values: Sequence[float]) -> int:
        return int(builder.CreateNumpyVector(np.array(values, np.float32)))

    def file(name: str, kind: int, locale: str = "") -> int:
        texts = {0: builder.CreateString(name)} | (
            {3: builder.CreateString(locale)} if locale else {}
        )
        return table(builder, texts, int8={2: kind})

    def unit(kind: int, options: int) -> int:
        return table(builder, {1: options}, int8={0: kind})

    image = {} if size is None else {1: table(builder, {}, uint32={0: size[0], 1: size[1]})}
    content = table(builder, {1: table(builder, image, int8={0: color})}, int8={0: 2})
    source = {3: content}
    if normalization is not None:
        numbers = {slot: reals(values) for slot, values in enumerate(normalization) if values}
        source[4] = vector(builder, [unit(1, table(builder, numbers))])
    associated = [file(name, kind, locale) for name, (kind, locale) in (labels or {}).items()]
    units = []
    if calibration:
        associated.append(file(calibration, 4))
        units.append(unit(2, table(builder, {})))
    if threshold is not None:
        builder.StartObject(1)
        builder.PrependFloat32Slot(0, threshold, 0.0)
        units.append(unit(3, int(builder.EndObject())))
    target = {0: builder.CreateString("probability")}
    target |= {4: vector(builder, units)} if units else {}
    target |= {6: vector(builder, associated)} if associated else {}
    sides = {2: vector(builder, [table(builder, source)])}
    sides[3] = vector(builder, [table(builder, target)])
    root = {slot: builder.CreateString(text) for slot, text in (about or {}).items()}
    root[3] = vector(builder, [table(builder, sides)])
    builder.Finish(table(builder, root), file_identifier=b"M001")
    entry = {"TFLITE_METADATA": bytes(builder.Output())}
    stream = io.BytesIO(with_buffers(inline(model), metadata=entry))
    if files:
        with zipfile.ZipFile(stream, "a") as archive:
            for name, text in files.items():
                archive.writestr(name, text)
    return stream.getvalue()


def onnx(
    file: Path,
    end: str = "softmax",
    layout: str = "NCHW",
    dtype: str = "FLOAT",
    batch: int | str = 1,
    side: int | str = SIDE,
    classes: int | str = 4,
    extra: bool = False,
    tall: bool = False,
    opset: int = 17,
    kernel: np.ndarray = KERNEL,
    names: str = "",
    inside: tuple[float, float] | None = None,
) -> Path:
    """The network in ONNX, written by hand.

    Args:
        file: Where to.
        end: softmax, logsoftmax, sigmoid, linear, exp (a softmax out of its parts) or percent.
        layout: Of the input.
        dtype: Of the input, by ONNX's name.
        batch: A number, or a name for any.
        side: Height and width, likewise.
        classes: Likewise, of the output's shape.
        extra: Whether other outputs stand first: a feature map, an embedding, the best class.
        tall: Whether the scores have the shape (n, classes, 1, 1).
        opset: Below 9, constants stand among the inputs, too.
        kernel: (3, classes) of the linear layer.
        names: Of ``metadata_props``.
        inside: Mean and std of a normalisation inside the network.
    """
    import onnx as package
    from onnx import TensorProto, helper, numpy_helper

    node = helper.make_node
    constants = {"w": kernel, "b": np.zeros(kernel.shape[1], np.float32)}
    nodes = [node("Cast", ["image"], ["float"], to=TensorProto.FLOAT)]
    last = "float"
    if inside is not None:
        constants |= {"m": np.float32([inside[0]]), "s": np.float32([inside[1]])}
        nodes += [node("Sub", [last, "m"], ["less"]), node("Div", ["less", "s"], ["scaled"])]
        last = "scaled"
    if layout == "NHWC":
        nodes.append(node("Transpose", [last], ["nchw"], perm=[0, 3, 1, 2]))
        last = "nchw"
    nodes += [
        node("GlobalAveragePool", [last], ["pooled"]),
        node("Flatten", ["pooled"], ["flat"]),
        node("MatMul", ["flat", "w"], ["raw"]),
        node("Add", ["raw", "b"], ["logits"]),
    ]
    operator = {"softmax": "Softmax", "logsoftmax": "LogSoftmax", "sigmoid": "Sigmoid"}.get(end)
    last = "logits"
    if operator is not None:
        axis = {} if operator == "Sigmoid" else {"axis": 1}
        nodes.append(node(operator, ["logits"], ["ended"], **axis))
        last = "ended"
    elif end in ("exp", "percent"):
        nodes += [
            node("Exp", ["logits"], ["powers"]),
            node("ReduceSum", ["powers", "axis"], ["sum"], keepdims=1),
            node("Div", ["powers", "sum"], ["share"]),
        ]
        constants["axis"] = np.array([1])
        last = "share"
        if end == "percent":
            constants["hundred"] = np.float32([100])
            nodes.append(node("Mul", ["share", "hundred"], ["percent"]))
            last = "percent"
    if tall:
        constants["tall"] = np.array([1, -1, 1, 1])
        nodes.append(node("Reshape", [last, "tall"], ["high"]))
        last = "high"
    nodes.append(node("Identity", [last], ["scores"]))
    shape = [batch, 3, side, side] if layout == "NCHW" else [batch, side, side, 3]
    kind = getattr(TensorProto, dtype)
    value = helper.make_tensor_value_info
    outputs = [value("scores", TensorProto.FLOAT, [batch, classes] + [1, 1] * tall)]
    if extra:
        nodes += [
            node(
                "Relu",
                [next(n for n in nodes if n.op_type == "GlobalAveragePool").input[0]],
                ["map"],
            ),
            node("Concat", ["flat", "raw"], ["embedding"], axis=1),
            node("ArgMax", ["logits"], ["best"], axis=1, keepdims=0),
        ]
        outputs[:0] = [
            value("map", TensorProto.FLOAT, [batch, 3, side, side]),
            value("embedding", TensorProto.FLOAT, [batch, 7]),
            value("best", TensorProto.INT64, [batch]),
        ]
    stored = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    inputs = [value("image", kind, shape)]
    if opset < 9:
        inputs += [value(t.name, t.data_type, list(t.dims)) for t in stored]
    graph = helper.make_graph(nodes, "net", inputs, outputs, stored)
    version = 3 if opset < 9 else 8
    proto = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=version
    )
    if names:
        entry = proto.metadata_props.add()
        entry.key, entry.value = "names", names
    package.save(proto, file)
    return file
