"""Every format gives the source's pixels, upright, and a region is the same at every scale."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms, features

from edge_runtime.errors import ImageError, UsageError
from edge_runtime.manifest import PreprocessSpec
from edge_runtime.preprocess import load_upright, preprocess

SPEC = PreprocessSpec(24, 32)
T = Image.Transpose

#: How an upright photo is stored for each EXIF orientation (Exif 2.32, tag 0x0112).
STORED = {
    1: None, 2: T.FLIP_LEFT_RIGHT, 3: T.ROTATE_180, 4: T.FLIP_TOP_BOTTOM,
    5: T.TRANSPOSE, 6: T.ROTATE_90, 7: T.TRANSVERSE, 8: T.ROTATE_270,
}  # fmt: skip


def blocks(width: int, height: int, side: int = 8, seed: int = 0) -> Image.Image:
    """Blocks of random colour: no symmetry, and whole blocks of a JPEG."""
    shape = (-(-height // side), -(-width // side), 3)
    coarse = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
    return Image.fromarray(
        np.ascontiguousarray(np.kron(coarse, np.ones((side, side, 1), np.uint8))[:height, :width])
    )


def encoded(image: Image.Image, fmt: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    if fmt == "HEIF":
        import pillow_heif

        pillow_heif.register_heif_opener()  # it writes the turn (irot, imir) of the EXIF block
    image.save(stream, fmt, **options)
    return stream.getvalue()


def has(fmt: str) -> bool:
    if fmt == "HEIF":
        try:
            import pillow_heif  # noqa: F401
        except ImportError:
            return False
    return fmt != "AVIF" or bool(features.check("avif"))


def needs(fmt: str, *values: object, id: str | None = None) -> Any:
    mark = pytest.mark.skipif(not has(fmt), reason=f"no {fmt} is installed")
    return pytest.param(fmt, *values, marks=mark, id=id or fmt)


LOSSLESS: list[Any] = [
    needs("PNG", {}), needs("BMP", {}), needs("PPM", {}), needs("WEBP", {"lossless": True}),
    needs("TIFF", {}), needs("TIFF", {"compression": "tiff_lzw"}, id="TIFF-LZW"),
]  # fmt: skip


@pytest.mark.parametrize(("fmt", "options"), LOSSLESS)
def test_lossless_formats_equal_the_source(fmt: str, options: dict[str, Any]) -> None:
    """The resize by Pillow alone, of the part that the rule shows: 3 : 4 of 60 x 50."""
    source = blocks(60, 50)
    data = encoded(source, fmt, **options)
    assert np.array_equal(load_upright(data), source)
    expected = source.resize((24, 32), Image.Resampling.BILINEAR, box=(11.25, 0, 48.75, 50))
    assert np.array_equal(preprocess(data, SPEC), expected)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(
    ("fmt", "options"),
    [*LOSSLESS[0:1], *LOSSLESS[3:], needs("JPEG", {"quality": 95, "subsampling": 0}),
     needs("HEIF", {"quality": -1}), needs("AVIF", {"quality": 95, "subsampling": "4:4:4"})],
)  # fmt: skip
def test_every_orientation_of_every_format(
    fmt: str, options: dict[str, Any], orientation: int
) -> None:
    """Turned once: HEIC decoders turn by themselves, and Pillow turns a TIFF."""
    upright = blocks(64, 48)
    turn = STORED[orientation]
    stored = upright if turn is None else upright.transpose(turn)
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(stored, fmt, exif=exif.tobytes(), **options)
    found = np.asarray(load_upright(data)).astype(int)
    assert found.shape == (48, 64, 3)
    # Lossless but for YCbCr's rounding in HEIC; of a wrong turn the mean difference is 85.
    largest = np.abs(found - np.asarray(upright)).max()
    assert largest <= {"JPEG": 24, "HEIF": 1, "AVIF": 60}.get(fmt, 0)
    assert np.abs(found - np.asarray(upright)).mean() < 6


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_object_is_turned_as_a_file_is(orientation: int) -> None:
    turn = STORED[orientation]
    stored = blocks(64, 48) if turn is None else blocks(64, 48).transpose(turn)
    exif = Image.Exif()
    exif[0x0112] = orientation
    with Image.open(io.BytesIO(encoded(stored, "PNG", exif=exif))) as opened:
        assert np.array_equal(preprocess(opened, SPEC), preprocess(blocks(64, 48), SPEC))


@pytest.mark.parametrize(
    "fmt", [needs("GIF"), needs("WEBP"), needs("PNG"), needs("TIFF"), needs("MPO")]
)
def test_the_first_of_several_pictures(fmt: str) -> None:
    first, second = Image.new("RGB", (40, 30), (200, 10, 10)), Image.new("RGB", (40, 30))
    options: dict[str, Any] = {"save_all": True, "append_images": [second]}
    options |= {"WEBP": {"lossless": True}, "MPO": {"quality": 100}}.get(fmt, {})
    data = encoded(first, fmt, **options)
    found = preprocess(data, SPEC).astype(int)
    assert np.abs(found - (200, 10, 10)).max() <= (3 if fmt == "MPO" else 0)


@pytest.mark.skipif(not has("HEIF"), reason="no HEIF is installed")
def test_heic_without_its_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encoded(blocks(64, 48), "HEIF")
    monkeypatch.setitem(__import__("sys").modules, "pillow_heif", None)
    with pytest.raises(ImageError, match=r"edge-classify\[heic\]"):
        preprocess(data, SPEC)


def test_heic_is_told_by_its_brands() -> None:
    """A header alone is enough to know; what follows is missing."""
    with pytest.raises(ImageError, match=r"damaged|edge-classify\[heic\]"):
        preprocess(b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic" + bytes(40), SPEC)
    with pytest.raises(ImageError, match="not an image"):
        preprocess(b"\0\0\0\x18ftypisom\0\0\0\0isommp42" + bytes(40), SPEC)


# regions ----------------------------------------------------------------------------------------

ROIS = [(0.25, 0.5, 0.75, 1.0), (0.1, 0.2, 0.35, 0.9), (0.0, 0.0, 0.5, 0.5)]


@pytest.mark.parametrize("roi", ROIS)
@pytest.mark.parametrize("fit", PreprocessSpec.FITS)
def test_a_region_is_the_photo_cut_at_the_nearest_pixels(
    fit: str, roi: tuple[float, float, float, float]
) -> None:
    source, spec = blocks(60, 50), PreprocessSpec(24, 32, fit=fit)
    cut = source.crop(tuple(round(n * side) for n, side in zip(roi, (60, 50) * 2, strict=True)))
    for photo in (source, encoded(source, "PNG"), np.asarray(source)):
        assert np.array_equal(preprocess(photo, spec, roi), preprocess(cut, spec))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_region_is_of_the_upright_photo(orientation: int) -> None:
    turn = STORED[orientation]
    stored = blocks(60, 50) if turn is None else blocks(60, 50).transpose(turn)
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(stored, "PNG", exif=exif)
    roi = ROIS[1]
    assert np.array_equal(preprocess(data, SPEC, roi), preprocess(blocks(60, 50), SPEC, roi))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_region_at_reduced_scale_is_the_same_box(orientation: int) -> None:
    """Coordinates as colours: the means of the box tell where it lies, to a tenth of a pixel.

    The sides are no multiples of eight, so that the last reduced column and row are not whole,
    and turning puts them first.
    """
    width, height = 1001, 803
    x = np.linspace(0, 255, width)[None, :].repeat(height, 0)
    y = np.linspace(0, 255, height)[:, None].repeat(width, 1)
    upright = Image.fromarray(np.stack([x, y, 255 - x], -1).round().astype(np.uint8))
    turn = STORED[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = upright if turn is None else upright.transpose(turn)
    data = encoded(stored, "JPEG", quality=95, subsampling=0, exif=exif)
    spec = PreprocessSpec(24, 24, fit="stretch")
    for roi in [(0.5, 0.4, 1.0, 0.9), (0.0, 0.1, 0.55, 1.0), (0.0, 0.0, 0.999, 1.0)]:
        reduced = preprocess(data, spec, roi).astype(float)
        whole = preprocess(load_upright(data), spec, roi).astype(float)
        red, green, blue = (reduced - whole).mean((0, 1))
        # libjpeg's reduced pixels are 0.3 levels too bright, which red and blue share; of their
        # difference a tenth is 0.4 pixels (0.02 were measured). A reduced pixel is 2 levels.
        assert abs(red - blue) / 2 < 0.1 and abs(green) < 0.5
        assert np.abs(reduced - whole).max() <= 2


def test_a_small_region_is_decoded_at_full_scale() -> None:
    """One pixel of 4,000 gets its own colour; at an eighth it would be a mean of 64."""
    source = blocks(1600, 1200, side=16)
    data = encoded(source, "JPEG", quality=95, subsampling=0)
    roi = (804 / 1600, 600 / 1200, 805 / 1600, 601 / 1200)
    expected = np.asarray(source)[600, 804].astype(int)
    found = preprocess(data, SPEC, roi).astype(int)
    assert (found == found[0, 0]).all() and np.abs(found[0, 0] - expected).max() <= 12


def test_less_than_a_pixel_is_a_pixel() -> None:
    source = blocks(60, 50, side=1)
    found = preprocess(source, SPEC, (0.501, 0.501, 0.502, 0.502))
    assert (found == np.asarray(source)[25, 30]).all()
    last = preprocess(source, SPEC, (0.9999, 0.9999, 1.0, 1.0))
    assert (last == np.asarray(source)[49, 59]).all()


def test_the_whole_region_is_the_photo() -> None:
    data = encoded(blocks(1001, 803), "JPEG")
    assert np.array_equal(preprocess(data, SPEC, (0, 0, 1, 1)), preprocess(data, SPEC))


@pytest.mark.parametrize(
    "roi",
    [(0.5, 0, 0.5, 1), (0, 0, 1.1, 1), (-0.1, 0, 1, 1), (0.6, 0, 0.4, 1), (float("nan"), 0, 1, 1)],
)
def test_no_region(roi: tuple[float, float, float, float]) -> None:
    with pytest.raises(UsageError, match="region of interest"):
        preprocess(blocks(60, 50), SPEC, roi)


def test_a_callers_picture_keeps_its_size() -> None:
    """A JPEG that the caller has opened is not reduced under their hands."""
    with Image.open(io.BytesIO(encoded(blocks(1600, 1200), "JPEG"))) as opened:
        preprocess(opened, SPEC)
        assert opened.size == (1600, 1200)


@pytest.mark.parametrize("mode", ["RGB", "CMYK", "L"])
def test_an_upright_photo_is_neither_turned_nor_converted_again(mode: str) -> None:
    """What load_upright gives is a photo like any other."""
    exif = Image.Exif()
    exif[0x0112] = 6
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for old, new in ((b"rXYZ", b"...."), (b"bXYZ", b"rXYZ"), (b"....", b"bXYZ")):
        profile = profile.replace(old, new, 1)  # red and blue change names in its table
    data = encoded(blocks(64, 48).convert(mode), "JPEG", exif=exif, icc_profile=profile)
    upright = load_upright(data)
    assert np.array_equal(load_upright(upright), upright)


def test_damaged_tiffs_are_silent_but_for_the_error(capfd: pytest.CaptureFixture[str]) -> None:
    """libtiff writes to file descriptor 2 by itself, whatever Python does with stderr."""
    if not features.check("libtiff"):
        pytest.skip("this Pillow has no libtiff")
    whole = encoded(blocks(64, 64), "TIFF", compression="tiff_adobe_deflate")
    with Image.open(io.BytesIO(whole)) as image:
        (start,) = image.tag_v2[273]  # StripOffsets
    spoilt = bytearray(whole)
    spoilt[start + 8 : start + 40] = bytes(32)
    with pytest.raises(ImageError, match="damaged"):
        load_upright(bytes(spoilt))
    assert load_upright(whole).size == (64, 64)
    assert capfd.readouterr().err == ""
