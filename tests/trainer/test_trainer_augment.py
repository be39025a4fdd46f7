"""What the augmentation may change, and what it must leave alone."""

from __future__ import annotations

import numpy as np
import pytest

from trainer.augment import augmenter
from trainer.config import AugmentConfig

NOTHING = {
    "area": (1, 1), "ratio": (1, 1), "rotation": 0, "shift": 0, "flip": False,
    "brightness": 0, "contrast": 0, "saturation": 0, "hue": 0,
}  # fmt: skip
SEED = np.array([3, 4], np.int32)


def run(images: np.ndarray, seed: np.ndarray = SEED, **ranges: object) -> np.ndarray:
    return augmenter(AugmentConfig(**(NOTHING | ranges)))(images, seed).numpy()


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


def test_nothing_asked_for_nothing_changed(images: np.ndarray) -> None:
    found = run(images)
    assert found.dtype == np.float32
    # The colour matrix YIQ^-1 YIQ is the identity to float32 rounding of 255.
    np.testing.assert_allclose(found, images, atol=1e-3)


def test_the_seed_decides(images: np.ndarray) -> None:
    both = {"area": (0.5, 1), "rotation": 20, "brightness": 0.3, "hue": 0.1}
    np.testing.assert_array_equal(run(images, **both), run(images, **both))
    other = run(images, np.array([3, 5], np.int32), **both)
    assert (np.abs(run(images, **both) - other).max(axis=(1, 2, 3)) > 1).all()


def test_photos_of_a_batch_differ() -> None:
    same = np.repeat(np.random.RandomState(0).randint(0, 256, (1, 24, 24, 3)), 8, axis=0)
    found = run(same.astype(np.uint8), area=(0.5, 1))
    assert all((found[0] != found[i]).any() for i in range(1, 8))


def test_flip_mirrors_left_and_right_about_half_of_the_time(images: np.ndarray) -> None:
    many = np.concatenate([images] * 4)
    found = run(many, flip=True)
    plain = np.isclose(found, many, atol=1e-3).all(axis=(1, 2, 3))
    mirrored = np.isclose(found, many[:, :, ::-1], atol=1e-3).all(axis=(1, 2, 3))
    assert (plain ^ mirrored).all()
    assert 16 < mirrored.sum() < 48, "64 throws of a coin are within 4 standard deviations of 32"


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


def test_brightness_multiplies(images: np.ndarray) -> None:
    found = run(images, brightness=0.2)
    factors = found / images
    assert np.ptp(factors, axis=(1, 2, 3)).max() < 1e-4, "one factor for a photo"
    assert factors.min() >= 0.8
    assert factors.max() <= 1.2
    assert np.ptp(factors) > 0.2


def test_contrast_keeps_the_mean_grey(images: np.ndarray) -> None:
    grey = np.array([0.299, 0.587, 0.114])
    found = run(images, contrast=0.2)
    np.testing.assert_allclose(
        (found @ grey).mean(axis=(1, 2)), (images @ grey).mean(axis=(1, 2)), atol=0.02
    )
    spread = (found @ grey).std(axis=(1, 2)) / (images @ grey).std(axis=(1, 2))
    assert spread.min() >= 0.8 - 1e-3
    assert spread.max() <= 1.2 + 1e-3


def test_saturation_and_hue_leave_grey_photos_alone() -> None:
    grey = np.repeat(np.random.RandomState(0).randint(0, 256, (8, 9, 9, 1)), 3, axis=3)
    found = run(grey.astype(np.uint8), saturation=0.5, hue=0.5)
    # The rounded YIQ matrix gives grey a chroma of up to 0.001 of 255.
    np.testing.assert_allclose(found, grey, atol=0.6)


def test_no_saturation_makes_grey(images: np.ndarray) -> None:
    config = AugmentConfig(**(NOTHING | {"saturation": 1.0}))
    found = augmenter(config)(np.concatenate([images] * 8), SEED).numpy()
    spread = np.ptp(found, axis=3).mean(axis=(1, 2))
    assert spread.min() < 0.15 * spread.max(), "some photos nearly grey, some doubly coloured"


def test_values_stay_in_range() -> None:
    extremes = np.random.RandomState(0).choice([0, 255], (8, 16, 16, 3)).astype(np.uint8)
    found = run(extremes, brightness=1, contrast=1, saturation=1, hue=0.5, area=(0.1, 2))
    assert found.min() >= 0
    assert found.max() <= 255
    assert np.isfinite(found).all()
