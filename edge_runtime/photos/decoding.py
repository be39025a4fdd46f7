"""From a path, bytes, a picture or an array to upright 8-bit RGB pixels.

Decoded by content; a large JPEG at reduced scale where the caller needs less (ITU-T T.81 lets a
decoder skip DCT coefficients; Pillow's ``draft``); turned by the EXIF orientation (Exif 2.32, tag
0x0112), which HEIC decoders have done already and then take away.
"""

from __future__ import annotations

import io
import logging
import math
import os
from typing import NamedTuple, Union

import numpy as np
from PIL import Image

from ..errors import ImageError, first_line
from .file import check_pixels, read_photo
from .formats import EXTENSION_FORMATS, open_photo

_log = logging.getLogger("edge_runtime")

#: What :func:`~edge_runtime.preprocess.preprocess` takes for a photo.
Photo = Union[str, "os.PathLike[str]", bytes, bytearray, memoryview, Image.Image, np.ndarray]

#: A region of interest: (left, top, right, bottom) of the upright photo, as fractions 0..1.
Roi = tuple[float, float, float, float]

#: A JPEG that is decoded at reduced scale may have this many times the pixels of other photos:
#: phones make 200 megapixels. More would take seconds.
_JPEG_TIMES = 4

#: Pixels up to which nobody asks in how many scans a JPEG comes.
_ANY_SCANS = 10_000_000

_ORIENTATION = 0x0112

#: What Pillow says of a picture that its colours depend on.
_COLOR_INFO = ("icc_profile", "transparency")

#: How to turn a picture upright, by the EXIF orientation; and the same as whether width and
#: height are swapped, then left and right, then top and bottom.
_TURNS = {
    2: (Image.Transpose.FLIP_LEFT_RIGHT, (False, True, False)),
    3: (Image.Transpose.ROTATE_180, (False, True, True)),
    4: (Image.Transpose.FLIP_TOP_BOTTOM, (False, False, True)),
    5: (Image.Transpose.TRANSPOSE, (True, False, False)),
    6: (Image.Transpose.ROTATE_270, (True, True, False)),
    7: (Image.Transpose.TRANSVERSE, (True, True, True)),
    8: (Image.Transpose.ROTATE_90, (True, False, True)),
}


class Decoded(NamedTuple):
    """An upright photo.

    Attributes:
        image: 8-bit RGB, perhaps at reduced scale.
        size: (width, height) at full scale, pixels.
        covered: (left, top, right, bottom) of the image that the full scale fills: at reduced
            scale the last column and row may be more than the photo has.
    """

    image: Image.Image
    size: tuple[int, int]
    covered: tuple[float, float, float, float]


def load_upright(photo: Photo, at_least: tuple[int, int] | None = None) -> Image.Image:
    """Decode a photo to 8-bit sRGB, turned by its EXIF orientation, not yet resized.

    Args:
        photo: As for :func:`~edge_runtime.preprocess.preprocess`.
        at_least: (width, height) in pixels that the caller needs; a JPEG file may then be decoded
            at reduced scale. None for full resolution.

    Raises:
        ImageError: The photo cannot be read; the message names it.
    """
    return decode(photo, at_least).image


def decode(
    photo: Photo, at_least: tuple[int, int] | None = None, roi: Roi | None = None
) -> Decoded:
    """:func:`load_upright`, with what a region needs to be found in the pixels.

    Args:
        photo: As for :func:`~edge_runtime.preprocess.preprocess`.
        at_least: (width, height) in pixels that are needed.
        roi: The part of the upright photo that they are needed of; None for all of it.

    Raises:
        ImageError: The photo cannot be read; the message names it.
    """
    name = shown(describe(photo))
    try:
        return _decode(photo, at_least, roi)
    except ImageError as error:
        raise ImageError(f"{name}: {error}") from error
    except MemoryError as error:
        raise ImageError(f"{name}: no memory left to decode it. Scale it down first.") from error
    except Exception as error:  # decoders raise anything: struct.error, SyntaxError, KeyError...
        raise ImageError(
            f"{name}: damaged or cut off ({shown(first_line(error))}). Replace or remove it."
        ) from error


def describe(photo: Photo) -> str:
    """How a result calls a photo: its path, or what kind of object it is."""
    if isinstance(photo, (str, os.PathLike)):
        return os.fspath(photo)
    return f"<{type(photo).__name__}>"


def shown(text: str) -> str:
    """A text for a message of one line: what cannot be printed, such as a line feed, escaped."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _decode(photo: Photo, at_least: tuple[int, int] | None, roi: Roi | None) -> Decoded:
    image, ours = _open(photo)
    width, height = image.size
    extent: tuple[float, float] = image.size
    if ours:
        _warn_of_extension(photo, image.format)
        if image.format == "JPEG":
            extent = _reduce(image, at_least, roi)
        elif image.format == "TIFF":
            from ..quiet import silence_libtiff

            silence_libtiff()
        check_pixels(*image.size)
    image.load()
    turn, (swap, mirror, flip) = _TURNS.get(_orientation(image), (None, (False, False, False)))
    if image.format == "TIFF" and image.size != (width, height):  # Pillow has turned it itself
        (width, height), extent = image.size, image.size
    if image.mode != "RGB":
        from .color import eight_bit

        image = eight_bit(image)  # before it is turned: it needs the file's tags
    if turn is not None:
        image = image.transpose(turn)
        # What has been acted upon must not be a second time.
        image.info = {key: image.info[key] for key in _COLOR_INFO if key in image.info}
    if image.mode != "RGB" or "icc_profile" in image.info or "transparency" in image.info:
        from .color import to_rgb

        image = to_rgb(image)
        image.info = {}
    if swap:
        width, height, extent = height, width, extent[::-1]
    right, bottom = image.size
    left = right - extent[0] if mirror else 0.0
    top = bottom - extent[1] if flip else 0.0
    return Decoded(image, (width, height), (left, top, left + extent[0], top + extent[1]))


def _reduce(
    image: Image.Image, at_least: tuple[int, int] | None, roi: Roi | None
) -> tuple[float, float]:
    """Choose a JPEG's scale; how much of width and height, in reduced pixels, the photo fills."""
    size = image.size
    extent: tuple[float, float] = size
    if at_least is not None:
        swapped = _orientation(image) in _TURNS and _TURNS[_orientation(image)][1][0]
        wanted = at_least if roi is None else _whole(at_least, roi, size[::-1] if swapped else size)
        reduced = image.draft(None, wanted[::-1] if swapped else wanted)
        if reduced is not None:
            extent = reduced[1][2:]
    check_pixels(*size, times=_JPEG_TIMES)
    if _buffers_all(image, size):
        check_pixels(*size)
    return extent


def _whole(at_least: tuple[int, int], roi: Roi, size: tuple[int, int]) -> tuple[int, int]:
    """The size that a photo needs so that a part of it has ``at_least`` pixels."""
    left, top, right, bottom = pixel_box(size, roi)
    return (
        math.ceil(at_least[0] * size[0] / (right - left)),
        math.ceil(at_least[1] * size[1] / (bottom - top)),
    )


def pixel_box(size: tuple[int, int], roi: Roi) -> tuple[int, int, int, int]:
    """The pixels of a photo that a region means: the nearest edges, and at least one pixel.

    Args:
        size: (width, height) of the upright photo at full scale.
        roi: The region.

    Returns:
        (left, top, right, bottom).
    """
    (left, right), (top, bottom) = (
        _pixel_range(length, first, last)
        for length, first, last in ((size[0], roi[0], roi[2]), (size[1], roi[1], roi[3]))
    )
    return left, top, right, bottom


def _pixel_range(length: int, first: float, last: float) -> tuple[int, int]:
    start, end = math.floor(first * length + 0.5), math.floor(last * length + 0.5)
    if start < end:
        return start, end
    middle = min(int((first + last) / 2 * length), length - 1)
    return middle, middle + 1


def _buffers_all(image: Image.Image, size: tuple[int, int]) -> bool:
    """Whether libjpeg keeps all coefficients of a JPEG at once: if it comes in several scans."""
    if image.info.get("progressive"):
        return True
    if size[0] * size[1] < _ANY_SCANS:
        return False
    content, place = getattr(image, "fp", io.BytesIO()).getvalue(), 2
    while place + 5 <= len(content) and content[place] == 0xFF:
        if content[place + 1] == 0xDA:  # start of scan: its number of components follows
            return bool(content[place + 4] < getattr(image, "layers", 1))
        place += 2 + int.from_bytes(content[place + 2 : place + 4], "big")
    return False


def _open(photo: Photo) -> tuple[Image.Image, bool]:
    """The picture, and whether it was opened here, from a file: a caller's own stays as it is."""
    if isinstance(photo, Image.Image):
        return photo, False
    if isinstance(photo, np.ndarray):
        return _from_array(photo), False
    if isinstance(photo, (bytes, bytearray, memoryview)):
        return open_photo(photo), True
    return open_photo(read_photo(photo)[0]), True


def _from_array(array: np.ndarray) -> Image.Image:
    if array.dtype.kind == "u" and array.dtype.itemsize == 2:
        array = (array >> 8).astype(np.uint8)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    grey, color = array.ndim == 2, array.ndim == 3 and array.shape[2] in (3, 4)
    if array.dtype != np.uint8 or not (grey or color) or 0 in array.shape:
        raise ImageError(
            "expected uint8 or uint16 of shape (h, w), (h, w, 3) RGB or (h, w, 4) RGBA, "
            f"found {array.dtype} {array.shape}."
        )
    return Image.fromarray(np.ascontiguousarray(array))


def _orientation(image: Image.Image) -> int:
    try:
        found = image.getexif().get(_ORIENTATION, 1)
        return int(found) if found in _TURNS else 1
    except Exception as error:  # the EXIF block is damaged, the pixels are whole
        _log.debug("EXIF ignored: %r", error)
        return 1


def contradicting_format(path: str | os.PathLike[str], content: bytes) -> str | None:
    """What an image file holds, in Pillow's name, where its extension says another format.

    Args:
        path: Its name.
        content: Its bytes, of an image that :func:`load_upright` reads.
    """
    found = open_photo(content).format
    return found if _contradicts(path, found) else None


def _contradicts(path: str | os.PathLike[str], found: str | None) -> bool:
    expected = EXTENSION_FORMATS.get(os.path.splitext(os.fspath(path))[1].lower())
    return expected is not None and found not in expected


def _warn_of_extension(photo: Photo, found: str | None) -> None:
    if isinstance(photo, (str, os.PathLike)) and _contradicts(photo, found):
        _log.warning(
            "%s: holds a %s in spite of its name; read as such. Rename it to end this warning.",
            shown(os.fspath(photo)),
            found,
        )
