"""Every colour mode and profile gives the known colour."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from edge_runtime.errors import ImageError
from edge_runtime.photos import icc
from edge_runtime.preprocess import load_upright

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def tag_place(profile: bytes, tag: bytes) -> tuple[int, int]:
    """Offset and size of a tag's data (ICC.1:2022, 7.3)."""
    for place in range(132, 132 + 12 * struct.unpack(">I", profile[128:132])[0], 12):
        if profile[place : place + 4] == tag:
            return struct.unpack(">II", profile[place + 4 : place + 12])
    raise KeyError(tag)


def swapped_primaries() -> bytes:
    """sRGB, in which red and blue have changed places."""
    (red, size), (blue, _) = tag_place(SRGB, b"rXYZ"), tag_place(SRGB, b"bXYZ")
    made = bytearray(SRGB)
    made[red : red + size] = SRGB[blue : blue + size]
    made[blue : blue + size] = SRGB[red : red + size]
    return bytes(made)


def matrix_profile(space: bytes, tags: dict[bytes, bytes]) -> bytes:
    """A profile made by hand: header, tag table, tags."""
    table, data = struct.pack(">I", len(tags)), b""
    start = 132 + 12 * len(tags)
    for name, value in tags.items():
        table += name + struct.pack(">II", start + len(data), len(value))
        data += value.ljust(-(-len(value) // 4) * 4, b"\0")
    header = bytearray(128)
    header[:4] = struct.pack(">I", start + len(data))
    header[8:12] = bytes((2, 0x40, 0, 0))
    header[12:40] = b"mntr" + space + b"XYZ " + bytes(12) + b"acsp"
    header[68:80] = struct.pack(">3i", 63190, 65536, 54061)  # D50
    return bytes(header) + table + data


def xyz(x: float, y: float, z: float) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(v * 65536) for v in (x, y, z)))


def gamma(value: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(value * 256))


WHITE = {b"wtpt": xyz(0.9642, 1, 0.8249)}
LINEAR_GREY = matrix_profile(b"GRAY", WHITE | {b"kTRC": gamma(1.0)})


def encoded(image: Image.Image, fmt: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, fmt, **options)
    return stream.getvalue()


def color_of(photo: bytes | Image.Image) -> tuple[int, ...]:
    """The one colour of a photo."""
    pixels = np.asarray(load_upright(photo))
    assert pixels.dtype == np.uint8 and pixels.shape[2:] == (3,)
    assert (pixels == pixels[0, 0]).all()
    return tuple(int(n) for n in pixels[0, 0])


def close(found: tuple[int, ...], expected: tuple[int, ...], by: int) -> bool:
    return max(abs(a - b) for a, b in zip(found, expected, strict=True)) <= by


@pytest.mark.parametrize(
    ("fmt", "options", "by"),
    # Lossless formats within a grey level of LittleCMS's rounding; JPEG adds its own.
    [("PNG", {}, 1), ("TIFF", {}, 1), ("WEBP", {"lossless": True}, 1),
     ("JPEG", {"quality": 100, "subsampling": 0}, 3)],
)  # fmt: skip
def test_profile_with_swapped_primaries(fmt: str, options: dict[str, object], by: int) -> None:
    image = Image.new("RGB", (16, 16), (220, 60, 20))
    data = encoded(image, fmt, icc_profile=swapped_primaries(), **options)
    assert close(color_of(data), (20, 60, 220), by)


@pytest.mark.parametrize("mode", ["RGBA", "P", "PA"])
def test_profile_of_other_modes(mode: str) -> None:
    """Half-transparent after the profile, palettes by the palette's colours."""
    image = Image.new("RGB", (4, 4), (220, 60, 20))
    if mode == "RGBA":
        image.putalpha(51)  # a fifth
    image = image if mode == "RGBA" else image.quantize(2).convert(mode)
    image.info["icc_profile"] = swapped_primaries()
    found = color_of(image)
    opaque = np.array([20, 60, 220])
    expected = opaque if mode != "RGBA" else 255 - (255 - opaque) / 5
    assert close(found, tuple(round(n) for n in expected), 2)


def test_transparent_colour_of_a_profiled_png() -> None:
    image = Image.new("RGB", (2, 1), (220, 60, 20))
    image.putpixel((1, 0), (1, 2, 3))
    data = encoded(image, "PNG", icc_profile=swapped_primaries(), transparency=(1, 2, 3))
    pixels = np.asarray(load_upright(data))
    assert close(tuple(pixels[0, 0]), (20, 60, 220), 1) and (pixels[0, 1] == 255).all()


@pytest.mark.parametrize("mode", ["L", "LA", "1"])
def test_grey_with_a_linear_profile(mode: str) -> None:
    """Half the light is grey level 188 of sRGB (IEC 61966-2-1: 1.055 * 0.5 ** (1 / 2.4) - 0.055)."""
    image = Image.new("L", (4, 4), 255 if mode == "1" else 128).convert(mode)
    image.info["icc_profile"] = LINEAR_GREY
    assert close(color_of(image), (255,) * 3 if mode == "1" else (188,) * 3, 1)


def test_deep_grey_keeps_its_profile() -> None:
    data = encoded(Image.fromarray(np.full((4, 4), 0x80FF, np.uint16)), "PNG",
                   icc_profile=LINEAR_GREY)  # fmt: skip
    assert close(color_of(data), (188,) * 3, 1)


def cmyk_profile() -> bytes:
    """A print profile of one colour: whatever the ink, the paper is L*a*b* (54.29, 80.81, 69.89).

    That is sRGB's red seen under D50. A lut8 table (ICC.1:2022, 10.11) of four inputs, two grid
    points, three outputs.
    """
    lab = bytes((round(54.29 * 2.55), round(80.81 + 128), round(69.89 + 128)))
    identity = struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 65536)
    ramp = bytes(range(256))
    lut = b"mft1\0\0\0\0" + bytes((4, 3, 2, 0)) + identity + ramp * 4 + lab * 16 + ramp * 3
    made = bytearray(matrix_profile(b"CMYK", WHITE | {b"A2B0": lut, b"A2B1": lut}))
    made[12:16], made[20:24] = b"prtr", b"Lab "
    return bytes(made)


def test_cmyk_with_its_profile() -> None:
    image = Image.new("CMYK", (16, 16), (255, 0, 0, 0))
    data = encoded(image, "JPEG", quality=100, icc_profile=cmyk_profile())
    # The table has 8 bits for L*a*b*: a step is up to four grey levels of a saturated colour.
    assert close(color_of(data), (255, 0, 0), 6)


def test_lab() -> None:
    """CIE L*a*b* under D50: sRGB's red is (54.29, 80.81, 69.89)."""
    pixel = (round(54.29 * 2.55), round(80.81) + 128, round(69.89) + 128)
    image = Image.new("LAB", (4, 4), pixel)
    # Whole numbers of L*, a*, b* are up to five grey levels of a saturated colour apart.
    assert close(color_of(encoded(image, "TIFF")), (255, 0, 0), 5)
    assert close(color_of(image), (255, 0, 0), 5)


@pytest.mark.parametrize(
    "profile",
    [b"nothing of the kind", SRGB[:200], SRGB[:128] + b"\xff" * 400, LINEAR_GREY, cmyk_profile()],
    ids=["text", "cut", "table", "grey", "print"],
)
def test_unfit_profile_is_ignored(profile: bytes, caplog: pytest.LogCaptureFixture) -> None:
    image = Image.new("RGB", (4, 4), (220, 60, 20))
    with caplog.at_level("DEBUG", logger="edge_runtime"):
        assert color_of(encoded(image, "PNG", icc_profile=profile)) == (220, 60, 20)
    assert "ignored" in caplog.text


def test_srgb_by_any_name_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Told by primaries and curves, in both forms of curve; nothing is converted or imported."""
    assert icc.is_srgb(SRGB)
    curve = [x / 12.92 if x < 0.04045 else ((x + 0.055) / 1.055) ** 2.4
             for x in np.linspace(0, 1, 1024)]  # fmt: skip
    table = b"curv\0\0\0\0" + struct.pack(">I1024H", 1024, *(round(y * 65535) for y in curve))
    tags = {b"rXYZ": xyz(0.4361, 0.2225, 0.0139), b"gXYZ": xyz(0.3851, 0.7169, 0.0971),
            b"bXYZ": xyz(0.1431, 0.0606, 0.7141)}  # fmt: skip
    curves = dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), table)
    assert icc.is_srgb(matrix_profile(b"RGB ", tags | curves))
    assert not icc.is_srgb(matrix_profile(b"RGB ", tags | dict.fromkeys(curves, gamma(2.2))))
    assert not icc.is_srgb(swapped_primaries()) and not icc.is_srgb(b"")
    monkeypatch.setattr(ImageCms, "applyTransform", lambda *_: pytest.fail("converted"))
    image = Image.new("RGB", (4, 4), (220, 60, 20))
    assert color_of(encoded(image, "PNG", icc_profile=SRGB)) == (220, 60, 20)


def chunk(kind: bytes, data: bytes) -> bytes:
    return (
        struct.pack(">I", len(data)) + kind + data
        + struct.pack(">I", zlib.crc32(kind + data))
    )  # fmt: skip


def deep_png(kind: int, samples: list[int], extra: bytes = b"") -> bytes:
    """A PNG of one pixel with 16-bit samples, which Pillow cannot write (PNG 1.2, 4.1)."""
    header = struct.pack(">IIBBBBB", 1, 1, 16, kind, 0, 0, 0)
    data = zlib.compress(b"\0" + struct.pack(f">{len(samples)}H", *samples))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", data)
        + chunk(b"IEND", b"")
    )  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "samples", "expected"),
    [(0, [0x80FF], (0x80,) * 3), (2, [0x12FF, 0x34FF, 0x56FF], (0x12, 0x34, 0x56)),
     (4, [0x80FF, 0xFFFF], (0x80,) * 3), (4, [0x8000, 0], (255,) * 3),
     (6, [0x12FF, 0x34FF, 0x56FF, 0xFFFF], (0x12, 0x34, 0x56)), (6, [0, 0, 0, 0], (255,) * 3)],
)  # fmt: skip
def test_sixteen_bit_png(kind: int, samples: list[int], expected: tuple[int, ...]) -> None:
    assert color_of(deep_png(kind, samples)) == expected


@pytest.mark.parametrize(
    ("kind", "samples"), [(0, [0x1234]), (2, [0x1234, 0x5678, 0x9ABC])], ids=["grey", "RGB"]
)
def test_sixteen_bit_png_with_a_transparent_colour(kind: int, samples: list[int]) -> None:
    key = chunk(b"tRNS", struct.pack(f">{len(samples)}H", *samples))
    assert color_of(deep_png(kind, samples, key)) == (255, 255, 255)
    other = chunk(b"tRNS", struct.pack(f">{len(samples)}H", *([0] * len(samples))))
    assert color_of(deep_png(kind, samples, other))[0] == 0x12


def tiff(bits: int, samples: int, photometric: int, data: bytes, kind: int = 1) -> bytes:
    """A TIFF of one pixel (TIFF 6.0), of samples that Pillow does not write."""
    per_sample = bits if samples == 1 else 0
    tags = [(256, 4, 1, 1), (257, 4, 1, 1), (258, 3, samples, per_sample), (259, 3, 1, 1),
            (262, 3, 1, photometric), (273, 4, 1, 0), (277, 3, 1, samples), (278, 4, 1, 1),
            (279, 4, 1, len(data)), (339, 3, 1, kind)]  # fmt: skip
    end = 8 + 2 + 12 * len(tags) + 4
    extra = struct.pack(f"<{samples}H", *([bits] * samples)) if samples > 1 else b""
    values = {258: end} if samples > 1 else {}
    values[273] = end + len(extra)
    entries = b"".join(
        struct.pack("<HHII", tag, form, count, values.get(tag, value))
        for tag, form, count, value in tags
    )
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4) + extra + data


@pytest.mark.parametrize(
    ("data", "expected"),
    [(tiff(16, 1, 1, b"\xff\x80"), (0x80,) * 3),
     (tiff(16, 1, 0, b"\xff\x80"), (0x7F,) * 3),  # white is zero
     (tiff(12, 1, 1, b"\x80\xf0"), (0x80,) * 3),
     (tiff(16, 3, 2, b"\xff\x12\xff\x34\xff\x56"), (0x12, 0x34, 0x56))],
    ids=["grey", "negative", "12 bits", "RGB"],
)  # fmt: skip
def test_deep_tiff(data: bytes, expected: tuple[int, ...]) -> None:
    assert color_of(data) == expected


@pytest.mark.parametrize(
    "photo",
    [tiff(32, 1, 1, struct.pack("<f", 0.5), kind=3), tiff(32, 1, 1, struct.pack("<I", 1 << 20)),
     Image.new("I", (4, 4), -1)],
    ids=["float", "32 bits", "negative"],
)  # fmt: skip
def test_samples_without_a_range_are_refused(photo: bytes | Image.Image) -> None:
    with pytest.raises(ImageError, match="no defined range"):
        load_upright(photo)


def test_inverted_cmyk_and_ycck_jpeg() -> None:
    """Adobe's JPEGs hold 255 minus the ink; YCCK is CMYK with CMY as YCbCr (Adobe TN 5116)."""
    full_cyan = encoded(Image.new("CMYK", (16, 16), (255, 0, 0, 0)), "JPEG", quality=100)
    place = full_cyan.index(b"Adobe") + 11
    assert full_cyan[place] == 0, "Pillow writes CMYK"
    assert close(color_of(full_cyan), (0, 255, 255), 2)
    # As YCCK the stored (0, 255, 255) is Y 0, Cb 255, Cr 255: RGB (179, 0, 226) by ITU-T T.871,
    # and libjpeg gives CMY = 255 - RGB, which Adobe's files store inverted.
    ycck = full_cyan[:place] + b"\2" + full_cyan[place + 1 :]
    assert close(color_of(ycck), (255 - 179, 255, 255 - 226), 3)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBX", "YCbCr", "HSV"])
def test_plain_modes_of_pictures(mode: str) -> None:
    """White stays white, black black, in every mode that has no profile to ask."""
    for color in ((255, 255, 255), (0, 0, 0)):
        assert color_of(Image.new("RGB", (4, 4), color).convert(mode)) == color


@pytest.mark.parametrize("mode", ["LA", "RGBA", "La", "RGBa", "PA"])
def test_half_transparent_modes(mode: str) -> None:
    """Black at alpha 153 over white is 255 * (1 - 153 / 255)."""
    image = Image.new("LA", (4, 4), (0, 153)).convert({"La": "LA"}.get(mode, "RGBA"))
    image = image.convert(mode) if mode != "PA" else palette_with_alpha()
    assert close(color_of(image), (102,) * 3, 1)


def palette_with_alpha() -> Image.Image:
    image = Image.new("PA", (4, 4), (0, 153))
    image.putpalette([0, 0, 0])
    return image


def test_large_pictures_are_converted_in_strips(monkeypatch: pytest.MonkeyPatch) -> None:
    from edge_runtime.photos import color

    random = np.random.default_rng(0).integers(0, 256, (50, 30, 4), np.uint8)
    image = Image.fromarray(random)
    image.info["icc_profile"] = swapped_primaries()
    deep = Image.fromarray(random[:, :, 0].astype(np.uint16) * 257)
    whole, whole_deep = load_upright(image), load_upright(deep)
    monkeypatch.setattr(color, "_STRIP", 100)
    assert np.array_equal(load_upright(image), whole)
    assert np.array_equal(load_upright(deep), whole_deep)


def test_a_plain_photo_imports_neither_colours_nor_other_decoders(tmp_path: Path) -> None:
    """A profile costs its import only where it is not sRGB; a start decodes with one plugin."""
    plain, srgb, wide = (tmp_path / f"{name}.jpg" for name in ("plain", "srgb", "wide"))
    image = Image.new("RGB", (64, 48), (220, 60, 20))
    image.save(plain)
    image.save(srgb, icc_profile=SRGB)
    image.save(wide, icc_profile=swapped_primaries())
    code = (
        "import sys; from edge_runtime.preprocess import preprocess, PreprocessSpec\n"
        "for path in sys.argv[1:]:\n"
        "    preprocess(path, PreprocessSpec(32, 32))\n"
        "    print([n for n in ('edge_runtime.photos.color', 'PIL.ImageCms', 'PIL.PngImagePlugin',"
        " 'PIL.WebPImagePlugin', 'pillow_heif') if n in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, plain, srgb, wide], capture_output=True, text=True, check=True
    )
    loaded = [
        "[]",
        "['edge_runtime.photos.color']",
        "['edge_runtime.photos.color', 'PIL.ImageCms']",
    ]
    assert done.stdout.splitlines() == loaded
