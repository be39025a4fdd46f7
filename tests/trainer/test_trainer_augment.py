"""What the augmentation changes, computed another way; and what decides it."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image, ImageEnhance, ImageOps

from trainer.augmentation.augment import Augmentation
from trainer.augmentation.boxes import box_mask
from trainer.augmentation.color import Color
from trainer.augmentation.filters import Sharpness, Tones
from trainer.augmentation.mixing import draw_partners, partner_shares
from trainer.augmentation.numbers import _GAMMA, Numbers, _scramble
from trainer.augmentation.randaugment import OPERATIONS, draw_strengths
from trainer.augmentation.warp import Warp
from trainer.config.io import dump_config, load_config
from trainer.config.schema import AugmentConfig
from trainer.data.dataset import index_dataset

SEED = 3
GREY = np.array([0.299, 0.587, 0.114])


def nothing(**ranges: object) -> AugmentConfig:
    return AugmentConfig(level="none", **ranges)


def run(images: np.ndarray, seed: int = SEED, **ranges: object) -> np.ndarray:
    augmentation = Augmentation(nothing(**ranges))
    changes = augmentation.draw(seed, 0, 0, np.arange(len(images)))
    return np.asarray(augmentation.layer()([images, changes]))


def apply(change: object, images: np.ndarray, *parameters: float) -> np.ndarray:
    """A change with parameters given by hand, the same for all photos."""
    import keras

    rows = np.repeat(np.array([parameters], np.float32), len(images), axis=0)
    found = change.apply(keras.ops, keras.ops.cast(images, "float32"), keras.ops.array(rows))
    return np.asarray(found)


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    """Noise of middling brightness, so that nothing is clipped."""
    return np.random.RandomState(0).randint(90, 140, (16, 24, 20, 3)).astype(np.uint8)


@pytest.fixture(scope="module")
def ramp() -> np.ndarray:
    """Red is ten times the column, green ten times the row."""
    y, x = np.mgrid[:24, :24]
    one = np.stack([x * 10, y * 10, np.zeros_like(x)], -1).astype(np.uint8)
    return np.repeat(one[None], 32, axis=0)


@pytest.fixture(scope="module")
def colors() -> np.ndarray:
    """Noise over all values, uint8 (4, 20, 24, 3)."""
    return np.random.RandomState(1).randint(0, 256, (4, 20, 24, 3)).astype(np.uint8)


# Levels


def test_medium_is_what_the_recipe_was_tuned_with() -> None:
    assert AugmentConfig() == AugmentConfig(level="medium")
    assert AugmentConfig().model_dump(exclude={"erasing_area", "erasing_ratio"}) == {
        "level": "medium", "area": (0.6, 1.0), "ratio": (0.75, 4 / 3), "rotation": 15.0,
        "shift": 0.0, "flip": True, "brightness": 0.2, "contrast": 0.2, "saturation": 0.2,
        "hue": 0.02, "randaugment_ops": 0, "randaugment_magnitude": 7.0, "erasing": 0.0,
        "erasing_fill": "noise", "mixup": 0.0, "cutmix": 0.0,
    }  # fmt: skip


def test_heavy_is_medium_and_more() -> None:
    changed = {"level", "randaugment_ops", "erasing"}
    heavy = AugmentConfig(level="heavy")
    assert heavy.model_dump(exclude=changed) == AugmentConfig().model_dump(exclude=changed)
    assert heavy.randaugment_ops == 2
    assert heavy.erasing == 0.25


def test_single_keys_go_over_the_level_and_null_is_the_levels_own() -> None:
    light = AugmentConfig(level="light", rotation=40, area=None)
    assert (light.rotation, light.area) == (40, AugmentConfig(level="light").area)
    assert light.brightness < AugmentConfig().brightness
    assert AugmentConfig(level=None) == AugmentConfig()


def test_the_resolved_configuration_says_every_value(tmp_path: Path) -> None:
    config = load_config(None, {"augment.level": "light"})
    file = tmp_path / "config.yaml"
    file.write_text(dump_config(config), encoding="utf-8")
    assert "\n  rotation: 5.0\n" in file.read_text(encoding="utf-8")
    assert load_config(file) == config
    # Another level goes over the values that were the old level's own.
    again = load_config(file, {"augment.level": "heavy"}, ["augment.hue=0.1"])
    assert again.augment == AugmentConfig(level="heavy", hue=0.1)


def test_a_level_and_a_preset_with_ranges_of_its_own() -> None:
    assert load_config("demo", {"augment.level": "none"}).augment == nothing()
    heavy = load_config("demo", None, ["augment.level=heavy"]).augment
    assert (heavy.flip, heavy.rotation, heavy.randaugment_ops) == (False, 10, 2)


def test_none_is_the_exact_identity(colors: np.ndarray) -> None:
    augmentation = Augmentation(nothing())
    changes = augmentation.draw(SEED, 0, 0, np.arange(len(colors)))
    assert changes.shape == (len(colors), augmentation.width)
    found = np.asarray(augmentation.layer()([colors, changes]))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, colors)
    one_hot = np.eye(4, dtype=np.float32)
    assert augmentation.targets(one_hot, changes) is one_hot


def test_heavy_stays_in_range_and_changes_every_photo(colors: np.ndarray) -> None:
    many = np.concatenate([colors] * 16)
    augmentation = Augmentation(AugmentConfig(level="heavy", erasing=1, mixup=1, cutmix=1))
    changes = augmentation.draw(SEED, 0, 0, np.arange(len(many)))
    found = np.asarray(augmentation.layer()([many, changes]))
    assert np.isfinite(found).all()
    # MixUp adds two float32 products.
    assert found.min() >= -1e-4
    assert found.max() <= 255 + 1e-4
    assert (np.abs(found - many).max(axis=(1, 2, 3)) > 1).all()


# What decides the changes


def test_numbers_are_those_of_splitmix64() -> None:
    """The first outputs for the seed 1234567, from Vigna's reference implementation."""
    state = np.uint64(1234567) + np.arange(1, 4, dtype=np.uint64) * _GAMMA
    expected = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    assert _scramble(state).tolist() == expected


def test_numbers_are_even_and_independent() -> None:
    from scipy import stats

    purposes = ("area", "ratio", "mix share", "strength 15")
    # Neighbouring seeds, epochs and photos are what a training uses.
    drawn = np.stack(
        [
            np.concatenate(
                [Numbers((seed, epoch), np.arange(500))(purpose) for purpose in purposes]
            )
            for seed in range(2)
            for epoch in range(2)
        ]
    )
    assert stats.kstest(drawn.ravel(), "uniform").pvalue > 0.001
    # 2,000 numbers each: a correlation has a standard deviation of 0.022.
    assert np.abs(np.corrcoef(drawn) - np.eye(4)).max() < 0.1
    assert np.abs(np.corrcoef(drawn[0].reshape(4, 500)) - np.eye(4)).max() < 0.2
    assert abs(np.corrcoef(drawn[0, :-1], drawn[0, 1:])[0, 1]) < 0.1


def test_the_same_seed_gives_the_same_and_another_one_does_not() -> None:
    augmentation, photos = Augmentation(AugmentConfig(level="heavy")), np.arange(20)
    first = augmentation.draw(1, 2, 3, photos)
    np.testing.assert_array_equal(augmentation.draw(1, 2, 3, photos), first)
    for key in ((2, 2, 3), (1, 3, 3), (2, 1, 3)):
        assert (augmentation.draw(*key, photos) != first).any(axis=1).all()


def test_a_photos_changes_do_not_depend_on_batch_place_or_step() -> None:
    augmentation = Augmentation(AugmentConfig(level="heavy", mixup=0.4, cutmix=1))
    whole = augmentation.draw(1, 2, 0, np.arange(64))
    chosen = np.array([40, 7, 63])
    part = augmentation.draw(1, 2, 5, chosen)
    partner = augmentation.width - 6
    own = np.arange(augmentation.width) != partner
    np.testing.assert_array_equal(part[:, own], whole[chosen][:, own])
    other = augmentation.draw(1, 2, 1, np.arange(64))
    assert (other[:, partner] != whole[:, partner]).any(), "partners depend on the step"


def test_a_photo_is_changed_alike_in_any_batch(colors: np.ndarray) -> None:
    augmentation = Augmentation(AugmentConfig(level="heavy"))
    layer, changes = augmentation.layer(), augmentation.draw(1, 2, 0, np.arange(4))
    whole = np.asarray(layer([colors, changes]))
    for index in (0, 3):
        alone = np.asarray(layer([colors[index : index + 1], changes[index : index + 1]]))
        # XLA compiles another program for another size of batch.
        np.testing.assert_allclose(alone[0], whole[index], atol=1e-3)


# The warp


def test_a_flip_is_numpys(images: np.ndarray) -> None:
    np.testing.assert_array_equal(
        apply(Warp(nothing()), images, -1, 0, 0, 0, 1, 0), np.flip(images, 2)
    )


def test_flip_mirrors_left_and_right_about_half_of_the_time(images: np.ndarray) -> None:
    many = np.concatenate([images] * 4)
    found = run(many, flip=True)
    plain = (found == many).all(axis=(1, 2, 3))
    mirrored = (found == many[:, :, ::-1]).all(axis=(1, 2, 3))
    assert (plain ^ mirrored).all()
    assert 16 < mirrored.sum() < 48, "64 throws of a coin are within 4 standard deviations of 32"


def test_a_quarter_turn_is_numpys(colors: np.ndarray) -> None:
    square = colors[:, :, :20]
    turned = apply(Warp(nothing()), square, 0, -1, 0, 1, 0, 0)
    np.testing.assert_array_equal(turned, np.rot90(square, -1, axes=(2, 1)))


def test_a_shift_by_whole_pixels_is_numpys(images: np.ndarray) -> None:
    """Source = target + 5 columns, + 6 rows; what comes in is the photo mirrored."""
    found = apply(Warp(nothing()), images, 1, 0, 5 / 20, 0, 1, 6 / 24)
    padded = np.pad(images, ((0, 0), (0, 6), (0, 5), (0, 0)), mode="symmetric")
    # 20 * float32(5 / 20) is exact, the middle 9.5 + 5 too.
    np.testing.assert_array_equal(found, padded[:, 6:, 5:])


def test_any_warp_is_that_of_keras(colors: np.ndarray) -> None:
    """keras.ops.image.affine_transform, whose origin is the corner."""
    import keras

    augmentation = Augmentation(
        nothing(area=(0.3, 3), ratio=(0.5, 2), rotation=180, shift=0.5, flip=True)
    )
    drawn = augmentation.draw(SEED, 0, 0, np.arange(4))
    a, b, left, c, d, down = drawn.astype(np.float64).T
    x, y, zero = (24 - 1) / 2, (20 - 1) / 2, np.zeros(4)
    rows = [a, b, x + left * 24 - a * x - b * y, c, d, y + down * 20 - c * x - d * y, zero, zero]
    expected = keras.ops.image.affine_transform(
        colors.astype(np.float32), np.stack(rows, 1).astype(np.float32), "bilinear", "reflect"
    )
    found = np.asarray(augmentation.layer()([colors, drawn]))
    # A place is known to 1e-6 of 24 pixels in float32; neighbours differ by up to 255.
    np.testing.assert_allclose(found, np.asarray(expected), atol=0.02)


def test_a_crop_stays_inside_the_photo(ramp: np.ndarray) -> None:
    found = run(ramp, area=(0.25, 0.25))
    for channel, axis in ((0, 2), (1, 1)):
        # A quarter of the area is half the step. The outer half pixel has no inner neighbour.
        steps = np.diff(found[:, 1:-1, 1:-1, channel], axis=axis)
        np.testing.assert_allclose(steps, 5, atol=0.01)
    assert found[..., :2].min() >= 0
    assert found[..., :2].max() <= 230
    places = found[:, 12, 12, :2]
    assert np.ptp(places, axis=0).min() > 40, "crops lie everywhere, not in the middle"


def test_an_area_above_one_zooms_out(ramp: np.ndarray) -> None:
    found = run(ramp, area=(4, 4))
    # Twice the step where the photo is, and the photo mirrored around it.
    steps = np.abs(np.diff(found[..., 0], axis=2))
    assert np.median(steps) == pytest.approx(20, abs=0.1)
    assert (found[..., 0].max(axis=2) > 200).all()


def test_ratio_changes_one_side_more_than_the_other(ramp: np.ndarray) -> None:
    found = run(ramp, area=(0.5, 0.5), ratio=(2, 2))
    # 0.5 of the area at 2 to 1: all of the width, half of the height.
    np.testing.assert_allclose(np.diff(found[..., 0], axis=2), 10, atol=0.01)
    np.testing.assert_allclose(np.diff(found[:, 1:-1, :, 1], axis=1), 5, atol=0.01)


def test_shift_moves_by_its_share(ramp: np.ndarray) -> None:
    middle = run(ramp, shift=0.25)[:, 12, 12, 0] / 10
    assert np.abs(middle - 12).max() <= 0.25 * 24 + 0.01
    assert np.ptp(middle) > 6


def test_rotation_keeps_the_middle(ramp: np.ndarray) -> None:
    found = run(ramp[:, :23, :23], rotation=90)
    np.testing.assert_allclose(found[:, 11, 11, :2], 110, atol=0.1)
    slopes = found[:, 11, 12, 0] - found[:, 11, 11, 0]
    assert np.abs(slopes).max() <= 10.01
    assert np.ptp(slopes) > 5


# Colours


def color_parameters(**wanted: float) -> list[float]:
    """Parameters of Color at the upper end of ranges: exactly 1 + x."""

    class Upper:
        def __len__(self) -> int:
            return 1

        def __call__(self, purpose: str, low: float = 0.0, high: float = 1.0) -> np.ndarray:
            return np.array([high])

    return Color(nothing(**wanted)).draw(Upper(), {})[0].tolist()


def enhanced(images: np.ndarray, kind: str, factor: float) -> np.ndarray:
    return np.stack(
        [
            np.asarray(getattr(ImageEnhance, kind)(Image.fromarray(i)).enhance(factor))
            for i in images
        ]
    )


@pytest.mark.parametrize(
    ("key", "kind", "tolerance"),
    [
        ("brightness", "Brightness", 1),  # Pillow cuts the fraction off
        ("contrast", "Contrast", 1.5),  # and rounds the mean grey first
        ("saturation", "Color", 1.5),  # and each pixel's grey
    ],
)
def test_colors_are_pillows(colors: np.ndarray, key: str, kind: str, tolerance: float) -> None:
    found = apply(Color(nothing()), colors, *color_parameters(**{key: 0.5}))
    np.testing.assert_allclose(found, enhanced(colors, kind, 1.5), atol=tolerance)


def test_a_hue_turns_the_chroma_and_leaves_the_grey(images: np.ndarray) -> None:
    found = apply(Color(nothing()), images, *color_parameters(hue=0.25))
    # A rounded matrix of the standard gives the grey to 1e-4 of 255.
    np.testing.assert_allclose(found @ GREY, images @ GREY, atol=0.03)
    back = apply(Color(nothing()), found, *color_parameters(hue=0.25))
    # A half turn: every chroma is its opposite.
    np.testing.assert_allclose(
        back - (images @ GREY)[..., None], (images @ GREY)[..., None] - images, atol=0.1
    )


def test_brightness_multiplies(images: np.ndarray) -> None:
    factors = run(images, brightness=0.2) / images
    assert np.ptp(factors, axis=(1, 2, 3)).max() < 1e-4, "one factor for a photo"
    assert factors.min() >= 0.8
    assert factors.max() <= 1.2
    assert np.ptp(factors) > 0.2


def test_contrast_keeps_the_mean_grey(images: np.ndarray) -> None:
    found = run(images, contrast=0.2)
    np.testing.assert_allclose(
        (found @ GREY).mean(axis=(1, 2)), (images @ GREY).mean(axis=(1, 2)), atol=0.02
    )
    spread = (found @ GREY).std(axis=(1, 2)) / (images @ GREY).std(axis=(1, 2))
    assert spread.min() >= 0.8 - 1e-3
    assert spread.max() <= 1.2 + 1e-3


def test_saturation_and_hue_leave_grey_photos_alone() -> None:
    grey = np.repeat(np.random.RandomState(0).randint(0, 256, (8, 9, 9, 1)), 3, axis=3)
    found = run(grey.astype(np.uint8), saturation=0.5, hue=0.5)
    # Rows of the matrix add up to 1 to float32 rounding.
    np.testing.assert_allclose(found, grey, atol=1e-3)


# RandAugment


def test_posterize_and_solarize_are_pillows(colors: np.ndarray) -> None:
    for bits in (4, 5, 7):
        found = apply(Tones(), colors, 0, 256, 2 ** (8 - bits))
        expected = [np.asarray(ImageOps.posterize(Image.fromarray(i), bits)) for i in colors]
        np.testing.assert_array_equal(found, expected)
    for threshold in (128, 200):
        found = apply(Tones(), colors, 0, threshold, 0)
        expected = [np.asarray(ImageOps.solarize(Image.fromarray(i), threshold)) for i in colors]
        np.testing.assert_array_equal(found, expected)


def test_autocontrast_is_pillows(images: np.ndarray) -> None:
    found = apply(Tones(), images, 1, 256, 0)
    expected = [np.asarray(ImageOps.autocontrast(Image.fromarray(i))) for i in images]
    np.testing.assert_allclose(found, expected, atol=1)  # Pillow cuts the fraction off
    flat = np.full((2, 8, 8, 3), 7, np.uint8)
    np.testing.assert_array_equal(apply(Tones(), flat, 1, 256, 0), flat)


@pytest.mark.parametrize("factor", [0.2, 1.8])
def test_sharpness_is_pillows(colors: np.ndarray, factor: float) -> None:
    found = apply(Sharpness(), colors, factor - 1)
    # Pillow rounds the smooth version, then cuts the fraction off.
    np.testing.assert_allclose(found, enhanced(colors, "Sharpness", factor), atol=1.5)


def test_the_parameters_of_no_operation_change_no_pixel(colors: np.ndarray) -> None:
    np.testing.assert_array_equal(apply(Sharpness(), colors, 0), colors)
    np.testing.assert_array_equal(apply(Tones(), colors, 0, 256, 0), colors)
    np.testing.assert_array_equal(apply(Warp(nothing()), colors, 1, 0, 0, 0, 1, 0), colors)


def test_each_photo_gets_as_many_operations_as_asked_for() -> None:
    config, numbers = (
        nothing(randaugment_ops=3, randaugment_magnitude=5),
        Numbers((1,), np.arange(2600)),
    )
    strengths = draw_strengths(config, numbers)
    assert set(strengths) == set(OPERATIONS)
    used = np.stack([strengths[name] != 0 for name in OPERATIONS if name != "identity"], 1)
    assert set(used.sum(axis=1)) == {2, 3}, "identity is one of the operations"
    # 3 of 13: 600 of 2600, with a standard deviation of 21.
    assert np.abs(used.sum(axis=0) - 600).max() < 100
    for name, most in OPERATIONS.items():
        largest = most if name == "autocontrast" else most / 2
        assert np.abs(strengths[name]).max() <= largest
        assert np.abs(strengths[name]).max() >= 0.95 * largest
        two_sided = name not in ("posterize", "solarize", "autocontrast", "identity")
        assert (strengths[name].min() < 0) == two_sided


def test_operations_are_folded_into_warp_and_matrix() -> None:
    numbers = Numbers((1,), np.arange(1))
    strengths = {name: np.zeros(1) for name in OPERATIONS}
    plain = Warp(nothing()).draw(numbers, strengths)
    np.testing.assert_allclose(plain, [[1, 0, 0, 0, 1, 0]], atol=1e-15)
    moved = strengths | {"shear_x": np.array([0.3]), "translate_y": np.array([-0.2])}
    np.testing.assert_allclose(
        Warp(nothing()).draw(numbers, moved), [[1, 0.3, 0, 0, 1, -0.2]], atol=1e-15
    )
    turned = Warp(nothing()).draw(numbers, strengths | {"rotate": np.array([30.0])})
    np.testing.assert_allclose(turned[0, [0, 1]], [np.sqrt(3) / 2, -0.5], atol=1e-12)
    bright = Color(nothing()).draw(numbers, strengths | {"brightness": np.array([0.5])})
    np.testing.assert_allclose(bright[0], [*(1.5 * np.eye(3).ravel()), 0], atol=1e-9)


# Random erasing


@pytest.mark.parametrize("size", [(24, 20), (33, 57)])
def test_the_mean_of_a_mask_is_the_area_of_its_box(size: tuple[int, int]) -> None:
    import keras

    corners = np.sort(np.random.RandomState(0).uniform(0, 1, (50, 2, 2)), axis=1)
    box = corners.reshape(50, 4).astype(np.float32)
    mask = np.asarray(box_mask(keras.ops, keras.ops.array(box), *size))
    area = (box[:, 2] - box[:, 0]) * (box[:, 3] - box[:, 1])
    np.testing.assert_allclose(mask.mean(axis=(1, 2, 3)), area, atol=1e-6)
    assert mask.min() == 0
    assert mask.max() <= 1


def test_erased_boxes_have_the_area_and_ratio_asked_for() -> None:
    augmentation = Augmentation(nothing(erasing=0.4, erasing_area=(0.1, 0.5)))
    top, left, bottom, right = augmentation.draw(SEED, 0, 0, np.arange(2000))[:, :4].T
    erased = bottom > top
    # A share of 0.4 of 2,000 has a standard deviation of 0.011.
    assert erased.mean() == pytest.approx(0.4, abs=0.04)
    high, wide = (bottom - top)[erased], (right - left)[erased]
    assert (high * wide).min() >= 0.1 - 1e-6
    assert (high * wide).max() <= 0.5 + 1e-6
    assert np.quantile(high * wide, [0.1, 0.9]) == pytest.approx([0.14, 0.46], abs=0.03)
    assert (wide / high).min() >= 0.3 - 1e-5
    assert (wide / high).max() <= 3.3 + 1e-5
    assert min(top.min(), left.min()) >= 0
    assert max(bottom.max(), right.max()) <= 1 + 1e-6
    assert np.ptp(top[erased]) > 0.5


def test_a_box_may_be_the_whole_photo() -> None:
    flat = np.full((3, 8, 8, 3), 10, np.uint8)
    flat[:, :4] = 30
    found = run(flat, erasing=1, erasing_area=(1, 1), erasing_fill="mean")
    np.testing.assert_allclose(found, 20, atol=1e-4)


def test_only_the_box_is_erased_and_with_noise() -> None:
    import scipy.stats

    dark = np.zeros((8, 64, 64, 3), np.uint8)
    augmentation = Augmentation(nothing(erasing=1, erasing_area=(0.2, 0.3)))
    changes = augmentation.draw(SEED, 0, 0, np.arange(8))
    found = np.asarray(augmentation.layer()([dark, changes]))
    noises = []
    for photo, (top, left, bottom, right) in zip(found, changes[:, :4] * 64, strict=True):
        inside = photo[int(np.ceil(top)) : int(bottom), int(np.ceil(left)) : int(right)]
        assert scipy.stats.kstest(inside.ravel() / 255, "uniform").pvalue > 1e-4
        outside = photo.copy()
        outside[int(top) : int(np.ceil(bottom)), int(left) : int(np.ceil(right))] = 0
        assert not outside.any()
        noises.append(inside[:16, :16].ravel())
    for first, second in itertools.pairwise(noises):
        size = min(len(first), len(second))
        # 400 numbers and more: a correlation has a standard deviation of at most 0.05.
        assert abs(np.corrcoef(first[:size], second[:size])[0, 1]) < 0.2


# MixUp and CutMix


@pytest.mark.parametrize("ranges", [{"mixup": 0.4}, {"cutmix": 1.0}, {"mixup": 0.4, "cutmix": 1.0}])
@pytest.mark.parametrize("groups", [1, 4])
def test_labels_have_the_share_of_the_pixels(ranges: dict[str, float], groups: int) -> None:
    """Photo i is i all over and has the label i: the mean of a photo tells its labels."""
    count = 64
    flat = np.broadcast_to(
        np.arange(count, dtype=np.uint8)[:, None, None, None], (count, 33, 57, 3)
    )
    augmentation = Augmentation(nothing(**ranges))
    changes = augmentation.draw(SEED, 0, 0, np.arange(count), groups)
    targets = augmentation.targets(np.eye(count, dtype=np.float32), changes, groups)
    np.testing.assert_allclose(targets.sum(axis=1), 1, atol=1e-6)
    assert (np.count_nonzero(targets, axis=1) <= 2).all()
    layer, size = augmentation.layer(), count // groups
    for start in range(0, count, size):  # as each replica calls it
        rows = slice(start, start + size)
        seen = np.asarray(layer([flat[rows], changes[rows]])).mean(axis=(1, 2, 3))
        np.testing.assert_allclose(seen, targets[rows] @ np.arange(count), atol=1e-3)
        others = np.delete(targets[rows], np.arange(start, start + size), axis=1)
        assert not others.any(), "partners stay within the group"


def test_partners_are_a_shuffle_without_the_photo_itself() -> None:
    partners = draw_partners((1, 2, 3), 48, 3).reshape(3, 16)
    np.testing.assert_array_equal(np.sort(partners), np.tile(np.arange(16), (3, 1)))
    assert (partners != np.arange(16)).all()
    assert (partners[0] != partners[1]).any()
    np.testing.assert_array_equal(draw_partners((1,), 3, 3), 0)


def test_shares_are_beta_distributed() -> None:
    from scipy import stats

    mixup = Augmentation(nothing(mixup=0.4)).draw(SEED, 0, 0, np.arange(4000))
    assert stats.kstest(partner_shares(mixup), stats.beta(0.4, 0.4).cdf).pvalue > 1e-3
    both = Augmentation(nothing(mixup=1, cutmix=1)).draw(SEED, 0, 0, np.arange(4000))
    boxed = both[:, 1] == 0
    # 4,000 throws of a coin: 2,000 with a standard deviation of 32.
    assert abs(boxed.sum() - 2000) < 130
    box = both[boxed, 2:]
    # A box that no edge cuts has the sides sqrt(1 - lambda) and lambda even: the share is even.
    inner = (box > 0).all(axis=1) & (box < 1).all(axis=1)
    sides = box[inner, 2:] - box[inner, :2]
    np.testing.assert_allclose(sides[:, 0], sides[:, 1], atol=1e-6)
    assert (box[~inner, 2:] >= box[~inner, :2]).all()


def test_a_box_at_the_border_shrinks_with_its_label() -> None:
    changes = Augmentation(nothing(cutmix=1)).draw(SEED, 0, 0, np.arange(500))
    height, width = changes[:, 4] - changes[:, 2], changes[:, 5] - changes[:, 3]
    cut = np.abs(height - width) > 1e-6
    assert cut.mean() > 0.3, "boxes around the edge are cut off"
    np.testing.assert_allclose(partner_shares(changes), height * width, atol=1e-7)


# Backends and precision


def test_a_mixed_policy_changes_nothing(colors: np.ndarray) -> None:
    import keras

    augmentation = Augmentation(AugmentConfig(level="heavy", cutmix=1))
    changes = augmentation.draw(SEED, 0, 0, np.arange(4))
    expected = np.asarray(augmentation.layer()([colors, changes]))
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        found = np.asarray(augmentation.layer()([colors, changes]))
    finally:
        keras.config.set_dtype_policy(policy)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, expected)


_SCRIPT = """
import sys, numpy as np, keras
from trainer.augmentation.augment import Augmentation
from trainer.config.schema import AugmentConfig
from trainer.data.dataset import index_dataset
assert "tensorflow" not in sys.modules and keras.backend.backend() == "jax"
colors = np.load(sys.argv[1])
augmentation = Augmentation(AugmentConfig(level="heavy", erasing=1, mixup=1, cutmix=1))
changes = augmentation.draw(3, 0, 0, np.arange(len(colors)))
import jax
layer = augmentation.layer()
np.save(sys.argv[2], jax.jit(lambda x, p: layer([x, p]))(colors, changes))
"""


def test_jax_gives_the_same(colors: np.ndarray, tmp_path: Path) -> None:
    """In graph mode, without TensorFlow."""
    pytest.importorskip("jax")
    many = np.concatenate([colors] * 4)
    np.save(tmp_path / "in.npy", many)
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT, str(tmp_path / "in.npy"), str(tmp_path / "out.npy")],
        capture_output=True,
        text=True,
        env=os.environ | {"KERAS_BACKEND": "jax"},
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stderr
    augmentation = Augmentation(AugmentConfig(level="heavy", erasing=1, mixup=1, cutmix=1))
    changes = augmentation.draw(3, 0, 0, np.arange(len(many)))
    expected = np.asarray(augmentation.layer()([many, changes]))
    differences = np.abs(np.load(tmp_path / "out.npy") - expected)
    # float32 places in noise; the steps of Posterize and Solarize show it in a few pixels.
    assert np.quantile(differences, 0.995) < 0.05


# edge-train augment-preview


def preview(*arguments: object) -> tuple[int, str, str]:
    from trainer.cli import cli

    options = ["augment-preview", *map(str, arguments), "--set", "image.size=32"]
    result = CliRunner().invoke(cli, options)
    return result.exit_code, result.stdout, result.stderr


def test_preview(photo_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out" / "grid.png"
    options = (photo_folder, "--out", out, "--count", 4, "--views", 3, "--json")
    mixed = ("--level", "heavy", "--set", "augment.mixup=1")
    code, stdout, stderr = preview(*options, *mixed)
    assert code == 0, stderr
    found = json.loads(stdout)
    assert found["augment"]["randaugment_ops"] == 2
    assert [photo["label"] for photo in found["photos"]] == [
        "blue dots", "green", "red stripes", "blue dots",
    ]  # fmt: skip
    for photo in found["photos"]:
        assert len(photo["views"]) == 3
        assert all(sum(view.values()) == pytest.approx(1, abs=1e-3) for view in photo["views"])
    with Image.open(out) as picture:
        # 32 pixels are shown fourfold; gaps of 8 pixels.
        assert picture.width == 8 + 4 * (128 + 8)
    first = out.read_bytes()
    assert preview(*options, *mixed)[0] == 2, "the file is there"
    assert preview(*options, *mixed, "--overwrite")[0] == 0
    assert out.read_bytes() == first
    assert preview(*options, "--overwrite", "--seed", 1)[0] == 0
    assert out.read_bytes() != first


def test_preview_shows_the_photos_as_preprocessed_and_level_none_leaves_them(
    photo_folder: Path, tmp_path: Path
) -> None:
    from edge_runtime.manifest import PreprocessSpec
    from edge_runtime.preprocess import preprocess

    out = tmp_path / "grid.png"
    code, stdout, stderr = preview(
        photo_folder, "--out", out, "--count", 1, "--views", 1, "--level", "none", "--json"
    )
    assert code == 0, stderr
    pixels = preprocess(json.loads(stdout)["photos"][0]["path"], PreprocessSpec(32, 32))
    sheet = np.asarray(Image.open(out).convert("RGB"))
    top = 3 * 16 + 8
    for left in (8, 8 + 128 + 8):
        np.testing.assert_array_equal(sheet[top : top + 128 : 4, left : left + 128 : 4], pixels)


def test_preview_chooses_from_the_photos_that_fit_would_train_on(
    photo_folder: Path, tmp_path: Path
) -> None:
    """Groups of photo_00x.jpg and photo_00x.png change the split."""
    key = "data.group_by='_00([0-4])|_00([5-9])'"
    options = ("--out", tmp_path / "grid.png", "--count", 200, "--views", 1, "--json")
    code, stdout, stderr = preview(photo_folder, *options, "--preset", "fast", "--set", key)
    assert code == 0, stderr
    shown = {photo["path"] for photo in json.loads(stdout)["photos"]}
    ratios, pattern = (0.8, 0.1, 0.1), "_00([0-4])|_00([5-9])"
    parts = [
        {sample.path for sample in index_dataset(photo_folder, ratios, 0, group_by).parts["train"]}
        for group_by in (pattern, None)
    ]
    assert shown == parts[0] != parts[1]


def test_preview_passes_over_what_cannot_be_read(photo_folder: Path, tmp_path: Path) -> None:
    for file in sorted((photo_folder / "green").iterdir())[1:]:
        file.write_bytes(b"no photo")
    options = ("--out", tmp_path / "grid.png", "--count", 30, "--views", 1, "--json")
    code, stdout, stderr = preview(photo_folder, *options, "--set", "data.ratios=[0.9, 0.1, 0]")
    assert code == 0, stderr
    labels = [photo["label"] for photo in json.loads(stdout)["photos"]]
    assert labels.count("green") <= 1
    assert labels.count("blue dots") == 9


def test_only_a_png_is_written(photo_folder: Path, tmp_path: Path) -> None:
    code, _, stderr = preview(photo_folder, "--out", tmp_path / "grid.jpg")
    assert code == 2
    assert "a name that ends in .png" in stderr
    assert not (tmp_path / "grid.jpg").exists()
