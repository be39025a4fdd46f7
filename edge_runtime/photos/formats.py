"""Which picture formats are read, told apart by content: a name may say anything.

Only the decoder of the format at hand is imported, which a start on a small board feels, and a
picture's size is known and checked before a pixel of it is allocated.
"""

from __future__ import annotations

import importlib
import io
from typing import Any

from PIL import Image

from ..errors import ImageError
from .file import check_pixels

#: Pillow's name of a format, how such a file begins, and Pillow's module and class of it. Neither
#: a script (EPS) nor a video container is among them.
_PLUGINS: tuple[tuple[str, tuple[bytes, ...], str, str], ...] = (
    # The class reads an MPO's first picture, the photo itself, as the JPEG that it is.
    ("JPEG", (b"\xff\xd8\xff",), "JpegImagePlugin", "JpegImageFile"),
    ("PNG", (b"\x89PNG\r\n\x1a\n",), "PngImagePlugin", "PngImageFile"),
    ("BMP", (b"BM",), "BmpImagePlugin", "BmpImageFile"),
    ("GIF", (b"GIF87a", b"GIF89a"), "GifImagePlugin", "GifImageFile"),
    ("PPM", (b"P1", b"P2", b"P3", b"P4", b"P5", b"P6", b"Pf", b"PF"), "PpmImagePlugin",
     "PpmImageFile"),
    ("TIFF", (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"), "TiffImagePlugin", "TiffImageFile"),
)  # fmt: skip

#: Brands of ISO/IEC 23008-12 files that hold a HEIC still picture or a sequence of them.
_HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
_AVIF_BRANDS = {b"avif", b"avis"}

#: Names for messages.
NAMES = ("JPEG", "PNG", "BMP", "GIF", "PPM", "TIFF", "WEBP", "AVIF", "HEIC")

#: What a file may hold by its extension, in Pillow's names.
EXTENSION_FORMATS = {
    ".avif": {"AVIF"},
    ".bmp": {"BMP"},
    ".gif": {"GIF"},
    ".heic": {"HEIF"},
    ".heif": {"HEIF"},
    ".jpeg": {"JPEG", "MPO"},
    ".jpg": {"JPEG", "MPO"},
    ".png": {"PNG"},
    ".tif": {"TIFF"},
    ".tiff": {"TIFF"},
    ".webp": {"WEBP"},
}

#: Bytes in which a WebP says its size; it is looked at first, as libwebp allocates the canvas when
#: the file is opened.
_WEBP_BYTES = 30


def open_photo(content: bytes | bytearray | memoryview) -> Image.Image:
    """The first picture of an image file, opened and not decoded yet.

    Args:
        content: The file.

    Raises:
        ImageError: It is empty, in no known format, or its decoder is not installed.
        Exception: Whatever Pillow's decoder raises for a damaged header.
    """
    head = bytes(content[:256])
    if not head:
        raise ImageError("an empty file. Remove it.")
    stream = io.BytesIO(content)
    for _, beginnings, module, name in _PLUGINS:
        if head.startswith(beginnings):
            image: Image.Image = getattr(importlib.import_module(f"PIL.{module}"), name)(stream)
            return image
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        check_pixels(*_webp_canvas(head))
        from PIL.WebPImagePlugin import WebPImageFile

        return WebPImageFile(stream)
    brands = _brands(head)
    if brands & _AVIF_BRANDS:
        return _open_avif(stream)
    if brands & _HEIC_BRANDS:
        return _open_heic(stream)
    raise ImageError(
        f"not an image in a known format ({', '.join(NAMES)}). Remove it or convert it."
    )


def _brands(head: bytes) -> set[bytes]:
    """Major and compatible brands of the ``ftyp`` box (ISO/IEC 14496-12, 4.3)."""
    if head[4:8] != b"ftyp":
        return set()
    end = min(int.from_bytes(head[:4], "big"), len(head))
    return {head[8:12], *(head[place : place + 4] for place in range(16, end - 3, 4))}


def _webp_canvas(head: bytes) -> tuple[int, int]:
    """Canvas size in pixels by the first chunk (RFC 9649); (0, 0) if it is cut off."""
    if len(head) < _WEBP_BYTES:
        return 0, 0
    chunk = head[12:16]
    if chunk == b"VP8X":
        width, height = head[24:27], head[27:30]
        return int.from_bytes(width, "little") + 1, int.from_bytes(height, "little") + 1
    if chunk == b"VP8L":
        bits = int.from_bytes(head[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    width, height = head[26:28], head[28:30]
    return int.from_bytes(width, "little") & 0x3FFF, int.from_bytes(height, "little") & 0x3FFF


def _open_avif(stream: io.BytesIO) -> Image.Image:
    try:
        from PIL import AvifImagePlugin
    except ImportError as error:
        raise ImageError(
            "AVIF pictures need Pillow 11.3 or newer: pip install -U pillow. Or convert it."
        ) from error
    if not AvifImagePlugin.SUPPORTED:
        raise ImageError("this Pillow was built without AVIF. Reinstall it, or convert the photo.")
    return AvifImagePlugin.AvifImageFile(stream)


def _open_heic(stream: io.BytesIO) -> Image.Image:
    try:
        import pillow_heif
    except ImportError as error:
        raise ImageError(
            "HEIC pictures need pillow-heif, which is not installed: "
            "pip install 'edge-classify[heic]'. Or convert it to JPEG."
        ) from error
    opener: Any = pillow_heif.HeifImageFile
    image: Image.Image = opener(stream)
    return image
