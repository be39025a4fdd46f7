"""Every backbone sees the pixels that its weights were trained with, and costs what is stated."""

from __future__ import annotations

import inspect
import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from graphs import answer, assert_same_function, fill, photos, set_deviations

from edge_runtime.backends.full_model import import_keras
from edge_runtime.errors import UsageError
from edge_runtime.gradcam import choose_layer
from trainer.cli import cli
from trainer.network.backbones import BACKBONES, build_base, get_backbone
from trainer.network.convnext import convnext_features
from trainer.network.weights import load_weights

#: Modules of keras.applications that know what each network wants.
MODULES = {
    "efficientnetb0": "efficientnet",
    "efficientnetb1": "efficientnet",
    "efficientnetb2": "efficientnet",
    "efficientnetb3": "efficientnet",
    "efficientnetv2b0": "efficientnet_v2",
    "efficientnetv2s": "efficientnet_v2",
    "resnet50": "resnet",
    "mobilenetv2": "mobilenet_v2",
    "mobilenetv3small": "mobilenet_v3",
    "mobilenetv3large": "mobilenet_v3",
    "convnexttiny": "convnext",
}

#: One of each family, and so of each kind of preprocessing.
QUICK = (
    "efficientnetb0",
    "efficientnetv2b0",
    "resnet50",
    "mobilenetv2",
    "mobilenetv3small",
    "convnexttiny",
)
NAMES = [
    name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in BACKBONES
]

#: What the weights that Keras downloads are made for; they fit any input.
OWN_SIDE = 224


def application(name: str) -> Any:
    return getattr(import_keras().applications, BACKBONES[name].application)


def preprocess_input(name: str) -> Any:
    return getattr(import_keras().applications, MODULES[name]).preprocess_input


def count_macs(model: Any) -> int:
    """Multiply-accumulates of one photo: each output pixel of a kernel costs its values once."""
    total = 0
    for layer in model.layers:
        kind = type(layer).__name__
        if kind in ("Conv2D", "DepthwiseConv2D", "Dense"):
            kernel = math.prod(layer.kernel.shape)
            total += math.prod(layer.output.shape[1:-1]) * kernel
        else:
            assert not any("kernel" in weight.name for weight in layer.weights), kind
    return total


def replace_download(monkeypatch: pytest.MonkeyPatch, name: str) -> dict[str, Any]:
    """Let keras.applications fill its graph for weights="imagenet" with random weights.

    Returns:
        A dict in which the file that was asked for, and the filled graph, will be found.
    """
    seen: dict[str, Any] = {}

    def get_file(file: str, *_: Any, **__: Any) -> str:
        seen["file"] = file
        return "downloaded.h5"

    def load(model: Any, path: str, *_: Any, **__: Any) -> None:
        assert path == "downloaded.h5"
        if MODULES[name] == "efficientnet":
            set_deviations(model)
        fill(model, preprocess_input(name)(photos(OWN_SIDE)))
        seen["model"] = model

    module = inspect.getmodule(application(name))
    monkeypatch.setattr(module.file_utils, "get_file", get_file)
    monkeypatch.setattr(import_keras().Model, "load_weights", load)
    return seen


@pytest.mark.parametrize("name", NAMES)
def test_features_equal_those_of_keras_applications(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As its users do it: weights="imagenet", on what the module's preprocess_input gives."""
    import_keras().utils.set_random_seed(0)
    pixels = photos(OWN_SIDE)
    seen = replace_download(monkeypatch, name)
    backbone = BACKBONES[name]
    base = build_base(backbone, OWN_SIDE)
    assert load_weights(base, backbone, "imagenet").kind == "imagenet"
    assert seen["file"] == backbone.file
    expected = answer(seen["model"], preprocess_input(name)(pixels.copy()))
    assert_same_function(answer(base, pixels), expected)


@pytest.mark.parametrize("name", NAMES)
def test_the_graph_and_its_stated_figures(name: str) -> None:
    backbone = BACKBONES[name]
    base = build_base(backbone)
    assert base.input.name == "image"
    assert base.input_shape == (None, backbone.size, backbone.size, 3)
    assert len(base.output_shape) == 4
    assert choose_layer(base) == base.layers[-1].name, "Grad-CAM explains what the head sees"
    assert base.count_params() == backbone.parameters
    assert count_macs(base) == backbone.macs
    assert 0 <= backbone.fine_tune_at < len(base.layers)
    for layer in base.layers:
        assert not hasattr(layer, "layers"), "the graph is flat"
        assert type(layer).__module__.startswith("keras.src.layers"), "and of plain layers"


class Asked(Exception):
    """Stands for the rest of a graph that nobody needs."""


@pytest.mark.parametrize("name", [n for n in BACKBONES if MODULES[n] != "mobilenet_v3"])
def test_the_default_input_size_is_that_of_keras(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MobileNetV3 has no default there; 224 is part of the name of its weights."""

    def obtain_input_shape(*_: Any, default_size: int, **__: Any) -> None:
        raise Asked(default_size)

    module = inspect.getmodule(application(name))
    monkeypatch.setattr(module.imagenet_utils, "obtain_input_shape", obtain_input_shape)
    with pytest.raises(Asked) as asked:
        application(name)(include_top=False, weights=None)
    assert asked.value.args == (BACKBONES[name].size,)


def test_another_input_size() -> None:
    assert build_base(BACKBONES["mobilenetv3small"], 48).input_shape == (None, 48, 48, 3)


def test_unknown_backbone() -> None:
    with pytest.raises(UsageError, match=r"Did you mean efficientnetb0\? Known: efficientnetb0,"):
        get_backbone("EfficientNet-B0")
    with pytest.raises(UsageError, match="Known: efficientnetb0, efficientnetb1, efficientnetb2"):
        get_backbone("vgg")


def test_convnext_has_one_block_of_each_kind_in_a_row() -> None:
    """A small one: a stage halves the map, and a block adds to its input."""
    keras = import_keras()
    image = keras.Input((32, 32, 3), name="image")
    model = keras.Model(image, convnext_features(image, ((1, 4), (2, 8))))
    assert model.output_shape == (None, 4, 4, 8)
    names = [layer.name for layer in model.layers if layer.name.startswith("stage_1")]
    assert names[0] == "stage_1_downsampling_layernorm", "the block's name covers all of it"
    assert names[-1] == "stage_1_block_1_add"
    scale = model.get_layer("stage_1_block_1_layer_scale")
    pixels = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3)).astype(np.float32)
    before = keras.Model(image, model.get_layer("stage_1_block_0_add").output)
    after = keras.Model(image, model.get_layer("stage_1_block_1_add").output)
    scale.set_weights([np.zeros((1, 1, 8, 1))])
    np.testing.assert_array_equal(answer(after, pixels), answer(before, pixels))
    scale.set_weights([np.ones((1, 1, 8, 1))])
    assert np.abs(answer(after, pixels) - answer(before, pixels)).max() > 0.1
    pixelwise = answer(model, pixels)
    np.testing.assert_allclose(pixelwise.mean(axis=-1), 0, atol=1e-5)
    np.testing.assert_allclose(pixelwise.std(axis=-1), 1, atol=1e-3)


def test_the_list() -> None:
    shown = CliRunner().invoke(cli, ["backbones"])
    assert shown.exit_code == 0
    table, _, files = shown.stdout.partition("\n\n")
    for line, backbone in zip(table.splitlines()[1:], BACKBONES.values(), strict=True):
        name, size, parameters, *_ = line.split()
        assert (name, int(size)) == (backbone.name, backbone.size)
        assert float(parameters) == round(backbone.parameters / 1e6, 1)
        assert f"{backbone.name:18}{backbone.file}" in files.splitlines()
        assert max(len(line), len(backbone.file)) < 100, "fits a terminal"
    found = json.loads(CliRunner().invoke(cli, ["backbones", "--json"]).stdout)["backbones"]
    assert [row["name"] for row in found] == list(BACKBONES)
    keys = ["size", "parameters", "macs", "top1", "fine_tune_at", "file", "note"]
    for row in found:
        assert [row[key] for key in keys] == [getattr(BACKBONES[row["name"]], key) for key in keys]


def test_the_list_needs_no_keras() -> None:
    code = (
        "import sys; from trainer.cli import cli\n"
        "try: cli(['backbones'])\n"
        "except SystemExit: pass\n"
        "sys.exit(', '.join({'tensorflow', 'keras', 'jax', 'pydantic'} & set(sys.modules)) or 0)"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root)
    assert done.returncode == 0, done.stderr


def test_the_layers_of_one() -> None:
    shown = CliRunner().invoke(cli, ["backbones", "--layers", "mobilenetv3small", "--json"])
    layers = json.loads(shown.stdout)["layers"]
    expected = build_base(BACKBONES["mobilenetv3small"]).layers
    assert [row["index"] for row in layers] == list(range(len(expected)))
    assert layers[0] == {"index": 0, "name": "image", "kind": "InputLayer", "output": [224, 224, 3]}
    assert [row["kind"] for row in layers] == [type(layer).__name__ for layer in expected]
    table = CliRunner().invoke(cli, ["backbones", "--layers", "mobilenetv3small"]).stdout
    assert table.splitlines()[1].split() == [
        "0",
        "image",
        "InputLayer",
        "224",
        "x",
        "224",
        "x",
        "3",
    ]
    assert len(table.splitlines()) == len(layers) + 1
    wrong = CliRunner().invoke(cli, ["backbones", "--layers", "mobilenetv3"], standalone_mode=False)
    assert isinstance(wrong.exception, UsageError)


#: None in sys.modules would not do: Keras asks whether the name is there.
_ON_JAX = """
import sys

class NoTensorFlow:
    def find_spec(self, name, *_):
        if name.partition(".")[0] == "tensorflow":
            raise ModuleNotFoundError("No module named " + name)

sys.meta_path.insert(0, NoTensorFlow())
import keras
import numpy as np
from trainer.network.backbones import BACKBONES, build_base
from trainer.network.model import build_classifier, unfreeze_from

assert keras.backend.backend() == "jax"
for name in {names}:
    backbone = BACKBONES[name]
    model = build_classifier(build_base(backbone, 64), 3, 0.1)
    unfreeze_from(model, 0.5)
    scores = model.predict(np.full((1, 64, 64, 3), 99, np.float32), verbose=0)
    assert scores.shape == (1, 3) and abs(scores.sum() - 1) < 1e-5, backbone.name
assert "tensorflow" not in sys.modules
"""


@pytest.mark.slow
def test_every_family_runs_on_jax() -> None:
    """Built, and asked once, in a process that has no TensorFlow. Jax is slow to build."""
    pytest.importorskip("jax")
    done = subprocess.run(
        [sys.executable, "-c", _ON_JAX.format(names=QUICK)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "KERAS_BACKEND": "jax"},
    )
    assert done.returncode == 0, done.stderr
