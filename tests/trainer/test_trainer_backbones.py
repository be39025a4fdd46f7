"""Every backbone sees the pixels, and has the graph, that its weights were trained with."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from edge_runtime.backends.full_model import import_keras
from edge_runtime.errors import DataError, MissingComponent, UsageError
from trainer.backbones import BACKBONES, build_base, get_backbone
from trainer.weights import IMAGENET_STD, check_weights, copy_weights, load_weights

SHARED = Path(os.environ.get("EDGE_CLASSIFY_SHARED", Path(__file__).parents[3] / "shared"))
SIDE = 32
EFFICIENTNET = BACKBONES["efficientnetb0"]
SMALL = BACKBONES["mobilenetv3small"]
MEAN = (0.485, 0.456, 0.406)

#: Modules of keras.applications that know what each network wants.
MODULES = {
    "efficientnetb0": "efficientnet",
    "efficientnetv2b0": "efficientnet_v2",
    "resnet50": "resnet",
    "mobilenetv2": "mobilenet_v2",
    "mobilenetv3small": "mobilenet_v3",
    "mobilenetv3large": "mobilenet_v3",
}


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    return np.random.RandomState(0).randint(0, 256, (2, SIDE, SIDE, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def base():
    """An EfficientNetB0 to load weights into."""
    return build_base(EFFICIENTNET, SIDE)


@pytest.fixture(scope="module")
def small_base():
    return build_base(SMALL, SIDE)


def answer(model, pixels: np.ndarray) -> np.ndarray:
    return np.asarray(model(pixels, training=False))


def normalization(model):
    return next(layer for layer in model.layers if type(layer).__name__ == "Normalization")


def set_statistics(model, variance) -> None:
    layer = normalization(model)
    layer.set_weights([np.array(MEAN), np.array(variance), np.array(0)])
    layer.finalize_state()


def assert_same_function(first: np.ndarray, second: np.ndarray) -> None:
    """Within float32 rounding through 200 layers; a missing Rescaling is off by 100 %."""
    np.testing.assert_allclose(first, second, rtol=0, atol=1e-5 * np.abs(second).max())


@pytest.mark.parametrize("name", BACKBONES)
def test_raw_pixels_go_in(name: str, pixels: np.ndarray) -> None:
    """The graph on 0..255 equals keras.applications on what its preprocess_input gives."""
    keras = import_keras()
    base = build_base(BACKBONES[name], SIDE)
    assert base.input.name == "image"
    assert base.input_shape == (None, SIDE, SIDE, 3)
    assert len(base.output_shape) == 4
    assert not any(hasattr(layer, "layers") for layer in base.layers), "the graph is flat"
    builder = getattr(keras.applications, BACKBONES[name].application)
    plain = builder(include_top=False, weights=None, input_shape=(SIDE, SIDE, 3))
    givers = [layer for layer in base.layers if layer.get_weights()]
    takers = [layer for layer in plain.layers if layer.get_weights()]
    for giver, taker in zip(givers, takers, strict=True):
        taker.set_weights(giver.get_weights())
    preprocess_input = getattr(keras.applications, MODULES[name]).preprocess_input
    assert_same_function(answer(base, pixels), answer(plain, preprocess_input(pixels.copy())))


def test_unknown_backbone() -> None:
    with pytest.raises(UsageError, match=r"Did you mean efficientnetb0\? Known: efficientnetb0,"):
        get_backbone("EfficientNet-B0")
    with pytest.raises(UsageError, match="Known: efficientnetb0, efficientnetv2b0, resnet50"):
        get_backbone("vgg")


@pytest.fixture(scope="module")
def official(pixels: np.ndarray, tmp_path_factory):
    """Keras's own graph for weights="imagenet", with weights like those of the official file.

    The download is replaced by a file made here: random kernels, and the plain deviations as
    variance, which is what the official file holds.
    """
    keras = import_keras()
    from keras.src.applications import efficientnet

    folder = tmp_path_factory.mktemp("official")
    file = folder / "official.weights.h5"
    keras.utils.set_random_seed(1)
    made = keras.applications.EfficientNetB0(
        include_top=False, weights=None, input_shape=(SIDE, SIDE, 3)
    )
    set_statistics(made, IMAGENET_STD)
    made.save_weights(file)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(efficientnet.file_utils, "get_file", lambda *_, **__: str(file))
        model = keras.applications.EfficientNetB0(
            include_top=False, weights="imagenet", input_shape=(SIDE, SIDE, 3)
        )
    kinds = [type(layer).__name__ for layer in model.layers]
    assert kinds.count("Rescaling") == 2, "Keras has changed what this test is about"
    model.save(folder / "official.keras")
    model.save(folder / "official.h5")  # the legacy layout
    return answer(model, pixels), folder


@pytest.mark.parametrize(
    "source", ["imagenet", "official.weights.h5", "official.h5", "official.keras"]
)
def test_official_weights_give_keras_own_function(
    official, base, pixels: np.ndarray, source: str, monkeypatch
) -> None:
    from keras.src.applications import efficientnet

    expected, folder = official
    file = folder / "official.weights.h5"
    monkeypatch.setattr(efficientnet.file_utils, "get_file", lambda *_, **__: str(file))
    weights = source if source == "imagenet" else str(folder / source)
    found = load_weights(base, EFFICIENTNET, weights)
    assert_same_function(answer(base, pixels), expected)
    assert [type(layer).__name__ for layer in base.layers].count("Rescaling") == 1
    assert (found.kind, found.sha256 is None) == (
        ("imagenet", True) if source == "imagenet" else ("file", False)
    )


@pytest.fixture(scope="module")
def plain():
    """Keras's graph for weights=None, at another place in the space of weights than ``official``."""
    import_keras().utils.set_random_seed(2)
    return import_keras().applications.EfficientNetB0(
        include_top=False, weights=None, input_shape=(SIDE, SIDE, 3)
    )


@pytest.mark.parametrize("suffix", [".weights.h5", ".h5", ".keras"])
def test_weights_of_the_plain_graph_give_the_plain_function(
    plain, base, pixels: np.ndarray, suffix: str, tmp_path: Path
) -> None:
    """A file made with weights=None holds the squares and must not be scaled twice."""
    set_statistics(plain, np.square(IMAGENET_STD))
    file = tmp_path / f"plain{suffix}"
    plain.save_weights(file) if suffix == ".weights.h5" else plain.save(file)
    load_weights(base, EFFICIENTNET, str(file))
    assert_same_function(answer(base, pixels), answer(plain, pixels))


def test_a_saved_graph_counts_more_than_its_numbers(
    plain, base, pixels: np.ndarray, tmp_path: Path
) -> None:
    """Deviations in a graph with one Rescaling: wrong at first, but the kernels learned with it."""
    set_statistics(plain, IMAGENET_STD)
    plain.save(tmp_path / "trapped.keras")
    load_weights(base, EFFICIENTNET, str(tmp_path / "trapped.keras"))
    assert_same_function(answer(base, pixels), answer(plain, pixels))


def test_a_whole_classifier_gives_its_backbone(
    small_base, pixels: np.ndarray, tmp_path: Path
) -> None:
    """model.keras of an earlier run; one with a nested base; both at another input size."""
    keras = import_keras()
    earlier = build_base(SMALL, 48)
    out = keras.layers.Dense(3)(keras.layers.GlobalAveragePooling2D()(earlier.output))
    keras.Model(earlier.input, out).save(tmp_path / "flat.keras")
    image = keras.Input((48, 48, 3))
    keras.Model(image, keras.layers.Flatten()(earlier(image))).save(tmp_path / "nested.keras")
    copy_weights(earlier, small_base)
    expected = answer(small_base, pixels)
    for name in ("flat.keras", "nested.keras"):
        small_base.set_weights([weight * 0 for weight in small_base.get_weights()])
        load_weights(small_base, SMALL, str(tmp_path / name))
        assert_same_function(answer(small_base, pixels), expected)


@pytest.fixture(scope="module")
def foreign(small_base, tmp_path_factory) -> Path:
    """Weights of another network in every layout."""
    folder = tmp_path_factory.mktemp("foreign")
    small_base.save_weights(folder / "other.weights.h5")
    small_base.save(folder / "other.h5")
    small_base.save(folder / "other.keras")
    return folder


@pytest.mark.parametrize("suffix", [".weights.h5", ".h5", ".keras"])
def test_weights_of_another_network(foreign: Path, base, suffix: str) -> None:
    with pytest.raises(DataError) as caught:
        load_weights(base, EFFICIENTNET, str(foreign / f"other{suffix}"))
    message = str(caught.value)
    assert f"other{suffix}: does not fit efficientnetb0; first mismatch: " in message
    assert "\n" not in message
    assert caught.value.exit_code == 3


@pytest.mark.parametrize("suffix", [".weights.h5", ".h5", ".keras"])
@pytest.mark.parametrize("damage", ["cut", "text"])
def test_damaged_weights(
    foreign: Path, small_base, tmp_path: Path, suffix: str, damage: str
) -> None:
    whole = (foreign / f"other{suffix}").read_bytes()
    file = tmp_path / f"bad{suffix}"
    file.write_bytes(whole[: len(whole) // 2] if damage == "cut" else b"no weights\n")
    with pytest.raises(DataError, match=f"bad{suffix}"):
        load_weights(small_base, SMALL, str(file))


def test_paths_that_are_no_weights(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"nowhere.h5: no such file. Weights are 'imagenet',"):
        check_weights("nowhere.h5")
    with pytest.raises(UsageError, match="is a folder"):
        check_weights(str(tmp_path))
    (tmp_path / "weights.pt").write_text("")
    with pytest.raises(UsageError, match=r"weights.pt: expected .* ends in .weights.h5"):
        check_weights(str(tmp_path / "weights.pt"))
    check_weights("imagenet")
    check_weights("none")


@pytest.mark.parametrize(
    "failure",
    [
        Exception("URL fetch failure on https://example.org/w.h5: None -- [Errno -2] Name unknown"),
        TimeoutError("timed out"),
        ValueError("Incomplete or corrupted file detected.\nThe file hash does not match."),
    ],
)
def test_no_network(small_base, monkeypatch, failure: Exception) -> None:
    from keras.src.applications import mobilenet_v3

    def get_file(*_, **__):
        raise failure

    monkeypatch.setattr(mobilenet_v3.file_utils, "get_file", get_file)
    with pytest.raises(MissingComponent) as caught:
        load_weights(small_base, SMALL, "imagenet")
    assert caught.value.exit_code == 5
    for part in ("mobilenetv3small", "--weights none", "--weights PATH", str(failure)[:9]):
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.shared
@pytest.mark.parametrize("name", ["efficientnetb0", "efficientnetv2b0"])
def test_the_shared_weights(name: str, pixels: np.ndarray) -> None:
    file = SHARED / "weights" / f"{name}_notop.weights.h5"
    if not file.is_file():
        pytest.skip(f"{file} is not there")
    keras = import_keras()
    builder = getattr(keras.applications, BACKBONES[name].application)
    plain = builder(include_top=False, weights=None, input_shape=(SIDE, SIDE, 3))
    plain.load_weights(file)
    base = build_base(BACKBONES[name], SIDE)
    load_weights(base, BACKBONES[name], str(file))
    assert_same_function(answer(base, pixels), answer(plain, pixels))
