"""Whole photos of every format and mode, which are then spoilt."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL import Image, ImageCms, PngImagePlugin, features

_SIDES = (56, 40)


def photos() -> dict[str, bytes]:
    """Small photos by file name: same pixels, all formats, with EXIF, ICC and XMP."""
    return dict(_all())


def _save(image: Image.Image, fmt: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.copy().save(stream, fmt, **options)  # an encoder leaves its settings behind
    return stream.getvalue()


def _profile(space: Any) -> bytearray:
    """A profile without the time at which it was made (ICC.1:2022, 7.2.8): the same every time."""
    made = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile(space)).tobytes())
    made[24:36] = bytes(12)
    return made


def _all() -> Iterator[tuple[str, bytes]]:
    coarse = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    rgb = Image.fromarray(coarse).resize(_SIDES, Image.Resampling.BICUBIC)
    rgba = rgb.convert("RGBA")
    rgba.putalpha(Image.linear_gradient("L").resize(_SIDES))
    deep = Image.fromarray(np.asarray(rgb.convert("L")).astype(np.uint16) * 257)
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "camera"
    icc, wide = bytes(_profile("XYZ")), _profile("sRGB")
    red, blue = wide.index(b"rXYZ"), wide.index(b"bXYZ")  # in the table of tags
    wide[red : red + 4], wide[blue : blue + 4] = b"bXYZ", b"rXYZ"
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><tiff:Orientation>3</tiff:Orientation></x:xmpmeta>'
    marked: dict[str, Any] = {"exif": exif, "icc_profile": bytes(wide)}
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", "x" * 300, zip=True)
    text.add_itxt("XML:com.adobe.xmp", xmp.decode())

    def more() -> dict[str, Any]:
        others = [rgb.rotate(180), rgba.convert("RGB")]
        return {"save_all": True, "append_images": others}

    yield "plain.jpg", _save(rgb, "JPEG")
    yield "marked.jpg", _save(rgb, "JPEG", xmp=xmp, **marked)
    yield "progressive.jpg", _save(rgb, "JPEG", progressive=True, exif=exif)
    yield "print.jpg", _save(rgb.convert("CMYK"), "JPEG", icc_profile=icc)
    yield "grey.jpg", _save(rgb.convert("L"), "JPEG")
    yield "pair.jpg", _save(rgb, "MPO", **more())
    yield "marked.png", _save(rgb, "PNG", pnginfo=text, **marked)
    yield "alpha.png", _save(rgba, "PNG")
    yield "deep.png", _save(deep, "PNG", icc_profile=icc)
    yield "palette.png", _save(rgb.quantize(16), "PNG", transparency=3)
    yield "movie.png", _save(rgb, "PNG", **more())
    yield "plain.gif", _save(rgb, "GIF")
    yield "movie.gif", _save(rgb.quantize(8), "GIF", transparency=1, **more())
    yield "plain.bmp", _save(rgb, "BMP")
    yield "palette.bmp", _save(rgb.quantize(16), "BMP")
    yield "plain.ppm", _save(rgb, "PPM")
    yield "bits.pbm", _save(rgb.convert("1"), "PPM")
    for packing in ("raw", "tiff_lzw", "tiff_adobe_deflate", "jpeg", "packbits"):
        yield f"{packing}.tif", _save(rgb, "TIFF", compression=packing, **marked)
    yield "deep.tif", _save(deep, "TIFF")
    yield "lab.tif", _save(Image.new("LAB", _SIDES, (138, 209, 198)), "TIFF")
    yield "pages.tif", _save(rgb, "TIFF", **more())
    yield "plain.webp", _save(rgb, "WEBP", **marked)
    yield "alpha.webp", _save(rgba, "WEBP", lossless=True)
    yield "movie.webp", _save(rgb, "WEBP", **more())
    if features.check("avif"):
        yield "marked.avif", _save(rgb, "AVIF", **marked)
    try:
        import pillow_heif
    except ImportError:
        return
    pillow_heif.register_heif_opener()
    yield "marked.heic", _save(rgb, "HEIF", **marked)
