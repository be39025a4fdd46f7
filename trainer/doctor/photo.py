"""One photo under the doctor's eyes: opened once, read once, decoded once."""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass

import numpy as np
from PIL import Image

from edge_runtime.errors import ImageError
from edge_runtime.photos.formats import EXTENSION_FORMATS, open_photo
from edge_runtime.preprocess import load_upright

from .content import HEAD, describe_content
from .near import perceptual_hash

#: What a photo is decoded for: ``fit`` asks for twice the network's 224 pixels. A JPEG is then
#: decoded at reduced scale, which reads all of its data nevertheless.
AT_LEAST = (448, 448)

#: A file larger than this is not read, bytes.
LARGEST_FILE = 1 << 30

#: Shorter side below which a photo is tiny, pixels.
TINY = 32

#: Longer side in shorter sides above which the square that ``fit`` cuts out shows a quarter of
#: the photo or less.
EXTREME_RATIO = 4

#: Largest difference of grey levels, of 255, within each colour of a photo that shows nothing.
BLANK_RANGE = 16


@dataclass(frozen=True)
class PhotoFacts:
    """What was learnt about a photo.

    Attributes:
        problem: Why it cannot be read, a sentence; empty if it can.
        digest: SHA-256 of the file, 32 bytes; empty if it could not be read at all.
        looks: Perceptual hash, 32 bytes; None for a small, blank or unreadable photo.
        remarks: Kind and message of what is odd about it.
    """

    problem: str = ""
    digest: bytes = b""
    looks: bytes | None = None
    remarks: tuple[tuple[str, str], ...] = ()


def inspect(path: str) -> PhotoFacts:
    """Read and decode a photo, as ``fit`` does, and look for oddities.

    Raises:
        MissingComponent: ImageHash is not installed.
    """
    try:
        data = _read(path)
    except ImageError as error:
        return PhotoFacts(problem=str(error))
    except OSError as error:
        return PhotoFacts(problem=f"{error.strerror or error}.")
    digest = hashlib.sha256(data).digest()
    try:
        image = load_upright(data, AT_LEAST)
    except ImageError as error:
        content = describe_content(data[:HEAD])
        problem = str(error).removeprefix("<bytes>: ")
        return PhotoFacts(f"holds {content}." if content else problem, digest)
    remarks = _remarks(path, data)
    blank = np.ptp(image.getextrema(), axis=-1).max() <= BLANK_RANGE
    if blank:
        remarks.append(("blank", _blank_message(data)))
    return PhotoFacts("", digest, None if blank else perceptual_hash(image), tuple(remarks))


def read_hash(path: str) -> bytes | None:
    """Perceptual hash of a photo; None if it has none or cannot be read.

    Raises:
        MissingComponent: ImageHash is not installed.
    """
    return inspect(path).looks


def _read(path: str) -> bytes:
    found = os.stat(path) if os.path.exists(path) else os.lstat(path)
    if stat.S_ISLNK(found.st_mode):
        raise ImageError("a link to nothing.")
    if not stat.S_ISREG(found.st_mode):  # to open a pipe would wait for ever
        raise ImageError("not a regular file.")
    if found.st_size > LARGEST_FILE:
        raise ImageError(f"{found.st_size / (1 << 30):.1f} GiB; no photo has that.")
    with open(path, "rb") as stream:
        return stream.read()


def _remarks(path: str, data: bytes) -> list[tuple[str, str]]:
    """Of a photo that can be decoded, from its header."""
    remarks: list[tuple[str, str]] = []
    with open_photo(data) as image:
        name, (width, height) = image.format or "", image.size
        expected = EXTENSION_FORMATS.get(os.path.splitext(path)[1].lower())
        if expected and name not in expected:
            remarks.append(("wrong-extension", f"holds a {name} picture."))
        frames = _frames(image)
        if frames > 1:
            remarks.append(("animated", f"{name} with {frames} pictures."))
    if name == "PNG" and not _png_is_sound(data):
        remarks.append(("bad-checksum", "a chunk of the PNG has a wrong checksum or is missing."))
    size = f"{width} x {height} pixels."
    if min(width, height) < TINY:
        remarks.append(("tiny", size))
    if max(width, height) > EXTREME_RATIO * min(width, height):
        remarks.append(("extreme-shape", size))
    limit = Image.MAX_IMAGE_PIXELS
    if limit is not None and width * height > limit:
        remarks.append(("huge", size))
    return remarks


def _frames(image: Image.Image) -> int:
    try:
        return getattr(image, "n_frames", 1)
    except Exception:  # the first picture is whole, a later one is not
        return 2


def _png_is_sound(data: bytes) -> bool:
    """Whether every chunk's CRC holds (PNG 1.2, 3.4), which decoding does not ask for."""
    try:
        with open_photo(data) as image:
            image.verify()
    except Exception:  # SyntaxError, struct.error, ...
        return False
    return True


def _blank_message(data: bytes) -> str:
    with open_photo(data) as image:
        if image.mode.startswith("I"):
            return "16-bit samples that use the lowest part of their range only; they turn black."
    return f"its colours differ by {BLANK_RANGE} of 255 levels at most."
