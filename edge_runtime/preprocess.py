"""The one place where a photo becomes a tensor.

Training cache, validation, calibration, parity, benchmarks and the device all call
:func:`preprocess`; no other code resizes a picture for the network. Steps, in order:

1. decode, by content and not by extension; a large JPEG at reduced scale (ITU-T T.81 lets a
   decoder skip DCT coefficients; Pillow's ``draft``);
2. turn by the EXIF orientation (Exif 2.32, tag 0x0112);
3. convert to 8-bit RGB: palettes expanded, transparency laid over white, 16-bit reduced to
   its high byte, CMYK and YCbCr by Pillow's rules;
4. cut and resize in one anti-aliased pass, as :class:`~edge_runtime.manifest.PreprocessSpec` says.
"""

from __future__ import annotations

import io
import logging
import math
import os
from typing import Union

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from .errors import ImageError, UsageError
from .manifest import PreprocessSpec

_log = logging.getLogger("edge_runtime")

#: What :func:`preprocess` takes for a photo.
Photo = Union[str, "os.PathLike[str]", bytes, bytearray, memoryview, Image.Image, np.ndarray]

#: A region of interest: (left, top, right, bottom) of the upright photo, as fractions 0..1.
Roi = tuple[float, float, float, float]

#: Formats that are opened, so that neither a script (EPS) nor a video container is.
FORMATS = ("JPEG", "PNG", "BMP", "GIF", "PPM", "TIFF", "WEBP")

#: Of these, the ones whose plugins Pillow loads on first need; asking for one that it has not
#: loaded would load all forty.
_RARE_FORMATS = ("TIFF", "WEBP")

_KERNELS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}

#: What a file may hold by its extension, in Pillow's names.
EXTENSION_FORMATS = {
    ".bmp": {"BMP"},
    ".gif": {"GIF"},
    ".jpeg": {"JPEG", "MPO"},
    ".jpg": {"JPEG", "MPO"},
    ".png": {"PNG"},
    ".tif": {"TIFF"},
    ".tiff": {"TIFF"},
    ".webp": {"WEBP"},
}

#: A JPEG is decoded at the smallest of 1/1, 1/2, 1/4, 1/8 that is still this many times the
#: target size; the anti-aliased kernel does the rest. Measured on 12-megapixel photos at 224
#: pixels: 2 costs 0.18 grey levels on average for a quarter of the time, 1 costs 0.6.
_DRAFT_MARGIN = 2


def preprocess(photo: Photo, spec: PreprocessSpec, roi: Roi | None = None) -> np.ndarray:
    """Turn a photo into the network's input pixels.

    Args:
        photo: A path, the bytes of an image file, a PIL image, or an array: uint8 or
            uint16, (h, w) grey, (h, w, 3) RGB or (h, w, 4) RGBA.
        spec: Target size and rule.
        roi: The part that is looked at, as if the rest had been cut off; None for all of it.

    Returns:
        uint8 array of shape (spec.height, spec.width, 3), RGB, 0..255.

    Raises:
        ImageError: The photo cannot be read; the message names it.
    """
    width, height = spec.width * _DRAFT_MARGIN, spec.height * _DRAFT_MARGIN
    if roi is None:
        return np.asarray(_fit(load_upright(photo, (width, height)), spec))
    left, top, right, bottom = roi
    if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
        raise UsageError(
            f"region of interest {roi}: expected left < right and top < bottom, 0 to 1."
        )
    # Sides that turning the photo may swap; the part of the photo needs the pixels.
    longer = math.ceil(max(width / (right - left), height / (bottom - top)))
    image = load_upright(photo, (longer, longer))
    return np.asarray(_fit(_cut(image, roi), spec))


def load_upright(photo: Photo, at_least: tuple[int, int] | None = None) -> Image.Image:
    """Decode a photo to 8-bit RGB, turned by its EXIF orientation, not yet resized.

    Args:
        photo: As for :func:`preprocess`.
        at_least: (width, height) in pixels that the caller needs; a JPEG may then be decoded
            at reduced scale. None for full resolution.

    Raises:
        ImageError: The photo cannot be read; the message names it.
    """
    name = describe(photo)
    try:
        image = _open(photo)
        if at_least is not None and image.format == "JPEG":
            image.draft(None, at_least)
        _warn_of_extension(photo, image.format)
        return to_rgb(_upright(image))
    except ImageError as error:
        raise ImageError(f"{name}: {error}") from error
    except FileNotFoundError as error:
        raise ImageError(f"{name}: no such file.") from error
    except IsADirectoryError as error:
        raise ImageError(f"{name}: is a folder; a photo was expected.") from error
    except PermissionError as error:
        raise ImageError(f"{name}: permission denied.") from error
    except UnidentifiedImageError as error:
        raise ImageError(
            f"{name}: not an image in a known format ({', '.join(FORMATS)}). "
            "Remove it or convert it."
        ) from error
    except Image.DecompressionBombError as error:
        raise ImageError(
            f"{name}: more pixels than any camera makes ({error}). Scale it down first."
        ) from error
    except Exception as error:  # decoders raise anything: struct.error, SyntaxError, KeyError...
        raise ImageError(
            f"{name}: damaged or cut off ({error or type(error).__name__}). Replace or remove it."
        ) from error


def describe(photo: Photo) -> str:
    """How a message calls a photo: its path, or what kind of object it is."""
    if isinstance(photo, (str, os.PathLike)):
        return os.fspath(photo)
    return f"<{type(photo).__name__}>"


def _open(photo: Photo) -> Image.Image:
    if isinstance(photo, Image.Image):
        return photo
    if isinstance(photo, np.ndarray):
        return _from_array(photo)
    if isinstance(photo, (bytes, bytearray, memoryview)):
        return _identify(io.BytesIO(photo))
    if not os.path.isfile(photo):
        os.stat(photo)  # raises what is wrong, unless it is a device or a pipe
        raise ImageError("not a regular file.")
    with open(photo, "rb") as stream:  # read at once: Pillow would keep the file open
        return _identify(io.BytesIO(stream.read()))


def _identify(stream: io.BytesIO) -> Image.Image:
    try:
        return Image.open(stream, formats=FORMATS[: -len(_RARE_FORMATS)])
    except UnidentifiedImageError:
        from PIL import TiffImagePlugin, WebPImagePlugin  # noqa: F401  # they register themselves

        return Image.open(stream, formats=_RARE_FORMATS)


def _from_array(array: np.ndarray) -> Image.Image:
    if array.dtype == np.uint16:
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


def _upright(image: Image.Image) -> Image.Image:
    image.load()
    try:
        return ImageOps.exif_transpose(image)
    except Exception as error:  # the EXIF block is damaged, the pixels are whole
        _log.debug("EXIF ignored: %r", error)
        return image


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert any mode to 8-bit RGB; transparency is laid over white.

    Raises:
        ImageError: A mode without a defined value range (32-bit float).
    """
    mode = image.mode
    if mode == "RGB":
        return image
    if mode.startswith("I;16"):
        high_byte = np.asarray(image).astype(np.uint16) >> 8
        return Image.fromarray(high_byte.astype(np.uint8)).convert("RGB")
    if mode == "I":  # 16-bit samples in a 32-bit container (PNM, older PNG readers)
        high_byte = np.clip(np.asarray(image), 0, 65535) >> 8
        return Image.fromarray(high_byte.astype(np.uint8)).convert("RGB")
    if mode == "F":
        raise ImageError("32-bit float pixels have no defined range. Convert it to 8 or 16 bits.")
    if mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        canvas = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
        return Image.alpha_composite(canvas, rgba).convert("RGB")
    return image.convert("RGB")


def visible_box(size: tuple[int, int], spec: PreprocessSpec) -> tuple[float, float, float, float]:
    """The part of an upright photo that the network sees.

    Args:
        size: (width, height) of the photo in pixels.
        spec: Target size and rule.

    Returns:
        (left, top, right, bottom) in the photo's pixels; with ``pad`` it reaches beyond the photo.
    """
    width, height = size
    if spec.fit == "stretch":
        return 0.0, 0.0, float(width), float(height)
    choose = max if spec.fit == "pad" else min
    scale = choose(width / spec.width, height / spec.height)
    seen_width, seen_height = spec.width * scale, spec.height * scale
    left, top = (width - seen_width) / 2, (height - seen_height) / 2
    return left, top, left + seen_width, top + seen_height


def _fit(image: Image.Image, spec: PreprocessSpec) -> Image.Image:
    size, kernel = (spec.width, spec.height), _KERNELS[spec.kernel]
    if image.size == size:
        return image
    width, height = image.size
    left, top, right, bottom = visible_box(image.size, spec)
    if spec.fit == "pad":
        scale = spec.width / (right - left)
        inner = (max(1, round(width * scale)), max(1, round(height * scale)))
        canvas = Image.new("RGB", size)
        corner = ((spec.width - inner[0]) // 2, (spec.height - inner[1]) // 2)
        canvas.paste(image.resize(inner, kernel), corner)
        return canvas
    box = (max(left, 0.0), max(top, 0.0), min(right, width), min(bottom, height))
    return image.resize(size, kernel, box=box)


def _cut(image: Image.Image, roi: Roi) -> Image.Image:
    left, top, right, bottom = roi
    width, height = image.size
    box = (math.floor(left * width), math.floor(top * height))
    end = (math.ceil(right * width), math.ceil(bottom * height))
    return image.crop((*box, *end))


def contradicting_format(path: str | os.PathLike[str], content: bytes) -> str | None:
    """What an image file holds, in Pillow's name, where its extension says another format.

    Args:
        path: Its name.
        content: Its bytes, of an image in one of :data:`FORMATS`.
    """
    found = _identify(io.BytesIO(content)).format
    return found if _contradicts(path, found) else None


def _contradicts(path: str | os.PathLike[str], found: str | None) -> bool:
    expected = EXTENSION_FORMATS.get(os.path.splitext(os.fspath(path))[1].lower())
    return expected is not None and found not in expected


def _warn_of_extension(photo: Photo, found: str | None) -> None:
    if isinstance(photo, (str, os.PathLike)) and _contradicts(photo, found):
        _log.warning(
            "%s: holds a %s in spite of its name; read as such. Rename it to end this warning.",
            os.fspath(photo),
            found,
        )
