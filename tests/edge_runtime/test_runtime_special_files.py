"""Files that are no photos, or change meanwhile, through the command line: 1, the others done."""

from __future__ import annotations

import json
import os
import resource
import shutil
import socket
import struct
import subprocess
import sys
import threading
import time
import zlib
from pathlib import Path

import pytest
from color_model import ColorModels, paint

from edge_runtime.errors import ImageError
from edge_runtime.preprocess import load_upright

RED = (255, 0, 0)

#: Seconds; the command itself takes under one, a blocked one would never end.
PATIENCE = 60


def classify(
    models: ColorModels, *paths: str | Path | bytes, **options: object
) -> tuple[int, list[dict[str, object]], str]:
    """Exit code, results, and what was said of `edge-classify image --json`."""
    done = run(models, "--json", *paths, **options)
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr


def run(
    models: ColorModels, *words: str | Path | bytes, **options: object
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "edge_runtime.cli", "image", "--model", models.tflite, *words]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=PATIENCE, check=False, **options
    )
    assert "Traceback" not in done.stderr
    return done


def others_done(result: tuple[int, list[dict[str, object]], str], said: str) -> None:
    """One of two photos failed, with a message."""
    code, results, _ = result
    assert code == 1
    labels = [found["label"] for found in results]
    assert sorted(labels, key=str) == [None, "red"]
    (error,) = [str(found["error"]) for found in results if found["error"]]
    assert said in error


@pytest.fixture
def red(tmp_path: Path) -> Path:
    return paint(tmp_path / "red.png", RED)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, extra: bytes = b"") -> bytes:
    """A PNG whose header says any size."""
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
        + extra
        + chunk(b"IDAT", zlib.compress(bytes(width * 3 + 1 if width < 1000 else 100)))
        + chunk(b"IEND", b"")
    )


def gif(width: int, height: int) -> bytes:
    return b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + bytes(6) + (
        b"," + struct.pack("<HHHHB", 0, 0, width, height, 0) + b"\2\2\x44\1\0;"
    )  # fmt: skip


def webp(width: int, height: int) -> bytes:
    canvas = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    body = b"WEBPVP8X" + struct.pack("<I", 10) + bytes(4) + canvas
    return b"RIFF" + struct.pack("<I", len(body)) + body


def tiff(width: int, height: int) -> bytes:
    tags = [(256, width), (257, height), (258, 8), (259, 1), (262, 1), (273, 8), (279, 100)]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4)


def write_odd(folder: Path) -> dict[str, str]:
    """Every odd file below a folder, and what is said of it."""
    zeros = zlib.compress(bytes(1 << 26))
    limit, packed = "more than the 100 megapixels", "too large"
    files = {
        "bomb.png": (png(60_000, 60_000), limit),
        "bomb.gif": (gif(60_000, 60_000), limit),
        "bomb.webp": (webp(16_000, 16_000), limit),
        "bomb.tif": (tiff(60_000, 60_000), limit),
        # A megabyte of packed zeros is a gigabyte: Pillow unpacks 1 MiB of it and refuses.
        "text.png": (png(4, 1, chunk(b"zTXt", b"Comment\0\0" + zeros)), packed),
        "profile.png": (png(4, 1, chunk(b"iCCP", b"profile\0\0" + zeros)), packed),
        "empty.jpg": (b"", "empty file"),
        "large.jpg": (b"", "4,096 MiB are more than the 256 MiB that are read"),
    }
    for name, (content, _) in files.items():
        (folder / name).write_bytes(content)
    os.truncate(folder / "large.jpg", 4 << 30)  # sparse
    os.mkfifo(folder / "fifo.jpg")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(folder / "socket.jpg"))
    (folder / "loop.jpg").symlink_to(folder / "loop.jpg")
    (folder / "gone.jpg").symlink_to(folder / "nowhere.jpg")
    (folder / "zero.jpg").symlink_to("/dev/zero")
    (folder / "null.jpg").symlink_to("/dev/null")
    no_file = dict.fromkeys(
        ("fifo.jpg", "socket.jpg", "zero.jpg", "null.jpg"), "not a regular file"
    )
    linked = {"loop.jpg": "symbolic links", "gone.jpg": "no such file"}
    return {name: said for name, (_, said) in files.items()} | no_file | linked


def test_what_is_no_photo(color_models: ColorModels, red: Path, tmp_path: Path) -> None:
    """None blocks, floods or is read into memory, and the photos before and after are done."""
    folder = tmp_path / "odd"
    folder.mkdir()
    expected = write_odd(folder)

    def limit() -> None:  # a quarter of the largest file
        resource.setrlimit(resource.RLIMIT_DATA, (1 << 30, 1 << 30))

    code, results, _ = classify(color_models, red, folder, red, preexec_fn=limit)
    assert code == 1
    assert [found["label"] for found in results] == ["red", *[None] * len(expected), "red"]
    errors = {os.path.basename(str(r["path"])): str(r["error"]) for r in results if r["error"]}
    assert {name for name, said in expected.items() if said not in errors[name]} == set()
    assert "EDGE_CLASSIFY_MAX_MEGAPIXELS" in errors["bomb.png"]
    assert "EDGE_CLASSIFY_MAX_FILE_MB" in errors["large.jpg"]


def test_the_limit_of_the_file_can_be_set(red: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGE_CLASSIFY_MAX_FILE_MB", "0.0001")
    with pytest.raises(ImageError, match=r"more than the 0\.0001 MiB"):
        load_upright(red)


def test_folders_that_link_to_themselves(
    color_models: ColorModels, red: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    shutil.copy(red, folder)
    (folder / "again").symlink_to(folder)
    (folder / "first").symlink_to(folder / "second")
    (folder / "second").symlink_to(folder / "first")
    code, results, _ = classify(color_models, folder)
    assert code == 0 and [found["label"] for found in results] == ["red"]


def test_names_of_any_bytes(color_models: ColorModels, tmp_path: Path) -> None:
    """A line feed, an escape sequence, and no UTF-8: surrogates in the JSON, escapes in the text."""
    names = [b"two\nlines.png", b"\x1b[31mcolour.png", b"latin-\xe9.png"]
    for name in names:
        paint(tmp_path / "photos" / os.fsdecode(name), RED)
        paint(tmp_path / "photos" / os.fsdecode(b"bad-" + name), RED).write_bytes(b"no photo")
    code, results, said = classify(color_models, tmp_path / "photos")
    assert code == 1 and len(results) == 2 * len(names)
    found = {os.fsencode(os.path.basename(str(r["path"]))) for r in results if not r["error"]}
    assert found == set(names)
    for failed in (str(r["error"]) for r in results if r["error"]):
        assert failed.isprintable(), "a message is one line"
    done = run(color_models, tmp_path / "photos")
    assert done.returncode == 1
    assert "\x1b" not in done.stdout + done.stderr + said


def test_photo_that_vanishes_between_listing_and_reading(
    color_models: ColorModels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from edge_runtime import Classifier

    photos = [paint(tmp_path / f"{n}.png", RED) for n in range(3)]

    def listed() -> object:
        for photo in photos:
            if photo.name == "1.png":
                photo.unlink()
            yield photo

    found = list(Classifier.open(color_models.tflite).classify_many(listed()))
    assert [one.label for one in found] == ["red", None, "red"]
    assert "no such file" in str(found[1].error)


@pytest.mark.parametrize("grows", [True, False])
def test_file_that_changes_size_meanwhile(
    color_models: ColorModels, red: Path, tmp_path: Path, grows: bool
) -> None:
    """What there was at the beginning is read: a growing file does not keep the command busy."""
    photo = paint(tmp_path / "changing.bmp", RED, (400, 300))
    whole, ended = photo.read_bytes(), threading.Event()

    def change() -> None:
        with open(photo, "r+b") as stream:
            while not ended.is_set():
                if grows:
                    stream.seek(0, os.SEEK_END)
                    stream.write(whole[:65536])
                    stream.flush()
                else:
                    stream.truncate(len(whole) - 1000)
                    stream.truncate(len(whole))
                time.sleep(0.001)

    thread = threading.Thread(target=change)
    thread.start()
    try:
        code, results, _ = classify(color_models, photo, red)
    finally:
        ended.set()
        thread.join()
    assert code in ((0,) if grows else (0, 1)) and results[1]["label"] == "red"
    assert results[0]["label"] == "red" or "cut off" in str(results[0]["error"])


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full on this system")
def test_output_that_takes_no_more(color_models: ColorModels, red: Path) -> None:
    command = [sys.executable, "-m", "edge_runtime.cli", "image", "--model", color_models.tflite]
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [*command, red], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 6 and "No space left" in done.stderr
    assert "Traceback" not in done.stderr


def test_full_disk(color_models: ColorModels, red: Path, tmp_path: Path) -> None:
    """A heat map on a disk without room: exit code 6, and nothing half-written."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("mounting a small disk needs root")
    try:
        (disk / "filler").write_bytes(bytes(60 << 10))
        command = [sys.executable, "-m", "edge_runtime.cli", "gradcam", "--model"]
        large = paint(tmp_path / "large.png", RED, (1000, 900))
        done = subprocess.run(
            [*command, color_models.tflite, large, "--out", disk / "why.png"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 6 and "No space left" in done.stderr
        assert [file.name for file in disk.iterdir()] == ["filler"]
    finally:
        subprocess.run(["umount", disk], check=True)


def test_permission_denied(color_models: ColorModels, tmp_path: Path) -> None:
    """As root the reader is somebody else, for whom everything else is readable."""
    denied, red = paint(tmp_path / "denied.png", RED), paint(tmp_path / "red.png", RED)
    denied.chmod(0)
    if os.geteuid():
        others_done(classify(color_models, denied, red), "permission denied")
        return
    pixels = (
        "import os, sys; from edge_runtime.errors import ImageError; "
        "from edge_runtime.preprocess import load_upright; import PIL.PngImagePlugin; "
        f"os.chdir({str(tmp_path)!r}); os.setuid(65534)\n"
        "try: load_upright('denied.png')\n"
        "except ImageError as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", pixels], capture_output=True, text=True, check=True
    )
    assert done.stdout == "denied.png: permission denied.\n"
