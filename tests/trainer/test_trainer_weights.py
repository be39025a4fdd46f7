"""Whatever weights are loaded, and from where: the function is the one that they were trained as."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from graphs import (
    answer,
    assert_same_function,
    fill,
    photos,
    set_normalization,
)

from edge_runtime.backends.full_model import import_keras
from edge_runtime.errors import DataError, MissingComponent, UsageError
from trainer.network.backbones import BACKBONES, build_base
from trainer.network.weights import IMAGENET_STD, check_weights, copy_weights, load_weights

SHARED = Path(os.environ.get("EDGE_CLASSIFY_SHARED", Path(__file__).parents[3] / "shared"))
SIDE = 64
EFFICIENTNET = BACKBONES["efficientnetb0"]
SMALL = BACKBONES["mobilenetv3small"]
CONVNEXT = BACKBONES["convnexttiny"]
SUFFIXES = [".weights.h5", ".h5", ".keras"]

#: EfficientNets of the first version, all of which have the trap, and a layout of files.
TRAPPED = [
    *(("efficientnetb0", suffix) for suffix in SUFFIXES),
    *(
        pytest.param(f"efficientnetb{number}", ".h5", marks=pytest.mark.slow)
        for number in (1, 2, 3)
    ),
]


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    return photos(SIDE)


def random_base(name: str) -> Any:
    """A backbone to load weights into, that answers otherwise before."""
    import_keras().utils.set_random_seed(9)
    return build_base(BACKBONES[name], SIDE)


@pytest.fixture(scope="module")
def small_base() -> Any:
    return build_base(SMALL, SIDE)


@pytest.fixture(scope="module")
def base() -> Any:
    """An EfficientNetB0 to load weights into."""
    return random_base(EFFICIENTNET.name)


def keras_own(name: str, variance: Any = None, weights: str | None = None) -> Any:
    """The backbone as keras.applications builds it, filled; ``variance`` is an EfficientNet's."""
    import_keras().utils.set_random_seed(1)
    application = getattr(import_keras().applications, BACKBONES[name].application)
    model = application(include_top=False, weights=weights, input_shape=(SIDE, SIDE, 3))
    if variance is not None:
        set_normalization(model, variance)
    fill(model, photos(SIDE, 8))  # fewer would leave BatchNorm variances near 0
    return model


def save(model: Any, file: Path) -> Path:
    """Save as the file's name says: weights alone, or a whole model (``.h5``: the legacy layout)."""
    model.save_weights(file) if file.name.endswith(".weights.h5") else model.save(file)
    return file


def official_graph(name: str, variance: Any) -> Any:
    """Keras's graph for weights="imagenet"; the download is replaced."""
    from keras.src.applications import efficientnet

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(efficientnet.file_utils, "get_file", lambda *_, **__: "downloaded.h5")
        patch.setattr(import_keras().Model, "load_weights", lambda *_: None)
        model = keras_own(name, variance, "imagenet")
    kinds = [type(layer).__name__ for layer in model.layers]
    assert kinds.count("Rescaling") == 2, "Keras has changed what this test is about"
    return model


@pytest.fixture(scope="module")
def official(request: pytest.FixtureRequest) -> tuple[str, Any]:
    """Numbers like those of the official file: the plain deviations as variance."""
    return request.param, official_graph(request.param, IMAGENET_STD)


@pytest.mark.parametrize(("official", "suffix"), TRAPPED, indirect=["official"])
def test_an_official_file_gives_keras_own_function(
    official: tuple[str, Any], pixels: np.ndarray, suffix: str, tmp_path: Path
) -> None:
    """On disk; the download itself is in the test of the backbones' features."""
    name, model = official
    base, file = random_base(name), save(model, tmp_path / f"official{suffix}")
    found = load_weights(base, BACKBONES[name], str(file))
    assert_same_function(answer(base, pixels), answer(model, pixels))
    assert [type(layer).__name__ for layer in base.layers].count("Rescaling") == 1
    assert (found.kind, found.path, len(found.sha256)) == ("file", str(file), 64)


@pytest.fixture(scope="module")
def plain(request: pytest.FixtureRequest) -> tuple[str, Any]:
    """Keras's graph for weights=None, whose numbers are the squares."""
    return request.param, keras_own(request.param, np.square(IMAGENET_STD))


@pytest.mark.parametrize(("plain", "suffix"), TRAPPED, indirect=["plain"])
def test_a_file_of_the_plain_graph_gives_the_plain_function(
    plain: tuple[str, Any], pixels: np.ndarray, suffix: str, tmp_path: Path
) -> None:
    """It must not be scaled twice."""
    name, model = plain
    base, file = random_base(name), save(model, tmp_path / f"plain{suffix}")
    load_weights(base, BACKBONES[name], str(file))
    assert_same_function(answer(base, pixels), answer(model, pixels))


@pytest.mark.parametrize(
    ("build", "variance"),
    [
        pytest.param(keras_own, IMAGENET_STD, id="deviations, one Rescaling"),
        pytest.param(official_graph, np.square(IMAGENET_STD), id="squares, two Rescalings"),
    ],
)
def test_a_saved_graph_counts_more_than_its_numbers(
    build: Callable[..., Any], variance: Any, base: Any, pixels: np.ndarray, tmp_path: Path
) -> None:
    """Somebody's mistake at first, but the kernels have learned with it."""
    model = build(EFFICIENTNET.name, variance)
    load_weights(base, EFFICIENTNET, str(save(model, tmp_path / "trapped.keras")))
    assert_same_function(answer(base, pixels), answer(model, pixels))


@pytest.fixture(scope="module")
def plain_constants(request: pytest.FixtureRequest) -> tuple[str, Any]:
    """Keras's graph with a preprocessing that has no weights."""
    return request.param, keras_own(request.param)


@pytest.mark.parametrize(
    ("plain_constants", "suffix"),
    [
        *(("convnexttiny", suffix) for suffix in SUFFIXES),
        *(pytest.param("efficientnetv2b0", s, marks=pytest.mark.slow) for s in SUFFIXES),
    ],
    indirect=["plain_constants"],
)
def test_files_of_backbones_without_the_trap(
    plain_constants: tuple[str, Any], pixels: np.ndarray, suffix: str, tmp_path: Path
) -> None:
    """ConvNeXt's graph is another than Keras's; EfficientNetV2's constants stay as they are."""
    name, model = plain_constants
    base, file = random_base(name), save(model, tmp_path / f"own{suffix}")
    load_weights(base, BACKBONES[name], str(file))
    assert_same_function(answer(base, pixels), answer(model, pixels))


def test_convnext_of_an_earlier_run(pixels: np.ndarray, tmp_path: Path) -> None:
    earlier, base = random_base(CONVNEXT.name), build_base(CONVNEXT, SIDE)
    fill(earlier, pixels)
    load_weights(base, CONVNEXT, str(save(earlier, tmp_path / "model.keras")))
    assert_same_function(answer(base, pixels), answer(earlier, pixels))


def test_another_network_for_convnext(small_base: Any, tmp_path: Path) -> None:
    base = build_base(CONVNEXT, SIDE)
    for suffix in (".weights.h5", ".keras"):
        file = save(small_base, tmp_path / f"other{suffix}")
        with pytest.raises(DataError, match=r"does not fit convnexttiny; first mismatch: "):
            load_weights(base, CONVNEXT, str(file))


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


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_weights_of_another_network(foreign: Path, base, suffix: str) -> None:
    with pytest.raises(DataError) as caught:
        load_weights(base, EFFICIENTNET, str(foreign / f"other{suffix}"))
    message = str(caught.value)
    assert f"other{suffix}: does not fit efficientnetb0; first mismatch: " in message
    assert "\n" not in message
    assert caught.value.exit_code == 3


@pytest.mark.parametrize("suffix", SUFFIXES)
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
