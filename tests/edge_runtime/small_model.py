"""A small network with a feature map, a pooling and a linear head, in every batch and type."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from edge_runtime.manifest import ModelInfo, OutputSpec, PreprocessSpec

SIDE, CLASSES = 32, 3
INFO = ModelInfo(("a", "b", "c"), PreprocessSpec(SIDE, SIDE))
LOGITS_INFO = ModelInfo(INFO.class_names, INFO.preprocess, OutputSpec(kind="logits"))

#: Float32 rounding between kernels; 1.2e-7 was measured.
CLOSE = 1e-6


def pixels(count: int, seed: int = 0) -> np.ndarray:
    """uint8 (count, SIDE, SIDE, 3): blotches, so that maps have structure."""
    coarse = np.random.default_rng(seed).integers(0, 256, (count, 4, 4, 3))
    return np.kron(coarse, np.ones((1, SIDE // 4, SIDE // 4, 1))).astype(np.uint8)


def network(pooled: bool = True) -> Any:
    """A Keras model of random weights; ``pooled`` false flattens the map in place of pooling it."""
    from edge_runtime.backends.full_model import import_keras

    keras = import_keras()
    keras.utils.set_random_seed(3)
    layers = keras.layers
    image = keras.Input((SIDE, SIDE, 3), name="image")
    x = layers.Rescaling(1 / 64)(image)
    x = layers.Conv2D(8, 3, strides=2, activation="relu", padding="same")(x)
    x = layers.Conv2D(16, 3, strides=2, activation="swish", padding="same", name="map")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x) if pooled else layers.Flatten()(x)
    x = layers.Dense(CLASSES, name="logits")(x)
    return keras.Model(image, layers.Softmax(name="probabilities")(x))


def concrete(model: Any, batch: int | None) -> Any:
    """A traced function of a batch size."""
    from edge_runtime.backends.full_model import import_tensorflow

    tf = import_tensorflow()
    spec = tf.TensorSpec((batch, SIDE, SIDE, 3), tf.float32, name="image")
    return tf.function(lambda image: {"probabilities": model(image)}, input_signature=[spec])


def saved_model(model: Any, batch: int | None, folder: Path) -> Path:
    """A SavedModel with the signature ``serve``."""
    from edge_runtime.backends.full_model import import_tensorflow

    tf = import_tensorflow()
    module = tf.Module()
    module.weights_of_the_network = [variable.value for variable in model.variables]
    serve = concrete(model, batch).get_concrete_function()
    tf.saved_model.save(module, str(folder), signatures={"serve": serve})
    return folder


def tflite(
    model: Any,
    file: Path,
    batch: int | None = 1,
    set_up: Callable[[Any, Any], None] = lambda converter, tf: None,
) -> Path:
    """A TFLite file without description; ``set_up`` gets the converter and TensorFlow."""
    from edge_runtime.backends.full_model import import_tensorflow

    tf = import_tensorflow()
    folder = saved_model(model, batch, file.with_suffix(".saved"))
    converter = tf.lite.TFLiteConverter.from_saved_model(str(folder), signature_keys=["serve"])
    set_up(converter, tf)
    file.write_bytes(converter.convert())
    return file


def quantized(inputs: str, outputs: str, ops: str) -> Callable[[Any, Any], None]:
    """A set-up for full-integer quantisation with these types."""

    def set_up(converter: Any, tf: Any) -> None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        photos = pixels(20, seed=9).astype(np.float32)
        converter.representative_dataset = lambda: ([photo[None]] for photo in photos)
        converter.target_spec.supported_ops = [getattr(tf.lite.OpsSet, ops)]
        converter.inference_input_type = getattr(tf, inputs)
        converter.inference_output_type = getattr(tf, outputs)

    return set_up


def float16(converter: Any, tf: Any) -> None:
    """A set-up for float16 weights."""
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_types = [tf.float16]


def dynamic(converter: Any, tf: Any) -> None:
    """A set-up for dynamic-range quantisation."""
    converter.optimizations = [tf.lite.Optimize.DEFAULT]


def onnx(
    model: Any,
    file: Path,
    batch: int | str = 1,
    logits: bool = False,
    half: str = "",
    info: ModelInfo | None = None,
) -> Path:
    """The network written down as ONNX by hand, with scores and the output ``heatmap``.

    ``half`` is ``inside`` for float16 weights behind float32 input, ``all`` for float16 input, too.
    """
    import onnx as package
    from onnx import TensorProto, helper, numpy_helper

    dtype = np.float16 if half else np.float32
    kind = TensorProto.FLOAT16 if half else TensorProto.FLOAT
    first = TensorProto.FLOAT16 if half == "all" else TensorProto.FLOAT
    conv1, conv2 = (layer.get_weights() for layer in model.layers if "conv" in layer.name.lower()
                    or layer.name == "map")  # fmt: skip
    kernel, bias = model.get_layer("logits").get_weights()
    constants = {
        "scale": np.array(1 / 64), "k1": conv1[0].transpose(3, 2, 0, 1), "b1": conv1[1],
        "k2": conv2[0].transpose(3, 2, 0, 1), "b2": conv2[1], "w": kernel, "b": bias,
        "size": np.array(1 / (SIDE // 4) ** 2),
    }  # fmt: skip
    conv = {"kernel_shape": [3, 3], "strides": [2, 2], "auto_pad": "SAME_UPPER"}
    node = helper.make_node
    nodes = [
        node("Cast", ["image"], ["cast"], to=kind),
        node("Mul", ["cast", "scale"], ["scaled"]),
        node("Transpose", ["scaled"], ["nchw"], perm=[0, 3, 1, 2]),
        node("Conv", ["nchw", "k1", "b1"], ["c1"], **conv),
        node("Relu", ["c1"], ["r1"]),
        node("Conv", ["r1", "k2", "b2"], ["c2"], **conv),
        node("Sigmoid", ["c2"], ["s2"]),
        node("Mul", ["c2", "s2"], ["features"]),
        node("GlobalAveragePool", ["features"], ["pooled"]),
        node("Flatten", ["pooled"], ["flat"]),
        node("Gemm", ["flat", "w", "b"], ["raw"]),
        node("Cast", ["raw"], ["logits"], to=TensorProto.FLOAT),
        node("Softmax", ["logits"], ["probabilities"]),
        node("Transpose", ["features"], ["nhwc"], perm=[0, 2, 3, 1]),
        node("MatMul", ["nhwc", "w"], ["maps"]),
        node("Mul", ["maps", "size"], ["mean"]),
        node("Relu", ["mean"], ["positive"]),
        node("Cast", ["positive"], ["heatmap"], to=TensorProto.FLOAT),
    ]
    # The map first, so that the scores are found by name and not by place.
    outputs = [("heatmap", [batch, SIDE // 4, SIDE // 4, CLASSES])]
    outputs.append(("logits" if logits else "probabilities", [batch, CLASSES]))
    if logits:
        nodes = [n for n in nodes if n.op_type != "Softmax"]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("image", first, [batch, SIDE, SIDE, 3])],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, shape) for n, shape in outputs],
        [numpy_helper.from_array(v.astype(dtype), n) for n, v in constants.items()],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    if info is not None:
        entry = proto.metadata_props.add()
        entry.key, entry.value = "edge_classify", info.to_json()
    package.save(proto, file)
    return file
