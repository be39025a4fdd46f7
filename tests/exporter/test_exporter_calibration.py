"""Which photos int8 is calibrated on."""

from __future__ import annotations

import logging
from collections import Counter

import numpy as np
import pytest

from edge_runtime.errors import DataError
from edge_runtime.rundir import SplitRow
from exporter.calibration import choose_photos, describe, warn_if_few
from exporter.formats.tflite import representative_dataset
from exporter.photos import Photos


def rows(**counts: int) -> list[SplitRow]:
    return [
        SplitRow(f"/photos/{label}/{number:03d}.jpg", "0" * 64, label, "train")
        for label, count in counts.items()
        for number in range(count)
    ]


def test_classes_take_turns() -> None:
    """30 of 100 + 100 + 4: the rare class gives all it has, the others share the rest."""
    chosen = choose_photos(rows(common=100, frequent=100, rare=4), 30, seed=0)
    assert Counter(row.label for row in chosen) == {"common": 13, "frequent": 13, "rare": 4}
    assert len({row.path for row in chosen}) == 30


def test_more_than_there_are_gives_all() -> None:
    assert len(choose_photos(rows(a=3, b=2), 200, seed=0)) == 5


def test_seed_decides() -> None:
    photos = rows(a=50, b=50)
    assert choose_photos(photos, 10, seed=1) == choose_photos(photos[::-1], 10, seed=1)
    assert choose_photos(photos, 10, seed=1) != choose_photos(photos, 10, seed=2)


def test_no_training_photo() -> None:
    with pytest.raises(DataError, match="no training photo"):
        choose_photos([], 10, seed=0)


@pytest.mark.parametrize(("count", "warned"), [(99, True), (100, False)])
def test_few_photos_are_warned_of(
    count: int, warned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "exporter"):
        warn_if_few(count, available=500)
    assert ("--calibration-photos" in caplog.text) is warned


def test_the_advice_is_one_that_can_be_followed(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "exporter"):
        warn_if_few(36, available=36)
    assert "36 photos" in caplog.text
    assert "no more training photos" in caplog.text
    assert "--calibration-photos" not in caplog.text


def test_representative_dataset_gives_raw_pixels() -> None:
    pixels = np.arange(2 * 4 * 4 * 3, dtype=np.uint8).reshape(2, 4, 4, 3)
    batches = [batch for (batch,) in representative_dataset(pixels)()]
    assert [batch.dtype for batch in batches] == [np.float32, np.float32]
    assert np.array_equal(np.concatenate(batches), pixels)


def test_representative_dataset_fills_its_last_batch() -> None:
    """Five photos in batches of two: a repeated photo changes no smallest and no largest value."""
    pixels = np.arange(5, dtype=np.uint8).reshape(5, 1, 1, 1)
    batches = [batch.ravel().tolist() for (batch,) in representative_dataset(pixels, 2)()]
    assert batches == [[0, 1], [2, 3], [4, 4]]


def test_description_names_no_folder_above_the_photos() -> None:
    drawn = rows(apple=1, pear=1)
    drawn.append(SplitRow("/photos/pear/b\udcff.jpg", "1" * 64, "pear", "train"))
    found = describe(Photos(drawn, np.zeros((3, 1, 1, 3), np.uint8)), seed=7)
    assert (found["part"], found["n"], found["seed"]) == ("train", 3, 7)
    assert [photo["file"] for photo in found["photos"]] == [
        "apple/000.jpg",
        "pear/000.jpg",
        "pear/b\\xff.jpg",  # a name that is not UTF-8
    ]
