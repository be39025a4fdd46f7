"""The time in a picture survives what a camera does to it, and nothing else is taken for one."""

from __future__ import annotations

import io
import time

import numpy as np
import pytest
from PIL import Image

from benchmarks.perf import stream_stamp
from benchmarks.perf.stream_stamp import MIN_WIDTH, age_of, stamp


@pytest.mark.parametrize("quality", [95, 50, 20])
def test_the_time_survives_jpeg(quality: int) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (64, MIN_WIDTH + 40, 3), np.uint8)
    before = time.monotonic()
    stamp(picture)
    after = time.monotonic()
    content = io.BytesIO()
    Image.fromarray(picture).save(content, "JPEG", quality=quality)
    decoded = np.asarray(Image.open(content))
    age = age_of(decoded, after + 0.25)
    assert age is not None
    assert 249 <= age <= 252 + (after - before) * 1000  # whole milliseconds at both ends


def test_it_goes_on_when_its_bits_are_used_up(monkeypatch: pytest.MonkeyPatch) -> None:
    picture = np.zeros((16, MIN_WIDTH, 3), np.uint8)
    monkeypatch.setattr(stream_stamp, "now", lambda: (1 << 24) - 100)
    stamp(picture)
    assert age_of(picture, 0.1) == pytest.approx(200)
    assert age_of(picture, ((1 << 24) - 150) / 1000) == pytest.approx(-50)


def test_pictures_without_a_time() -> None:
    for level in (0, 255, 128):
        assert age_of(np.full((16, MIN_WIDTH, 3), level, np.uint8), 1.0) is None
