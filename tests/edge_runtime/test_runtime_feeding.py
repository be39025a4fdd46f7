"""Pixels to input tensors: every type, layout, order of channels, normalisation."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from edge_runtime.backends.feeding import Feeding, InputTensor, check_tables, read_input, usual_spec
from edge_runtime.description import InputSpec, ModelInfo, PreprocessSpec
from edge_runtime.errors import ModelError

PIXELS = np.random.default_rng(0).integers(0, 256, (2, 5, 4, 3)).astype(np.uint8)
MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


def tensor(
    dtype: str = "float32",
    layout: str = "NHWC",
    scale: float = 0.0,
    zero: int = 0,
    channels: int = 3,
) -> InputTensor:
    shape = (None, 5, 4, channels) if layout == "NHWC" else (None, channels, 5, 4)
    return read_input(shape, np.dtype(dtype), "m", scale, zero)


def by_hand(spec: InputSpec) -> np.ndarray:
    """The definition, in float64."""
    ordered = PIXELS[..., ::-1] if spec.color == "BGR" else PIXELS
    real = (ordered.astype(float) - spec.mean) / spec.std
    return real.transpose(0, 3, 1, 2) if spec.layout == "NCHW" else real


@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
@pytest.mark.parametrize("color", ["RGB", "BGR"])
@pytest.mark.parametrize("norm", [((0.0,), (1.0,)), ((127.5,), (127.5,)), (MEAN, STD)])
@pytest.mark.parametrize("dtype", ["float32", "float16", "float64"])
def test_floats(layout: str, color: str, norm: tuple, dtype: str) -> None:
    spec = InputSpec(*norm, layout, color)
    found = Feeding(spec, tensor(dtype, layout))(PIXELS)
    assert found.dtype == dtype and found.flags.c_contiguous
    # Half precision has 11 bits: of values to 255 it keeps 2^-11 of the value.
    np.testing.assert_allclose(
        found, by_hand(spec), rtol=5e-4 if dtype == "float16" else 1e-6, atol=1e-6
    )
    one = Feeding(spec, tensor(dtype, layout))(PIXELS[0])
    assert np.array_equal(one, found[:1])


@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
@pytest.mark.parametrize(("dtype", "zero"), [("uint8", 114), ("int8", -14), ("int16", 0)])
def test_integers(layout: str, dtype: str, zero: int) -> None:
    """ImageNet's normalisation reaches from -2.12 to 2.64, which the scale covers."""
    scale = 2.64 / 32767 if dtype == "int16" else 4.76 / 255
    spec = InputSpec(MEAN, STD, layout, "BGR")
    found = Feeding(spec, tensor(dtype, layout, scale, zero))(PIXELS)
    limits = np.iinfo(dtype)
    expected = np.clip(np.round(by_hand(spec) / scale) + zero, limits.min, limits.max)
    assert found.dtype == dtype
    # Halves may round to either side in float32.
    assert np.abs(found - expected).max() <= 1 and (found != expected).mean() < 0.01


@pytest.mark.parametrize(
    ("dtype", "scale", "zero"), [("uint8", 1 / 128, 128), ("int8", 1 / 128, 0)]
)
def test_normalisation_that_quantisation_undoes(dtype: str, scale: float, zero: int) -> None:
    """The exact table is off by one for some values; the standard and other programs pass pixels."""
    found = Feeding(InputSpec((127.5,), (127.5,)), tensor(dtype, "NHWC", scale, zero))(PIXELS)
    assert np.array_equal(found, PIXELS.astype(int) - (128 if dtype == "int8" else 0))


def test_own_files_are_quantised_exactly() -> None:
    """Without normalisation the table is that of the file's scale, however near it is to pixels."""
    found = Feeding(InputSpec(), tensor("uint8", scale=254 / 255, zero=0))(PIXELS)
    assert np.array_equal(found, np.clip(np.round(PIXELS / np.float32(254 / 255)), 0, 255))


def test_plain_pixels_are_not_copied() -> None:
    assert Feeding(InputSpec(), tensor("uint8", scale=1.0))(PIXELS) is PIXELS
    assert Feeding(InputSpec(), tensor("uint8"))(PIXELS) is PIXELS


def test_greyscale_is_pillows() -> None:
    feeding = Feeding(InputSpec(color="GRAY"), tensor("float32", channels=1))
    expected = [np.asarray(Image.fromarray(image).convert("L")) for image in PIXELS]
    assert np.array_equal(feeding(PIXELS)[..., 0], np.stack(expected))
    assert Feeding(InputSpec(layout="NCHW", color="GRAY"), tensor("float32", "NCHW", channels=1))(
        PIXELS
    ).shape == (2, 1, 5, 4)


@pytest.mark.parametrize(
    ("shape", "layouts"),
    [
        ((1, 224, 224, 3), ("NHWC",)),
        (("n", 3, 224, 224), ("NCHW",)),
        ((1, 3, "h", "w"), ("NCHW",)),
        ((-1, -1, -1, 3), ("NHWC",)),
        ((1, 28, 28, 1), ("NHWC",)),
        ((1, 1, 28, 28), ("NCHW",)),
        ((1, 3, 32, 3), ("NHWC", "NCHW")),
        ((None, None, None, None), ("NHWC", "NCHW")),
    ],
)
def test_layouts(shape: tuple, layouts: tuple) -> None:
    found = read_input(shape, np.dtype(np.float32), "m")
    assert found.layouts == layouts and usual_spec(found).layout == layouts[0]


@pytest.mark.parametrize("shape", [(1, 10), (1, 224, 224), (1, 224, 224, 4), (1, 8, 8, 8, 3), ()])
def test_no_picture(shape: tuple) -> None:
    with pytest.raises(ModelError, match="not an image classifier"):
        read_input(shape, np.dtype(np.float32), "m")


@pytest.mark.parametrize(
    ("spec", "given", "said"),
    [
        (InputSpec(layout="NCHW"), tensor(), "not NCHW. Say NHWC"),
        (InputSpec(color="GRAY"), tensor(), "3 channels"),
        (InputSpec((1.0, 2.0, 3.0), color="GRAY"), tensor(channels=1), "one number"),
        (InputSpec((127.5,), (127.5,)), tensor("uint8"), "whole pixel values"),
        (InputSpec(), tensor("int8"), "without a quantisation scale"),
        (InputSpec(), tensor("int32", scale=1.0), "not supported"),
    ],
)
def test_contradictions(spec: InputSpec, given: InputTensor, said: str) -> None:
    with pytest.raises(ModelError, match=said):
        Feeding(spec, given)


@pytest.mark.parametrize(
    ("spec", "given"),
    [
        # Real values 0 to 255, of which -1 to 1 uses two.
        (InputSpec((127.5,), (127.5,)), tensor("uint8", scale=1.0)),
        # Real values -1 to 1, of which 0 to 128 and 0 to 255 use one end.
        (InputSpec((0.0,), (2.0,)), tensor("uint8", scale=1 / 128, zero=128)),
        (InputSpec(), tensor("int8", scale=1 / 128)),
    ],
)
def test_normalisation_that_the_quantisation_excludes(spec: InputSpec, given: InputTensor) -> None:
    with pytest.raises(ModelError, match="fall together"):
        check_tables(spec, given)


def test_normalisation_that_the_quantisation_covers() -> None:
    """ImageNet's, of which red covers 0..239 and blue 20..255 of the common scale."""
    check_tables(InputSpec(MEAN, STD), tensor("uint8", scale=4.76 / 255, zero=114))


@pytest.mark.parametrize(
    "spec",
    [InputSpec(), InputSpec(MEAN, STD, "NCHW", "BGR"), InputSpec((0.0,), (255.0,), color="GRAY")],
)
def test_description_keeps_it(spec: InputSpec) -> None:
    info = ModelInfo(("a", "b"), PreprocessSpec(4, 5), input=spec)
    assert ModelInfo.from_json(info.to_json(), "m") == info


def test_older_descriptions_are_read_as_before() -> None:
    data = ModelInfo(("a", "b"), PreprocessSpec(4, 5)).to_dict()
    assert data["input"]["layout"] == "NHWC" and data["preprocess"]["normalization"] == "in-network"
    del data["preprocess"]["normalization"], data["input"]["layout"], data["input"]["color"]
    assert ModelInfo.from_dict(data, "m").input.is_plain


@pytest.mark.parametrize(
    "wrong",
    [
        "none", None, 3, {"mean": [0]}, {"mean": [0], "std": [0]}, {"mean": [0, 0], "std": [1]},
        {"mean": ["a"], "std": [1]}, {"mean": 0, "std": 1}, {"mean": [float("nan")], "std": [1]},
        {"mean": [10**400], "std": [1]}, {"mean": [0], "std": [-1]}, {"mean": [True], "std": [1]},
    ],
)  # fmt: skip
def test_description_that_cannot_be_right(wrong: object) -> None:
    data = ModelInfo(("a", "b"), PreprocessSpec(4, 5)).to_dict()
    data["preprocess"]["normalization"] = wrong
    with pytest.raises(ModelError, match=r"^m: "):
        ModelInfo.from_json(json.dumps(data), "m")
