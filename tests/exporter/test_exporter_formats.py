"""What each format is inside, with which options, and that it is the same each time."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from edge_runtime import Classifier
from edge_runtime.backends.full_model import import_keras, load_saved_model
from edge_runtime.manifest import FORMAT_SUFFIXES, artifact_name
from edge_runtime.postprocess import softmax
from edge_runtime.preprocess import preprocess
from edge_runtime.rundir import RunDir
from exporter.contents import Origin
from exporter.formats.job import Job
from exporter.formats.onnx_names import canonical
from exporter.formats.registry import FORMATS
from exporter.formats.source import Source
from exporter.formats.tflite_buffers import inline, with_buffers
from exporter.heatmaps import heatmap_spec
from exporter.metadata.describe import describe
from exporter.network import Network
from exporter.opening import open_model
from exporter.options import ExportOptions
from exporter.reference import Reference

#: Largest difference that was measured for this network is 3e-7; a float32 has 1.2e-7.
FLOAT32 = 2e-6


def photos(run: Path, count: int = 6) -> np.ndarray:
    opened = RunDir.open(run)
    rows = opened.split("val")[::3][:count]
    return np.stack([preprocess(row.path, opened.info.preprocess) for row in rows])


@pytest.fixture(scope="module")
def network(run: Path) -> Network:
    return Network(open_model(run / "model.keras"))


@pytest.fixture(scope="module")
def write(
    run: Path, network: Network, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Path]:
    """``write(fmt, **options)`` converts and describes in this process; gives the file."""
    opened, home = RunDir.open(run), tmp_path_factory.mktemp("formats")
    np.save(home / "calibration.npy", photos(run))
    sources: dict[ExportOptions, Source] = {}

    def write(fmt: str, **options: Any) -> Path:
        chosen = ExportOptions(**options)
        if chosen not in sources:
            work = home / str(len(sources))
            work.mkdir()
            sources[chosen] = Source(network, chosen, work)
        source = sources[chosen]
        plain = source.scratch(f"plain-{artifact_name(fmt)}")
        if not plain.exists():
            FORMATS[fmt].convert(Job(fmt, source, plain, chosen, home / "calibration.npy"))
        origin = Origin.of(opened, chosen)
        target = source.scratch(artifact_name(fmt))
        describe(plain, target, origin.info(fmt, heatmap_spec(fmt, plain, True)), origin.name)
        return target

    return write


def operators(file: Path) -> list[int]:
    model = schema.Model.GetRootAs(file.read_bytes())
    graph = model.Subgraphs(0)
    codes = [model.OperatorCodes(i).BuiltinCode() for i in range(model.OperatorCodesLength())]
    return [codes[graph.Operators(i).OpcodeIndex()] for i in range(graph.OperatorsLength())]


def float_operators(file: Path) -> int:
    """Operators that compute in float32, by their first output."""
    graph = schema.Model.GetRootAs(file.read_bytes()).Subgraphs(0)
    outputs = [graph.Operators(i).Outputs(0) for i in range(graph.OperatorsLength())]
    return sum(graph.Tensors(index).Type() == schema.TensorType.FLOAT32 for index in outputs)


def test_weight_only_computes_in_float32(exported: SimpleNamespace) -> None:
    """Every int8 weight passes a DEQUANTIZE, and no operator takes or gives int8 otherwise."""
    file = exported.bundle / artifact_name("tflite-int8w")
    assert operators(file).count(schema.BuiltinOperator.DEQUANTIZE) >= 8  # the layers' kernels
    assert float_operators(file) == len(operators(file))
    details = Interpreter(model_path=str(file)).get_tensor_details()
    scales = [len(d["quantization_parameters"]["scales"]) for d in details if d["dtype"] == np.int8]
    assert max(scales) == 64  # per-channel: the widest convolution


def test_int16x8_has_no_float_inside(exported: SimpleNamespace) -> None:
    """Only the DEQUANTIZE of the output gives float32."""
    assert float_operators(exported.bundle / artifact_name("tflite-int16x8")) == 1


def test_onnx_int8_is_qdq_with_a_float_head(exported: SimpleNamespace) -> None:
    model = onnx.load(exported.bundle / artifact_name("onnx-int8"))
    kinds = [node.op_type for node in model.graph.node]
    assert kinds.count("QuantizeLinear") > 5
    assert not {"QLinearConv", "ConvInteger"} & set(kinds)
    constants = {t.name: t for t in model.graph.initializer}
    made = {name: node for node in model.graph.node for name in node.output}
    per_channel = []
    for node in model.graph.node:
        if node.op_type == "Conv":
            weights = made[node.input[1]]
            assert weights.op_type == "DequantizeLinear"
            assert constants[weights.input[0]].data_type == onnx.TensorProto.INT8
            per_channel.append(constants[weights.input[1]].dims[0])
    assert max(per_channel) == 64
    (head,) = [node for node in model.graph.node if node.op_type in ("Gemm", "Relu")][:1]
    assert made[head.input[0]].op_type != "DequantizeLinear"


def test_onnx_fp16_has_half_weights_and_float_ends(exported: SimpleNamespace) -> None:
    model = onnx.load(exported.bundle / artifact_name("onnx-fp16"))
    float16, float32 = onnx.TensorProto.FLOAT16, onnx.TensorProto.FLOAT
    sizes = dict.fromkeys((float16, float32), 0)
    for constant in model.graph.initializer:
        if constant.data_type in sizes:
            sizes[constant.data_type] += int(np.prod(constant.dims))
    assert sizes[float16] > 5 * sizes[float32]  # the head's are all that is left
    ends = (*model.graph.input, *model.graph.output)
    assert {value.type.tensor_type.elem_type for value in ends} == {float32}


@pytest.mark.parametrize("fmt", [fmt for fmt in FORMAT_SUFFIXES if fmt != "saved_model"])
def test_heat_map_of_every_file(
    exported: SimpleNamespace, run: Path, network: Network, fmt: str
) -> None:
    """Against Grad-CAM with real gradients, map by map."""
    classifier = Classifier.open(exported.bundle / artifact_name(fmt))
    assert classifier.info.output.heatmap is not None
    reference = Reference(network.model)
    smallest = 1.0
    for photo in photos(run):
        expected = reference.heatmap(photo, 0)
        found = classifier.explain_pixels(photo, 0).heatmap
        assert found.shape == expected.shape
        if expected.std() > 0:
            smallest = min(smallest, float(np.corrcoef(found.ravel(), expected.ravel())[0, 1]))
    # 8 bits of a random network's activations; measured 0.96 at least.
    assert smallest >= (0.9 if "8" in fmt or "dynamic" in fmt else 0.999)


@pytest.mark.parametrize("fmt", list(FORMAT_SUFFIXES))
def test_dynamic_batch(
    write: Callable[..., Path], exported: SimpleNamespace, run: Path, fmt: str
) -> None:
    """Any number of photos at once, with the answers of one by one."""
    file = write(fmt, batch=None)
    backend = Classifier.open(file).backend
    assert backend.batch is None
    pixels = photos(run)
    many = backend.scores_many(pixels)
    single = np.stack([backend.scores(photo) for photo in pixels])
    assert np.abs(many - single).max() <= FLOAT32
    if FORMATS[fmt].calibrates:
        return  # on other photos than those of `exported`
    before = Classifier.open(exported.bundle / artifact_name(fmt)).backend
    expected = np.stack([before.scores(photo) for photo in pixels])
    # Half and dynamic kernels round differently where shapes are known.
    tolerance = FLOAT32 if "fp32" in fmt or fmt == "saved_model" else 2e-2
    assert np.abs(many - expected).max() <= tolerance


@pytest.mark.parametrize("fmt", ["saved_model", "tflite-fp32", "tflite-int8", "onnx-int8"])
def test_fixed_batch(write: Callable[..., Path], run: Path, fmt: str) -> None:
    backend = Classifier.open(write(fmt, batch=4)).backend
    assert backend.batch == 4
    pixels = photos(run)
    many = backend.scores_many(pixels)
    assert len(many) == len(pixels) == 6  # the second batch is filled up
    single = np.stack([backend.scores(photo) for photo in pixels])
    assert np.abs(many - single).max() <= FLOAT32


@pytest.mark.parametrize("fmt", ["saved_model", "tflite-fp32", "onnx-fp32"])
def test_logits(write: Callable[..., Path], exported: SimpleNamespace, run: Path, fmt: str) -> None:
    classifier = Classifier.open(write(fmt, logits=True))
    assert classifier.info.output.kind == "logits"
    before = Classifier.open(exported.bundle / artifact_name(fmt))
    for photo in photos(run):
        logits = classifier.backend.scores(photo)
        assert logits.min() < 0 or logits.max() > 1
        assert np.abs(softmax(logits) - before.backend.scores(photo)).max() <= FLOAT32


def test_logits_are_called_so(write: Callable[..., Path]) -> None:
    """By the signature, in TFLite and in the SavedModel, and as ONNX's first output."""
    interpreter = Interpreter(model_path=str(write("tflite-fp32", logits=True)))
    assert interpreter.get_signature_list()["serve"]["outputs"] == ["logits"]
    saved = load_saved_model(write("saved_model", logits=True))
    assert list(saved.signatures["serve"].structured_outputs) == ["logits"]
    graph = onnx.load(write("onnx-fp32", logits=True)).graph
    assert [value.name for value in graph.output] == ["logits", "heatmap"]
    assert "Softmax" not in {node.op_type for node in graph.node}


@pytest.mark.parametrize("kind", ["int8", "float32"])
def test_input_and_output_of_int8(write: Callable[..., Path], kind: str) -> None:
    file = write("tflite-int8", int8_io=kind)
    interpreter = Interpreter(model_path=str(file))
    (image,), (scores,) = interpreter.get_input_details(), interpreter.get_output_details()
    assert image["dtype"] == scores["dtype"] == np.dtype(kind).type
    assert kind in Classifier.open(file).info.about["quantization"]


def test_opset(write: Callable[..., Path]) -> None:
    model = onnx.load(write("onnx-fp32", opset=13))
    assert [entry.version for entry in model.opset_import if entry.domain == ""] == [13]


def test_constants_behind_the_flatbuffer_come_into_it() -> None:
    """ai-edge-quantizer writes large models so; a metadata buffer in front would move them."""
    from exporter.quantize.integers import import_quantizer

    quantizer, recipe = import_quantizer()
    keras = import_keras()
    import tensorflow as tf

    image = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(64, 3)(image)
    x = keras.layers.Conv2D(600, 3)(x)  # 346,000 bytes; up to 262,144 it writes otherwise
    model = keras.Model(image, keras.layers.GlobalAveragePooling2D()(x))
    work = quantizer.Quantizer(tf.lite.TFLiteConverter.from_keras_model(model).convert())
    work.load_quantization_recipe(recipe.weight_only_wi8_afp32())
    outside = bytes(work.quantize().quantized_model)
    assert external(outside)
    inside = inline(outside)
    assert not external(inside)
    described = with_buffers(inside, metadata={"NOTE": b"in front"})
    photo = np.random.default_rng(0).uniform(0, 255, (1, 8, 8, 3)).astype(np.float32)
    answers = [answer(data, photo) for data in (outside, inside, described)]
    assert np.isfinite(answers[0]).all()
    assert np.array_equal(answers[0], answers[1])
    assert np.array_equal(answers[0], answers[2])


def external(model: bytes) -> int:
    root = schema.Model.GetRootAs(model)
    return sum(root.Buffers(i).Offset() > 1 for i in range(root.BuffersLength()))


def answer(model: bytes, image: np.ndarray) -> np.ndarray:
    interpreter = Interpreter(model_content=model)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image)
    interpreter.invoke()
    found: np.ndarray = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    return found


def test_one_order_and_one_set_of_names(exported: SimpleNamespace) -> None:
    """Nodes in another order, with other numbers behind their names, come out the same."""
    first = onnx.load(exported.plain / f"plain-{artifact_name('onnx-fp32')}")
    second = onnx.load(exported.plain / f"plain-{artifact_name('onnx-fp32')}")
    fixed = {value.name for value in (*second.graph.input, *second.graph.output)}
    for number, node in enumerate(second.graph.node):
        node.name += f"__{900 - number}"
        for names in (node.input, node.output):
            names[:] = [name if name in fixed else f"{name}__7" for name in names]
    for constant in second.graph.initializer:
        constant.name += "__7"
    nodes = sorted(second.graph.node, key=lambda node: node.name)
    del second.graph.node[:]
    second.graph.node.extend(nodes)
    constants = list(second.graph.initializer)[::-1]
    del second.graph.initializer[:]
    second.graph.initializer.extend(constants)
    assert first != second
    canonical(first)
    canonical(second)
    assert first == second
    onnx.checker.check_model(second)


@pytest.mark.usefixtures("exported")
def test_the_same_bytes_from_another_process(
    run: Path, exported: SimpleNamespace, tmp_path: Path
) -> None:
    """Other folders, another hash seed, other formats beside them: the same files."""
    code = (
        "import sys; from exporter.package import export_bundle; "
        "export_bundle(*sys.argv[1:3], sys.argv[3:])"
    )
    formats = ["tflite-int8", "tflite-int8w", "tflite-fp16", "onnx-int8", "onnx-fp16", "onnx-fp32"]
    out = tmp_path / "deeper" / "elsewhere"
    subprocess.run(
        [sys.executable, "-c", code, run, out, *formats],
        check=True,
        env={**os.environ, "PYTHONHASHSEED": "12345", "TMPDIR": str(tmp_path)},
    )
    for fmt in formats:
        assert digest(out, fmt) == digest(exported.bundle, fmt), fmt


def digest(bundle: Path, fmt: str) -> str:
    return hashlib.sha256((bundle / artifact_name(fmt)).read_bytes()).hexdigest()
