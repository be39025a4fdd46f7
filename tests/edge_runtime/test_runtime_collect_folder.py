"""The folder of collected frames: whole files, an index that agrees, and nothing ever replaced."""

from __future__ import annotations

import errno
import json
import logging
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from collecting import answered, jpeg, scene
from PIL import Image

from edge_runtime.errors import SystemFailure, UsageError
from edge_runtime.sources.base import BadFrame
from edge_runtime.stream.collect import store as module
from edge_runtime.stream.collect.fingerprint import SAME, fingerprint
from edge_runtime.stream.collect.store import INDEX, Store
from edge_runtime.stream.results import FrameResult

ROOM = 1e9


def save(store: Store, result: FrameResult, found: np.ndarray | None = None) -> str | None:
    found = fingerprint(scene(0)) if found is None else found
    return store.save(result, "red", "margin", found, {"reason": "margin"})


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / INDEX).read_text().splitlines()]


def photos(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.name != INDEX)


def test_a_frame_of_mjpeg_is_kept_byte_for_byte(tmp_path: Path) -> None:
    content = jpeg(scene(1))
    name = save(Store(str(tmp_path / "new" / "c"), ROOM), answered(content))
    assert name is not None
    assert (tmp_path / "new" / "c" / name).read_bytes() == content
    (line,) = lines(tmp_path / "new" / "c")
    assert line["file"] == name
    assert name.startswith("red/2")
    assert name.endswith("Z_margin.jpg")


def test_a_png_is_kept_as_it_came(tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    Image.fromarray(scene(1)).save(file)
    name = save(Store(str(tmp_path / "c"), ROOM), answered(file.read_bytes()))
    assert name is not None
    assert name.endswith(".png")
    assert (tmp_path / "c" / name).read_bytes() == file.read_bytes()


def test_pixels_become_a_jpeg_of_quality_95(tmp_path: Path) -> None:
    name = save(Store(str(tmp_path), ROOM), answered(scene(1)))
    assert name is not None
    assert (tmp_path / name).read_bytes() == jpeg(scene(1), 95)


def test_of_a_region_the_part_that_was_looked_at_is_kept(tmp_path: Path) -> None:
    picture = scene(1)
    name = save(Store(str(tmp_path), ROOM), answered(jpeg(picture), roi=(0.5, 0.0, 1.0, 0.25)))
    assert name is not None
    with Image.open(tmp_path / name) as kept:
        assert kept.size == (48, 24)
        difference = np.asarray(kept).astype(int) - picture[:24, 48:]
    assert np.abs(difference).mean() < 8  # two JPEGs of sharp patches; another part is at 80


def test_two_frames_of_one_millisecond_get_two_names(tmp_path: Path) -> None:
    store, result = Store(str(tmp_path), ROOM), answered(jpeg(scene(1)))
    names = [save(store, result), save(store, result)]
    assert names[1] == str(names[0]).replace(".jpg", "-2.jpg")
    assert [line["file"] for line in lines(tmp_path)] == names


def test_a_damaged_frame_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(BadFrame):
        save(Store(str(tmp_path), ROOM), answered(b"GIF89a and then nothing"))
    assert photos(tmp_path) == []


def test_the_limit_of_size_stops_it_once_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = jpeg(scene(1))
    store = Store(str(tmp_path), 2.5 * len(content))
    monkeypatch.setattr(module, "_MEASURE_AGAIN", 0.0)
    names = [save(store, answered(content)) for _ in range(4)]
    assert [name is None for name in names] == [False, False, True, True]
    assert len(photos(tmp_path)) == len(lines(tmp_path)) == 2
    said = [r.message for r in caplog.records if r.levelno == logging.WARNING]
    assert len(said) == 1
    assert "--collect-max-mb" in said[0]
    os.unlink(tmp_path / str(names[0]))  # somebody sorted it away
    assert save(store, answered(content)) is not None


def test_a_full_store_is_quiet_for_a_while(tmp_path: Path) -> None:
    store = Store(str(tmp_path), 10)
    assert not store.full
    assert save(store, answered(jpeg(scene(1)))) is None
    assert store.full


def test_what_is_there_counts(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "photo.jpg").write_bytes(b"x" * 5000)
    content = jpeg(scene(1))
    assert save(Store(str(tmp_path), 5000 + len(content) - 1), answered(content)) is None
    assert save(Store(str(tmp_path), 5000 + len(content)), answered(content)) is not None


def test_what_an_earlier_run_kept_is_remembered(tmp_path: Path) -> None:
    save(Store(str(tmp_path), ROOM), answered(jpeg(scene(1))), fingerprint(scene(1)))
    again = Store(str(tmp_path), ROOM)
    assert again.remembered.nearest(fingerprint(scene(1))) == 0
    assert again.remembered.nearest(fingerprint(scene(2))) > SAME


@pytest.mark.parametrize(
    "spoilt", [b'{"file": "red/a.jpg", "finger', b"\xff\xfe\n", b"[]\n", b'{"fingerprint": "zz"}\n']
)
def test_a_spoilt_index_is_read_past_and_written_on(tmp_path: Path, spoilt: bytes) -> None:
    save(Store(str(tmp_path), ROOM), answered(jpeg(scene(1))), fingerprint(scene(1)))
    with (tmp_path / INDEX).open("ab") as stream:
        stream.write(spoilt)
    store = Store(str(tmp_path), ROOM)
    assert store.remembered.nearest(fingerprint(scene(1))) == 0
    name = save(store, answered(jpeg(scene(2))))
    assert json.loads((tmp_path / INDEX).read_bytes().splitlines()[-1])["file"] == name


@pytest.mark.parametrize("refused", ["write", "fsync"])
def test_a_full_disk_leaves_neither_photo_nor_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: str
) -> None:
    """The index is written last: ``os.write`` is its own, ``os.fsync`` comes with the photo."""
    store = Store(str(tmp_path), ROOM)

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, refused, full)
        with pytest.raises(SystemFailure, match="No space"):
            save(store, answered(jpeg(scene(1))), fingerprint(scene(1)))
    assert photos(tmp_path) == []
    assert lines(tmp_path) == []
    assert store.remembered.nearest(fingerprint(scene(1))) > SAME
    assert save(store, answered(jpeg(scene(1)))) is not None  # there is room again
    assert len(photos(tmp_path)) == len(lines(tmp_path)) == 1


def test_half_a_line_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, write = Store(str(tmp_path), ROOM), os.write
    save(store, answered(jpeg(scene(1))))
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda handle, data: write(handle, data[:5]))
        with pytest.raises(SystemFailure, match="disk is full"):
            save(store, answered(jpeg(scene(2))))
    assert len(lines(tmp_path)) == len(photos(tmp_path)) == 1


def test_a_file_in_place_of_the_folder(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("mine")
    with pytest.raises(UsageError, match="is no folder"):
        Store(str(file), ROOM)
    assert file.read_text() == "mine"


def test_a_file_in_place_of_a_label_s_folder(tmp_path: Path) -> None:
    (tmp_path / "red").write_text("mine")
    with pytest.raises(UsageError, match="not a folder"):
        save(Store(str(tmp_path), ROOM), answered(jpeg(scene(1))))
    assert (tmp_path / "red").read_text() == "mine"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written_to(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(SystemFailure, match="permission"):
        Store(str(tmp_path / "c"), ROOM)
