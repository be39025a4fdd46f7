"""The run's photos: the same bytes as when it was trained, or none."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edge_runtime.errors import DataError
from edge_runtime.files import sha256_file
from edge_runtime.manifest import PreprocessSpec
from edge_runtime.preprocess import preprocess
from edge_runtime.rundir import SplitRow
from exporter.photos import load_photos

SPEC = PreprocessSpec(8, 6)


def photo(path: Path, color: tuple[int, int, int] = (10, 20, 30)) -> SplitRow:
    Image.new("RGB", (20, 20), color).save(path)
    return SplitRow(str(path), sha256_file(path), "x", "val")


@pytest.mark.parametrize("stored", [True, False])
def test_pixels_are_the_runtimes_own(tmp_path: Path, stored: bool) -> None:
    rows = [photo(tmp_path / "a.png"), photo(tmp_path / "b.jpg", (200, 0, 100))]
    store = tmp_path / "pixels.npy" if stored else None
    photos = load_photos(rows, SPEC, store)
    expected = np.stack([preprocess(row.path, SPEC) for row in rows])
    assert np.array_equal(photos.pixels, expected)
    assert photos.rows == rows
    if store:
        assert np.array_equal(np.load(store), expected)


def test_missing_photo(tmp_path: Path) -> None:
    row = photo(tmp_path / "a.png")
    Path(row.path).unlink()
    with pytest.raises(DataError, match=r"a\.png: No such file.*Put the photos back"):
        load_photos([row], SPEC)


def test_changed_photo(tmp_path: Path) -> None:
    row = photo(tmp_path / "a.png")
    photo(tmp_path / "a.png", (9, 9, 9))
    with pytest.raises(DataError, match=r"a\.png: not the file that the run was made from"):
        load_photos([row], SPEC)


def test_unreadable_photo_is_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Its bytes are those of the training, which could not read them either."""
    bad = tmp_path / "bad.jpg"
    bad.write_text("no photo")
    rows = [SplitRow(str(bad), sha256_file(bad), "x", "val"), photo(tmp_path / "a.png")]
    with caplog.at_level(logging.WARNING, "exporter"):
        photos = load_photos(rows, SPEC, tmp_path / "pixels.npy")
    assert photos.rows == rows[1:]
    assert len(photos.pixels) == 1
    assert "bad.jpg: left out" in caplog.text
    with pytest.raises(DataError, match="None of 1 photos"):
        load_photos(rows[:1], SPEC)
