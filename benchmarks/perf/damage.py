"""Ways in which photos are damaged in real life, for a set of photos that has all of them.

:func:`damage_set` damages a share of a split data set and copies another share across its parts;
``damaged_set.py`` and the tests of ``edge-train check`` look whether each is found.
"""

from __future__ import annotations

import io
import math
import os
import random
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from edge_runtime.files import find_photos

_HTML = b"""<!DOCTYPE html>\n<html><head><title>404 Not Found</title></head>
<body><h1>Not Found</h1><p>The photo that you asked for is gone.</p></body></html>\n"""


@dataclass(frozen=True)
class Damage:
    """One thing that was done.

    Attributes:
        path: The file that was made, which may have another extension than the photo.
        way: What was done, in words.
        kinds: Findings of ``edge-train check`` of which one must name the file.
        source: The photo that it is a copy of; None for a damaged one.
    """

    path: str
    way: str
    kinds: tuple[str, ...]
    source: str | None = None


@dataclass(frozen=True)
class Way:
    """A sort of damage: from the photo (and its JPEG bytes) to what the file holds then."""

    name: str
    kinds: tuple[str, ...]
    extension: str
    make: Callable[[Image.Image, bytes, random.Random], bytes]


def _saved(image: Image.Image, fmt: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, fmt, **options)
    return stream.getvalue()


def _flipped(data: bytes, place: int, mask: int) -> bytes:
    return data[:place] + bytes([data[place] ^ mask]) + data[place + 1 :]


def _idat(png: bytes) -> tuple[int, int]:
    """Where the data of the first IDAT chunk begins, and its length."""
    start = png.index(b"IDAT") + 4
    return start, struct.unpack(">I", png[start - 8 : start - 4])[0]


def _wrong_crc(image: Image.Image, _: bytes, chance: random.Random) -> bytes:
    png = _saved(image, "PNG")
    start, length = _idat(png)
    return _flipped(png, start + length + chance.randrange(4), 1 << chance.randrange(8))


def _flip_in_png(image: Image.Image, _: bytes, chance: random.Random) -> bytes:
    png = _saved(image, "PNG")
    start, length = _idat(png)
    return _flipped(png, start + chance.randrange(2, length), 1 << chance.randrange(8))


def _animated(image: Image.Image, _: bytes, __: random.Random) -> bytes:
    dark = image.point(lambda value: value // 2)
    return _saved(image, "GIF", save_all=True, append_images=[dark], duration=100)


def _pages(image: Image.Image, _: bytes, __: random.Random) -> bytes:
    return _saved(image, "TIFF", save_all=True, append_images=[image.convert("L")])


def _twelve_bits(image: Image.Image, _: bytes, __: random.Random) -> bytes:
    samples = np.asarray(image.convert("L")).astype(np.uint16) << 4
    return _saved(Image.fromarray(samples), "PNG")


def _floats(image: Image.Image, _: bytes, __: random.Random) -> bytes:
    return _saved(Image.fromarray(np.asarray(image.convert("L")).astype(np.float32)), "TIFF")


#: Every way. Those that leave the photo readable are a warning, not an error.
WAYS = (
    Way("cut off in the middle", ("unreadable",), ".jpg", lambda _, d, __: d[: len(d) // 2]),
    Way("cut off by two bytes", ("unreadable",), ".jpg", lambda _, d, __: d[:-2]),
    Way("cut off in the header", ("unreadable",), ".jpg", lambda _, d, c: d[: c.randrange(4, 300)]),
    Way("zeros from the middle on", ("unreadable",), ".jpg",
        lambda _, d, __: d[: len(d) // 2].ljust(len(d), b"\0")),
    Way("zeros only", ("unreadable",), ".jpg", lambda _, d, __: bytes(len(d))),
    Way("empty", ("unreadable",), ".jpg", lambda _, __, ___: b""),
    Way("an HTML page", ("unreadable",), ".jpg", lambda _, __, ___: _HTML),
    Way("text", ("unreadable",), ".jpg", lambda _, __, ___: b"photo to follow\n"),
    Way("a bit of the header flipped", ("unreadable",), ".jpg",
        lambda _, d, c: _flipped(d, c.randrange(3), 1 << c.randrange(8))),
    Way("a bit of a PNG flipped", ("unreadable", "bad-checksum"), ".png", _flip_in_png),
    Way("wrong CRC in a PNG", ("bad-checksum",), ".png", _wrong_crc),
    Way("JPEG named .png", ("wrong-extension",), ".png", lambda _, d, __: d),
    Way("JPEG named .jfif", ("unsearched-photo",), ".jfif", lambda _, d, __: d),
    Way("animated GIF", ("animated",), ".gif", _animated),
    Way("TIFF of two pages", ("animated",), ".tif", _pages),
    Way("12 bits in 16-bit samples", ("blank",), ".png", _twelve_bits),
    Way("32-bit float TIFF", ("unreadable",), ".tif", _floats),
)  # fmt: skip


def damage_set(folder: str | os.PathLike[str], share: float = 0.05, seed: int = 0) -> list[Damage]:
    """Damage a share of a split data set's photos in all ways, and copy as many across its parts.

    Args:
        folder: ``train/ val/ test/`` of class folders; changed in place.
        share: Of the photos of each part that are damaged, and of all that are copied.
        seed: Which photos, and how exactly.

    Returns:
        What was done. No photo is both damaged and copied.
    """
    chance = random.Random(seed)  # noqa: S311 - not for secrets
    root = Path(folder)
    photos = {part: find_photos(root / part) for part in ("train", "val", "test")}
    done: list[Damage] = []
    whole: list[str] = []
    ways = list(WAYS)
    for part in photos.values():
        chance.shuffle(part)
        # Rounded down: fit refuses a part of which more than 5 % cannot be read.
        count = math.floor(len(part) * share)
        whole += part[count:]
        for path in part[:count]:
            way = ways[len(done) % len(ways)]
            done.append(_damage(Path(path), way, chance))
    chance.shuffle(whole)
    for path in whole[: round(share * sum(map(len, photos.values())))]:
        done.append(_copy_across(root, Path(path), chance))
    return done


def _damage(path: Path, way: Way, chance: random.Random) -> Damage:
    data = path.read_bytes()
    with Image.open(io.BytesIO(data)) as opened:
        image = opened.convert("RGB")
        jpeg = data if opened.format == "JPEG" else _saved(image, "JPEG")
    target = path.with_name(f"{path.stem}_damaged{way.extension}")
    made = way.make(image, jpeg, chance)
    path.unlink()
    target.write_bytes(made)
    return Damage(str(target), way.name, way.kinds)


def _copy_across(root: Path, path: Path, chance: random.Random) -> Damage:
    part, *below = path.relative_to(root).parts
    other = chance.choice([name for name in ("train", "val", "test") if name != part])
    target = root.joinpath(other, *below[:-1], f"copy_of_{part}_{path.name}")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(path.read_bytes())
    return Damage(str(target), "copied across parts", ("leakage",), str(path))
