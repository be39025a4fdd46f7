"""Embedded ICC profiles (ICC.1:2022) to sRGB, by LittleCMS as Pillow ships it.

Rendering intent: relative colorimetric with black point compensation. It leaves every colour that
sRGB holds what it is, whichever program wrote the profile, where the perceptual intent shifts all
colours by a taste of the profile's maker; black point compensation keeps the shadows of prints
apart. Of matrix profiles, which displays and cameras have, all intents are the same.
"""

from __future__ import annotations

import functools
import logging
from typing import Any

from PIL import Image

_log = logging.getLogger("edge_runtime")

#: The profile's colour space that a mode needs (ICC.1:2022, table 19), the modes in which
#: LittleCMS takes the pixels and gives them.
_SPACES = {
    "RGB": (b"RGB ", "RGB", "RGB"),
    "RGBA": (b"RGB ", "RGBA", "RGBA"),
    "RGBX": (b"RGB ", "RGB", "RGB"),
    "P": (b"RGB ", "RGB", "RGB"),
    "PA": (b"RGB ", "RGBA", "RGBA"),
    "L": (b"GRAY", "L", "RGB"),
    "LA": (b"GRAY", "L", "RGB"),
    "1": (b"GRAY", "L", "RGB"),
    "CMYK": (b"CMYK", "CMYK", "RGB"),
    "LAB": (b"Lab ", "LAB", "RGB"),
}

#: sRGB's primaries, adapted to D50, and its curve (IEC 61966-2-1): value of a power, factor and
#: offset in it, slope and end of the straight part. A difference of the tolerance is under half a
#: grey level.
_PRIMARIES = {
    b"rXYZ": (0.4361, 0.2225, 0.0139),
    b"gXYZ": (0.3851, 0.7169, 0.0971),
    b"bXYZ": (0.1431, 0.0606, 0.7141),
}
_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
_TOLERANCE = 0.0015

#: Transforms that are kept: the photos of a folder mostly come from one camera.
_KEPT = 8


def to_srgb(image: Image.Image) -> Image.Image:
    """Convert a picture by its embedded profile.

    Args:
        image: With the profile as ``info["icc_profile"]``; of mode LAB it may lack one.

    Returns:
        RGB or RGBA in sRGB; the picture as it is where its profile is sRGB, damaged, or of
        another colour space than its pixels.
    """
    profile = image.info.get("icc_profile") or b""
    space, taken, given = _SPACES.get(image.mode, (b"", "", ""))
    if image.mode == "LAB" and profile[16:20] != space:
        profile = b""  # CIE L*a*b* needs none
    elif not space or profile[16:20] != space:
        _log.debug("ICC profile of %r ignored: the pixels are %s", profile[16:20], image.mode)
        return image
    if space == b"RGB " and is_srgb(profile):
        return image
    try:
        from PIL import ImageCms

        transform = _transform(profile, taken, given)
        alpha = image.getchannel("A") if image.mode == "LA" else None
        clear = image.info.get("transparency")
        if clear is not None:  # the colour key speaks of unconverted pixels
            alpha = image.convert("RGBA").getchannel("A")
            image = image.convert("RGBA").convert(taken)
        source = image if image.mode == taken else image.convert(taken)
        made = ImageCms.applyTransform(source, transform)
    except Exception as error:  # PyCMSError, OSError, ValueError: the pixels are whole
        if image.mode == "LAB":
            raise
        _log.debug("ICC profile ignored: %r", error)
        return image
    if made is None:  # only where a picture is changed in place
        return image
    made.info = {}
    if alpha is not None:
        made.putalpha(alpha)
    return made


@functools.lru_cache(maxsize=_KEPT)
def _transform(profile: bytes, taken: str, given: str) -> Any:
    import io

    from PIL import ImageCms

    source: Any = ImageCms.createProfile("LAB")
    if profile:
        source = ImageCms.getOpenProfile(io.BytesIO(profile))
    return ImageCms.buildTransform(
        source,
        ImageCms.createProfile("sRGB"),
        taken,
        given,
        ImageCms.Intent.RELATIVE_COLORIMETRIC,
        ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )


def is_srgb(profile: bytes) -> bool:
    """Whether a profile is sRGB by its primaries and curves; its name may say anything.

    Args:
        profile: The ICC profile.
    """
    tags = _tags(profile)
    if any(name in tags for name in (b"A2B0", b"A2B1", b"A2B2")):
        return False  # tables take precedence over the primaries
    for name, expected in _PRIMARIES.items():
        data = tags.get(name, b"")
        if data[:4] != b"XYZ " or len(data) < 20:
            return False
        found = [_fixed(data, 8 + 4 * i) for i in range(3)]
        if any(abs(a - b) > _TOLERANCE for a, b in zip(found, expected, strict=True)):
            return False
    return all(_is_srgb_curve(tags.get(name, b"")) for name in (b"rTRC", b"gTRC", b"bTRC"))


def _tags(profile: bytes) -> dict[bytes, bytes]:
    tags = {}
    count = min(int.from_bytes(profile[128:132], "big"), 256)
    for place in range(132, 132 + 12 * count, 12):
        entry = profile[place : place + 12]
        offset, size = int.from_bytes(entry[4:8], "big"), int.from_bytes(entry[8:12], "big")
        tags[entry[:4]] = profile[offset : offset + size]
    return tags


def _is_srgb_curve(data: bytes) -> bool:
    if data[:4] == b"para" and data[8:10] == b"\0\3" and len(data) >= 32:
        found = [_fixed(data, 12 + 4 * i) for i in range(5)]
        return all(abs(a - b) <= _TOLERANCE for a, b in zip(found, _CURVE, strict=True))
    count = int.from_bytes(data[8:12], "big")
    if data[:4] != b"curv" or count < 2 or len(data) < 12 + 2 * count:
        return False
    for step in range(17):
        index = step * (count - 1) // 16
        value = int.from_bytes(data[12 + 2 * index : 14 + 2 * index], "big") / 0xFFFF
        if abs(value - _linear(index / (count - 1))) > _TOLERANCE:
            return False
    return True


def _linear(value: float) -> float:
    power, factor, offset, slope, end = _CURVE
    return float((factor * value + offset) ** power) if value >= end else slope * value


def _fixed(data: bytes, place: int) -> float:
    """An s15Fixed16Number."""
    return int.from_bytes(data[place : place + 4], "big", signed=True) / 65536
