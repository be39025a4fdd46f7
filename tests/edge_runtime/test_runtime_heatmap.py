"""Heat maps without gradients are Grad-CAM, cost nothing until asked for, and are found alone."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import small_model as small
from color_model import INFO, SIDE, ColorModels, embed
from PIL import Image

from edge_runtime.backends.tflite_codes import NAMES
from edge_runtime.backends.tflite_graph import Graph
from edge_runtime.backends.tflite_head import find_heatmap
from edge_runtime.backends.tflite_tensor import DTYPES
from edge_runtime.classifier import Classifier
from edge_runtime.errors import ModelError, UsageError
from edge_runtime.gradcam import GradCam, gradcam_function
from edge_runtime.heat.explain import open_explainer
from edge_runtime.manifest import HeatmapSpec, ModelInfo, OutputSpec
from edge_runtime.opening import open_backend


@pytest.fixture
def half_red(tmp_path: Path) -> Path:
    """Left half red, right half blue, at the model's own size."""
    picture = Image.new("RGB", (SIDE, SIDE), (0, 0, 255))
    picture.paste((255, 0, 0), (0, 0, SIDE // 2, SIDE))
    picture.save(tmp_path / "half.png")
    return tmp_path / "half.png"


@pytest.fixture(scope="module")
def model() -> Any:
    """The Keras model of small_model."""
    return small.network()


@pytest.mark.parametrize("form", ["tflite", "tflite_int8", "onnx", "bundle"])
@pytest.mark.parametrize(("name", "channel"), [("red", 0), ("blue", 2)])
def test_map_is_the_formula(
    color_models: ColorModels, half_red: Path, form: str, name: str, channel: int
) -> None:
    """The class's logit is mean(F_c)/16, so the map is F_c / (16 h w)."""
    found = Classifier.open(getattr(color_models, form)).explain(half_red, name)
    plane = np.asarray(Image.open(half_red))[..., channel] / 16 / SIDE**2
    # An int8 feature map has 256 steps over its range.
    tolerance = plane.max() / 128 if form == "tflite_int8" else plane.max() * 1e-5
    assert found.heatmap.dtype == np.float32
    np.testing.assert_allclose(found.heatmap, plane, atol=tolerance)
    assert (found.label, found.index) == (name, channel)
    # softmax of (8, 0, 8): halves; in int8 the step of the logits (16/256) moves them.
    assert found.score == pytest.approx(0.5, abs=0.02 if form == "tflite_int8" else 1e-3)


def test_same_fields_as_gradcam(color_models: ColorModels, half_red: Path) -> None:
    device = Classifier.open(color_models.tflite).explain(half_red, "red")
    full = GradCam.open(color_models.run).explain(half_red, "red")
    np.testing.assert_allclose(device.heatmap, full.heatmap, rtol=1e-5, atol=1e-9)
    assert (device.label, device.index) == (full.label, full.index)
    assert device.score == pytest.approx(full.score, abs=1e-6)


FORMS = {
    "fp32": lambda converter, tf: None,
    "fp16": small.float16,
    "dynamic": small.dynamic,
    "int8": small.quantized("uint8", "uint8", "TFLITE_BUILTINS_INT8"),
}

#: Smallest correlation with Grad-CAM; 1 - 5e-14, 0.9999994, 0.99983 and 0.9987 were measured.
CORRELATION = {"fp32": 0.9999999, "fp16": 0.99999, "dynamic": 0.9995, "int8": 0.998}


@pytest.mark.parametrize("form", list(FORMS))
def test_correlation_with_gradcam(model: Any, tmp_path: Path, form: str) -> None:
    """On a network with curved features, for every class; the scores stay equal to the bit."""
    backend = open_backend(small.tflite(model, tmp_path / "m.tflite", 1, FORMS[form]), threads=1)
    explain = gradcam_function(model, "map")
    for photo in small.pixels(3):
        scores, maps = backend.explain(photo)
        np.testing.assert_array_equal(scores, backend.scores(photo))
        assert maps.shape == (8, 8, 3) and (maps >= 0).all() and maps.dtype == np.float32
        for index in range(small.CLASSES):
            reference = np.asarray(explain(photo[None].astype(np.float32), index)["heatmap"])
            if reference.std() > 0:
                r = np.corrcoef(maps[..., index].ravel(), reference.ravel())[0, 1]
                assert r > CORRELATION[form]


@pytest.mark.parametrize("batch", [4, None])
def test_map_of_other_batches(model: Any, tmp_path: Path, batch: int | None) -> None:
    photo = small.pixels(1)[0]
    _, expected = open_backend(small.tflite(model, tmp_path / "1.tflite")).explain(photo)
    onnx = small.onnx(model, tmp_path / "m.onnx", batch or "n")
    for file in (small.tflite(model, tmp_path / "n.tflite", batch), onnx):
        scores, maps = open_backend(file).explain(photo)
        assert scores.shape == (3,)
        np.testing.assert_allclose(maps, expected, atol=expected.max() * 1e-4)


def test_onnx_map_is_found_by_name(model: Any, tmp_path: Path) -> None:
    photo = small.pixels(1)[0]
    _, expected = open_backend(small.tflite(model, tmp_path / "1.tflite")).explain(photo)
    for info in (None, named(HeatmapSpec(output="heatmap"))):
        backend = open_backend(small.onnx(model, tmp_path / "m.onnx", info=info))
        assert backend.heatmap == HeatmapSpec(output="heatmap")
        scores, maps = backend.explain(photo)
        np.testing.assert_allclose(maps, expected, atol=expected.max() * 1e-4)
        np.testing.assert_array_equal(scores, backend.scores(photo))
    wrong = small.onnx(model, tmp_path / "w.onnx", info=named(HeatmapSpec(output="nowhere")))
    with pytest.raises(ModelError, match="no output nowhere"):
        open_backend(wrong).explain(photo)


def named(spec: HeatmapSpec) -> ModelInfo:
    return ModelInfo(INFO.class_names, INFO.preprocess, OutputSpec(heatmap=spec))


def test_names_in_the_description_come_first(model: Any, tmp_path: Path) -> None:
    file = small.tflite(model, tmp_path / "m.tflite")
    plain = file.read_bytes()
    spec = find_heatmap(plain)
    assert spec is not None and spec.features and spec.weights
    embed(file, named(spec))
    assert open_backend(file).heatmap == spec
    for features, weights, said in (
        ("nowhere", spec.weights, "no tensor 'nowhere'"),
        (spec.weights, spec.weights, "no feature map"),
        (spec.features, spec.features, "no feature map"),
    ):
        other = tmp_path / "other.tflite"
        other.write_bytes(plain)
        embed(other, named(HeatmapSpec(features=features, weights=weights)))
        with pytest.raises(ModelError, match=said):
            open_backend(other).explain(small.pixels(1)[0])


def test_graph_without_pooling_has_none(tmp_path: Path) -> None:
    file = small.tflite(small.network(pooled=False), tmp_path / "m.tflite")
    assert find_heatmap(file.read_bytes()) is None
    backend = open_backend(file)
    assert backend.heatmap is None
    with pytest.raises(ModelError, match="global average pooling"):
        backend.explain(small.pixels(1)[0])


def test_models_without_a_map_say_so(color_models: ColorModels, half_red: Path) -> None:
    with pytest.raises(ModelError, match="no heat map"):
        Classifier.open(color_models.run).explain(half_red)


def test_damaged_graph_is_an_error(color_models: ColorModels) -> None:
    """Whatever byte is wrong, the reader says so or finds something; it never crashes."""
    data = color_models.tflite.read_bytes()
    random = np.random.default_rng(1)
    errors = 0
    for _ in range(300):
        spoiled = bytearray(data)
        for place in random.integers(0, len(data), 8):
            spoiled[place] = random.integers(0, 256)
        try:
            find_heatmap(bytes(spoiled), "spoiled.tflite")
        except ModelError as error:
            assert "spoiled.tflite" in str(error)
            errors += 1
    assert errors, "some of these files cannot be read"


def test_numbers_are_those_of_the_schema() -> None:
    schema = pytest.importorskip("ai_edge_litert.schema_py_generated")
    operators = {v: k for k, v in vars(schema.BuiltinOperator).items() if not k.startswith("_")}
    assert operators.items() <= dict(enumerate(NAMES)).items()
    types = {n: getattr(schema.TensorType, n.upper()) for n in
             ("float32", "float16", "int32", "uint8", "int64", "int16", "int8")}  # fmt: skip
    assert {number: dtype.name for number, dtype in DTYPES.items()} == {
        number: name for name, number in types.items()
    }


def test_reader_reads_what_the_schema_reads(color_models: ColorModels) -> None:
    schema = pytest.importorskip("ai_edge_litert.schema_py_generated")
    data = color_models.tflite_int8.read_bytes()
    reference = schema.Model.GetRootAs(data).Subgraphs(0)
    graph = Graph(data, "x")
    assert len(graph.tensors) == reference.TensorsLength()
    for index, tensor in enumerate(graph.tensors):
        other = reference.Tensors(index)
        assert tensor.name == other.Name().decode()
        assert tensor.shape == tuple(other.Shape(i) for i in range(other.ShapeLength()))
        assert tensor.buffer == other.Buffer()
        scales = [other.Quantization().Scale(i) for i in range(other.Quantization().ScaleLength())]
        np.testing.assert_array_equal(tensor.scales, np.array(scales, np.float32))
    assert graph.outputs == tuple(reference.OutputsAsNumpy())


@pytest.mark.parametrize(
    ("arguments", "label"), [([], "red"), (["--class", "blue", "--format", "tflite-int8"], "blue")]
)
def test_command_draws_it_without_tensorflow(
    color_models: ColorModels, half_red: Path, tmp_path: Path, arguments: list[str], label: str
) -> None:
    out = tmp_path / "why.png"
    code = (
        "import sys; sys.modules['tensorflow'] = sys.modules['keras'] = None\n"
        "from edge_runtime.cli import cli; cli()"
    )
    command = [sys.executable, "-c", code, "gradcam", "--model", color_models.bundle, half_red]
    done = subprocess.run(
        [*map(str, command), "--out", str(out), "--json", *arguments],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["label"] == label
    picture = np.asarray(Image.open(out)).astype(int)
    left, right = picture[:256, :120], picture[:256, 136:256]  # enlarged eight times
    assert (left.mean() > right.mean() + 30) == (label == "red")


def test_layer_is_for_runs(color_models: ColorModels, half_red: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds its own heat map"):
        open_explainer(color_models.tflite, layer="features")
    with pytest.raises(UsageError, match="chooses from a bundle"):
        open_explainer(color_models.run, "tflite-fp32")
    with pytest.raises(UsageError, match="no such model"):
        open_explainer(tmp_path / "none", layer="features")
