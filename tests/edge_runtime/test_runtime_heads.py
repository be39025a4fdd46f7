"""Heat maps of classifiers of other makers: every ending against TensorFlow's own gradients."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import small_model as small
from PIL import Image

from edge_runtime.backends import head, tflite_head
from edge_runtime.backends.full_model import import_keras, import_tensorflow
from edge_runtime.backends.onnx_graph import OnnxGraph
from edge_runtime.backends.protobuf import fields
from edge_runtime.backends.tflite_graph import Graph
from edge_runtime.errors import ModelError
from edge_runtime.inspection.model import inspect_model
from edge_runtime.manifest import PreprocessSpec
from edge_runtime.opening import open_backend
from edge_runtime.preprocess import preprocess

SHARED = Path(os.environ.get("EDGE_CLASSIFY_SHARED") or Path(__file__).parents[3] / "shared")
CORAL = SHARED / "models/mobilenet_v2_1.0_224_quant.tflite"

SIDE, CLASSES = small.SIDE, small.CLASSES


def mobilenet_v3(keras: Any, x: Any) -> Any:
    """A convolution, an activation and a convolution behind the pooling."""
    x = keras.layers.GlobalAveragePooling2D(keepdims=True)(x)
    x = keras.layers.Conv2D(12, 1, activation="hard_silu")(x)
    return keras.layers.Flatten()(keras.layers.Conv2D(CLASSES, 1, name="logits")(x))


def two_dense(keras: Any, x: Any) -> Any:
    x = keras.layers.GlobalAveragePooling2D()(x)
    x = keras.layers.Dense(12, activation="relu")(x)
    return keras.layers.Dense(CLASSES)(x)


def swish(keras: Any, x: Any) -> Any:
    """The converter writes it as a product with a sigmoid."""
    x = keras.layers.GlobalAveragePooling2D()(x)
    x = keras.layers.Dense(12, activation="silu")(x)
    return keras.layers.Dense(CLASSES)(keras.layers.Activation("tanh")(x * 0.1))


def normalized(keras: Any, x: Any) -> Any:
    x = keras.layers.GlobalAveragePooling2D()(x)
    x = keras.layers.BatchNormalization(name="norm")(x)
    return keras.layers.Dense(CLASSES)(x)


def relu6(keras: Any, x: Any) -> Any:
    x = keras.layers.GlobalAveragePooling2D()(x)
    x = keras.layers.ReLU(max_value=6)(keras.layers.Dense(12)(x))
    return keras.layers.Dense(CLASSES, use_bias=False)(x)


def window(keras: Any, x: Any) -> Any:
    """A pooling with a window as large as the map, as in the first ResNets."""
    return keras.layers.Dense(CLASSES)(
        keras.layers.Flatten()(keras.layers.AveragePooling2D(SIDE // 4)(x))
    )


def summed(keras: Any, x: Any) -> Any:
    x = keras.ops.sum(x, axis=(1, 2)) * (1 / 64)
    return keras.layers.Dense(CLASSES)(x)


def residual(keras: Any, x: Any) -> Any:
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.layers.Dense(CLASSES)(x + keras.layers.Dense(16, activation="relu")(x))


def pooled_last(keras: Any, x: Any) -> Any:
    """A map of each class, then the pooling."""
    x = keras.layers.Conv2D(CLASSES, 1, name="logits")(x)
    return keras.layers.GlobalAveragePooling2D()(x)


ENDINGS = [
    mobilenet_v3, two_dense, swish, normalized, relu6, window, summed, residual, pooled_last,
]  # fmt: skip


def model(ending: Callable[[Any, Any], Any]) -> tuple[Any, Any]:
    """A network of random weights with an ending: to probabilities, and to (map, logits)."""
    keras = import_keras()
    keras.utils.set_random_seed(5)
    image = keras.Input((SIDE, SIDE, 3), name="image")
    x = keras.layers.Rescaling(1 / 64)(image)
    x = keras.layers.Conv2D(16, 3, strides=4, activation="silu", padding="same", name="map")(x)
    logits = ending(keras, x)
    whole = keras.Model(image, keras.layers.Softmax(name="probabilities")(logits))
    random = np.random.default_rng(5)
    for layer in whole.layers:
        if layer.name == "norm":
            layer.set_weights([random.uniform(0.5, 2, w.shape) for w in layer.get_weights()])
    return whole, keras.Model(image, [x, logits])


def reference(tapped: Any, photo: np.ndarray, index: int) -> np.ndarray:
    """Grad-CAM by its formula, with TensorFlow's gradients."""
    tf = import_tensorflow()
    with tf.GradientTape() as tape:
        pixels = tf.constant(photo[None].astype(np.float32))
        tape.watch(pixels)
        maps, logits = tapped(pixels, training=False)
        score = logits[0, index]
    weights = tf.reduce_mean(tape.gradient(score, maps), axis=(1, 2))
    return np.maximum(np.asarray(maps)[0] @ np.asarray(weights)[0], 0)


@pytest.mark.parametrize("ending", ENDINGS, ids=lambda ending: ending.__name__)
def test_tflite_endings(ending: Callable[[Any, Any], Any], tmp_path: Path) -> None:
    whole, tapped = model(ending)
    backend = open_backend(small.tflite(whole, tmp_path / "m.tflite"), threads=1)
    for photo in small.pixels(2):
        scores, maps = backend.explain(photo)
        np.testing.assert_array_equal(scores, backend.scores(photo))
        assert maps.shape == (8, 8, CLASSES) and maps.dtype == np.float32
        for index in range(CLASSES):
            expected = reference(tapped, photo, index)
            # Float32 sums in another order; 2e-6 of the largest value was measured.
            np.testing.assert_allclose(maps[..., index], expected, atol=1e-5 * maps.max())
            one = backend.explain(photo, index)[1]
            np.testing.assert_allclose(one[..., 0], expected, atol=1e-5 * maps.max())
        best = backend.explain(photo, -1)[1][..., 0]
        np.testing.assert_allclose(best, maps[..., scores.argmax()], atol=1e-5 * maps.max())


FORMS = {
    "fp16": small.float16,
    "dynamic": small.dynamic,
    "int8": small.quantized("uint8", "uint8", "TFLITE_BUILTINS_INT8"),
}


@pytest.mark.parametrize("form", list(FORMS))
def test_quantised_head_of_two_layers(form: str, tmp_path: Path) -> None:
    """Float16 weights behind DEQUANTIZE, int8 ones per channel, a quantised feature map."""
    whole, tapped = model(mobilenet_v3)
    backend = open_backend(small.tflite(whole, tmp_path / "m.tflite", 1, FORMS[form]), threads=1)
    for photo in small.pixels(2):
        _, maps = backend.explain(photo)
        for index in range(CLASSES):
            expected = reference(tapped, photo, index)
            if expected.any():
                r = np.corrcoef(maps[..., index].ravel(), expected.ravel())[0, 1]
                assert r > (0.98 if form == "int8" else 0.9995)  # 0.989 and 0.99991 were measured


@pytest.mark.parametrize("kind", ["GlobalMaxPooling2D", "Flatten"])
def test_other_endings_are_refused(kind: str, tmp_path: Path) -> None:
    def ending(keras: Any, x: Any) -> Any:
        return keras.layers.Dense(CLASSES)(getattr(keras.layers, kind)()(x))

    backend = open_backend(small.tflite(model(ending)[0], tmp_path / "m.tflite"))
    with pytest.raises(ModelError, match=r"m\.tflite: holds no heat map.*gradcam"):
        backend.explain(small.pixels(1)[0])


def test_dynamic_batch_keeps_its_size(tmp_path: Path) -> None:
    whole, tapped = model(two_dense)
    backend = open_backend(small.tflite(whole, tmp_path / "m.tflite", None))
    photo = small.pixels(1)[0]
    maps = backend.explain(photo)[1]
    np.testing.assert_allclose(maps[..., 1], reference(tapped, photo, 1), atol=1e-5 * maps.max())


def test_damaged_tflite_is_an_error_or_nothing(tmp_path: Path) -> None:
    """Whatever byte is wrong, the reader says so or reads something else; it never crashes."""
    data = small.tflite(model(mobilenet_v3)[0], tmp_path / "m.tflite").read_bytes()
    random = np.random.default_rng(1)
    errors = 0
    for _ in range(300):
        spoiled = bytearray(data)
        for place in random.integers(0, len(data), 8):
            spoiled[place] = random.integers(0, 256)
        try:
            tflite_head.read_head(Graph(bytes(spoiled), "m.tflite"), "m.tflite")
        except ModelError as error:
            assert "m.tflite" in str(error)
            errors += 1
    assert errors, "some of these files cannot be read"


def test_numbers_are_those_of_the_schema() -> None:
    schema = pytest.importorskip("ai_edge_litert.schema_py_generated")
    fused = schema.ActivationFunctionType
    for name in ("RELU", "RELU_N1_TO_1", "RELU6", "TANH"):
        assert tflite_head._FUSED[getattr(fused, name)] == name


@pytest.mark.parametrize(
    ("name", "numbers"),
    [("relu", ()), ("sigmoid", ()), ("tanh", ()), ("hard_swish", ()), ("clip", (0.0, 6.0)),
     ("hard_sigmoid", (1 / 6, 0.5))],
)  # fmt: skip
def test_derivatives(name: str, numbers: tuple[float, ...]) -> None:
    """Central differences of 1e-2 in float64 leave an error of their square."""
    values = np.array([-4.1, -2.3, -0.7, 0.4, 1.9, 3.6, 7.2])
    step = head.activation(head.pooled(), name, *numbers)
    numeric = (step.forward(values + 1e-2) - step.forward(values - 1e-2)) / 2e-2
    (found,) = step.backward(np.ones((1, 7)), values)
    np.testing.assert_allclose(found[0], numeric, atol=1e-4)


# ONNX -----------------------------------------------------------------------------------------


def onnx_file(file: Path, opset: int, nodes: list[Any], constants: dict[str, np.ndarray]) -> Path:
    """A classifier in NHWC: a convolution, then nodes from ``f`` (n, 16, 8, 8) to ``scores``."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    random = np.random.default_rng(5)
    kernel = random.normal(0, 0.1, (16, 3, 3, 3)).astype(np.float32)
    first = [
        helper.make_node("Transpose", ["image"], ["nchw"], perm=[0, 3, 1, 2]),
        helper.make_node("Mul", ["nchw", "small"], ["scaled"]),
        helper.make_node(
            "Conv", ["scaled", "k"], ["c"], strides=[4, 4], kernel_shape=[3, 3], pads=[1, 1, 0, 0]
        ),
        helper.make_node("Relu", ["c"], ["f"]),
    ]
    tensors = {"k": kernel, "small": np.array(1 / 64, np.float32)} | constants
    graph = helper.make_graph(
        [*first, *nodes],
        "g",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, SIDE, SIDE, 3])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, CLASSES])],
        [numpy_helper.from_array(v, n) for n, v in tensors.items()],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.checker.check_model(proto)
    onnx.save(proto, file)
    return file


RANDOM = np.random.default_rng(6)
W1 = RANDOM.normal(0, 1, (12, 16)).astype(np.float32)
B1 = RANDOM.normal(0, 1, 12).astype(np.float32)
W2 = RANDOM.normal(0, 1, (CLASSES, 12)).astype(np.float32)
W = RANDOM.normal(0, 1, (CLASSES, 16)).astype(np.float32)
B = RANDOM.normal(0, 1, CLASSES).astype(np.float32)
SIZE = np.array([1, -1], np.int64)


def onnx_endings() -> dict[str, tuple[int, list[Any], dict[str, np.ndarray]]]:
    """Endings as PyTorch, tf2onnx and others write them, by opset, nodes and constants."""
    from onnx import helper

    n = helper.make_node
    scale = np.array([0.01, 0.02, 0.015], np.float32)
    stored = np.round(W / scale[:, None]).clip(-128, 127).astype(np.int8)
    axes = np.array([2, 3], np.int64)
    pool, flat = n("GlobalAveragePool", ["f"], ["p"]), n("Flatten", ["p"], ["v"])
    soft = n("Softmax", ["l"], ["scores"])
    return {
        "gemm": (17, [pool, flat, n("Gemm", ["v", "w", "b"], ["l"], transB=1), soft],
                 {"w": W, "b": B}),
        "logits": (17, [pool, flat, n("Gemm", ["v", "w"], ["scores"], alpha=2.0)], {"w": W.T}),
        "matmul": (17, [n("ReduceMean", ["f"], ["v"], axes=[2, 3], keepdims=0),
                        n("MatMul", ["v", "w"], ["m"]), n("Add", ["m", "b"], ["l"]), soft],
                   {"w": W.T, "b": B}),
        "axes": (18, [n("ReduceMean", ["f", "axes"], ["p"]), n("Reshape", ["p", "s"], ["v"]),
                      n("Gemm", ["v", "w"], ["l"], transB=1), soft],
                 {"w": W, "s": SIZE, "axes": axes}),
        "nhwc": (17, [n("Transpose", ["f"], ["t"], perm=[0, 2, 3, 1]),
                      n("ReduceMean", ["t"], ["v"], axes=[1, 2], keepdims=0),
                      n("Gemm", ["v", "w"], ["l"], transB=1), soft], {"w": W}),
        "sum": (17, [n("ReduceSum", ["f", "axes"], ["p"]), n("Squeeze", ["p", "axes"], ["v"]),
                     n("Mul", ["v", "part"], ["q"]), n("Gemm", ["q", "w"], ["l"], transB=1), soft],
                {"w": W, "axes": axes, "part": np.array(1 / 64, np.float32)}),
        "conv": (17, [pool, n("Conv", ["p", "w1", "b1"], ["h"]), n("HardSwish", ["h"], ["a"]),
                      n("Conv", ["a", "w2"], ["q"]), n("Flatten", ["q"], ["l"]), soft],
                 {"w1": W1[..., None, None], "b1": B1, "w2": W2[..., None, None]}),
        "hard": (13, [pool, flat, n("Gemm", ["v", "w1", "b1"], ["h"], transB=1),
                      n("HardSigmoid", ["h"], ["s"], alpha=1 / 6, beta=0.5),
                      n("Mul", ["h", "s"], ["a"]), n("Gemm", ["a", "w2"], ["l"], transB=1), soft],
                 {"w1": W1, "b1": B1, "w2": W2}),
        "relu6": (13, [pool, flat, n("Gemm", ["v", "w1", "b1"], ["h"], transB=1),
                       n("Clip", ["h", "low", "high"], ["a"]),
                       n("Gemm", ["a", "w2"], ["l"], transB=1), soft],
                  {"w1": W1, "b1": B1, "w2": W2, "low": np.array(0, np.float32),
                   "high": np.array(6, np.float32)}),
        "norm": (17, [pool, n("BatchNormalization", ["p", "g", "o", "m", "d"], ["q"]),
                      n("Flatten", ["q"], ["v"]), n("Gemm", ["v", "w"], ["l"], transB=1), soft],
                 {"w": W, **{name: RANDOM.uniform(0.5, 2, 16).astype(np.float32)
                             for name in "gomd"}}),
        "int8": (17, [pool, flat, n("DequantizeLinear", ["q", "s"], ["w"], axis=0),
                      n("Gemm", ["v", "w"], ["l"], transB=1), soft], {"q": stored, "s": scale}),
        "squeezenet": (17, [n("Conv", ["f", "w", "b"], ["r"]), n("Relu", ["r"], ["m"]),
                            n("GlobalAveragePool", ["m"], ["p"]), n("Flatten", ["p"], ["l"]), soft],
                       {"w": W[..., None, None], "b": B}),
        "constant": (17, [pool, flat, n("Constant", [], ["w"], value=_tensor(W)),
                          n("Gemm", ["v", "w"], ["l"], transB=1), soft], {}),
    }  # fmt: skip


def _tensor(values: np.ndarray) -> Any:
    """A TensorProto with its numbers in a list, and not as raw bytes."""
    from onnx import TensorProto, helper

    return helper.make_tensor("w", TensorProto.FLOAT, values.shape, values.ravel().tolist())


ONNX_ENDINGS = [
    "gemm", "logits", "matmul", "axes", "nhwc", "sum", "conv", "hard", "relu6", "norm", "int8",
    "squeezenet", "constant",
]  # fmt: skip


@pytest.mark.parametrize("ending", ONNX_ENDINGS)
def test_onnx_endings(ending: str, tmp_path: Path) -> None:
    """The map's sum over places, before relu, is a derivative that differences can measure.

    For the one photo of equal blocks: raising channel k everywhere by e changes the logit by
    e g_k, which the log-ratio of two probabilities shows for the difference of two classes.
    """
    opset, nodes, constants = onnx_endings()[ending]
    file = onnx_file(tmp_path / "m.onnx", opset, nodes, constants)
    backend = open_backend(file, threads=1)
    photo = small.pixels(1)[0]
    scores, maps = backend.explain(photo)
    assert inspect_model(file)["heatmap"]["features"]
    # One more output forbids onnxruntime some rewriting of the graph; 2.3e-7 was measured.
    np.testing.assert_allclose(scores, backend.scores(photo), rtol=1e-6)
    assert maps.shape == (8, 8, CLASSES)
    expected = by_differences(nodes, constants, opset, features_of(file, photo, ending), tmp_path)
    np.testing.assert_allclose(maps, expected, atol=3e-3 * expected.max())  # float32 differences
    assert expected.max() > 0


def features_of(file: Path, photo: np.ndarray, ending: str) -> np.ndarray:
    """The map in front of the pooling, (16, 8, 8) (of squeezenet: of each class), by onnx itself."""
    import onnx
    import onnxruntime

    proto = onnx.load(file)
    name = "m" if ending == "squeezenet" else "f"
    proto.graph.output.append(onnx.ValueInfoProto(name=name))
    session = onnxruntime.InferenceSession(proto.SerializeToString())
    found: np.ndarray = session.run([name], {"image": photo[None].astype(np.float32)})[0][0]
    return found


def by_differences(
    nodes: list[Any],
    constants: dict[str, np.ndarray],
    opset: int,
    features: np.ndarray,
    folder: Path,
) -> np.ndarray:
    """Grad-CAM of all classes from differences of the logits, by onnxruntime."""
    import onnx
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    first = "m" if len(features) == CLASSES else "f"
    kept = [n for n in nodes if not (first == "m" and n.output[0] in ("r", "m"))]
    last = kept[-1]
    if last.op_type == "Softmax":
        kept = kept[:-1]
    logits = "scores" if last.op_type != "Softmax" else last.input[0]
    graph = helper.make_graph(
        kept,
        "g",
        [helper.make_tensor_value_info(first, TensorProto.FLOAT, [1, *features.shape])],
        [helper.make_tensor_value_info(logits, TensorProto.FLOAT, [1, CLASSES])],
        [numpy_helper.from_array(v, n) for n, v in constants.items()],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    session = onnxruntime.InferenceSession(onnx.ModelProto.SerializeToString(proto))

    def run(values: np.ndarray) -> np.ndarray:
        return session.run([logits], {first: values[None]})[0][0].astype(np.float64)

    slopes = np.empty((len(features), CLASSES))
    for k in range(len(features)):
        step = np.zeros_like(features)
        step[k] = 1e-2
        slopes[k] = (run(features + step) - run(features - step)) / 2e-2
    places = features.shape[1] * features.shape[2]
    return np.maximum(np.einsum("khw,kc->hwc", features, slopes) / places, 0)


def test_onnx_without_pooling_is_refused(tmp_path: Path) -> None:
    from onnx import helper

    nodes = [
        helper.make_node("GlobalMaxPool", ["f"], ["p"]),
        helper.make_node("Flatten", ["p"], ["v"]),
        helper.make_node("Gemm", ["v", "w"], ["scores"], transB=1),
    ]
    file = onnx_file(tmp_path / "m.onnx", 17, nodes, {"w": W})
    found = inspect_model(file)
    assert found["heatmap"] is None and "GlobalMaxPool" in found["no_heatmap"]
    backend = open_backend(file)
    with pytest.raises(ModelError, match=r"m\.onnx: holds no heat map.*GlobalMaxPool.*gradcam"):
        backend.explain(small.pixels(1)[0])


def test_damaged_onnx_is_an_error_or_nothing(tmp_path: Path) -> None:
    """Whatever byte is wrong, the reader says so or reads something else; it never crashes."""
    opset, nodes, constants = onnx_endings()["conv"]
    data = onnx_file(tmp_path / "m.onnx", opset, nodes, constants).read_bytes()
    random = np.random.default_rng(1)
    errors = 0
    for _ in range(300):
        spoiled = bytearray(data)
        for place in random.integers(0, len(data), 8):
            spoiled[place] = random.integers(0, 256)
        try:
            from edge_runtime.backends.onnx_head import read_head

            read_head(OnnxGraph(bytes(spoiled), "m.onnx"), "scores", CLASSES, "m.onnx")
        except ModelError as error:
            assert "m.onnx" in str(error)
            errors += 1
    assert errors, "some of these files cannot be read"


def test_added_output_is_the_only_change(tmp_path: Path) -> None:
    """The file itself stays, byte by byte; onnx reads one output more."""
    import onnx

    opset, nodes, constants = onnx_endings()["gemm"]
    data = onnx_file(tmp_path / "m.onnx", opset, nodes, constants).read_bytes()
    edited = OnnxGraph(data, "m.onnx").with_output("f" * 200)
    assert edited.startswith(data)
    before, after = onnx.load_from_string(data), onnx.load_from_string(edited)
    assert [o.name for o in after.graph.output] == ["scores", "f" * 200]
    del after.graph.output[-1]
    assert after == before
    assert [number for number, _, _ in fields(edited)].count(7) == 2


# A classifier of another maker ----------------------------------------------------------------

#: What it names, and the animal's box as fractions (left, top, right, bottom), drawn by hand.
ANIMALS = {
    "parrot.jpg": ("macaw", (0.20, 0.10, 0.92, 0.87)),
    "cat.bmp": ("Egyptian cat", (0.10, 0.10, 0.74, 1.00)),
}


@pytest.mark.shared
@pytest.mark.skipif(not CORAL.is_file(), reason="the shared models are not here")
@pytest.mark.parametrize("photo", ANIMALS)
def test_map_lies_on_the_animal(photo: str) -> None:
    """The centre of mass lies in the box, and most of the heat, more than by chance."""
    label, (left, top, right, bottom) = ANIMALS[photo]
    backend = open_backend(CORAL, threads=1)
    pixels = preprocess(CORAL.with_name(photo), PreprocessSpec(224, 224, fit="stretch"))
    backend.prepare = lambda photo: photo[None]  # type: ignore[method-assign]
    scores, maps = backend.explain(pixels, -1)
    names = CORAL.with_name("imagenet_labels.txt").read_text().splitlines()
    assert names[int(scores.argmax())] == label
    heat = maps[..., 0] / maps.sum()
    fine = np.asarray(Image.fromarray(heat).resize((100, 100), Image.Resampling.NEAREST))
    fine = fine / fine.sum()
    y, x = (np.arange(100) + 0.5) / 100 @ fine.T, (np.arange(100) + 0.5) / 100 @ fine
    assert left < x.sum() < right and top < y.sum() < bottom
    rows = slice(round(100 * top), round(100 * bottom))
    inside = fine[rows, round(100 * left) : round(100 * right)].sum()
    area = (right - left) * (bottom - top)
    assert inside > max(0.75, 1.2 * area), f"{inside:.2f} of the heat in {area:.2f} of the photo"
