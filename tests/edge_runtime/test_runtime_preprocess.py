"""One photo, one tensor, whatever way it comes in."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edge_runtime.errors import ImageError, ModelError
from edge_runtime.manifest import PreprocessSpec
from edge_runtime.preprocess import preprocess, visible_box

SPEC = PreprocessSpec(32, 32)


def gradient(width: int, height: int) -> Image.Image:
    """A picture in which every place and direction has its own colour."""
    x = np.linspace(0, 255, width)[None, :].repeat(height, 0)
    y = np.linspace(0, 255, height)[:, None].repeat(width, 1)
    return Image.fromarray(np.stack([x, y, (x + y) / 2], -1).round().astype(np.uint8))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(tmp_path: Path, orientation: int) -> None:
    """A photo stored turned or mirrored comes out like the upright one."""
    upright = gradient(64, 48)
    back = {
        1: None,
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }[orientation]
    stored = upright if back is None else upright.transpose(back)
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = tmp_path / "turned.png"
    stored.save(file, exif=exif)
    assert np.array_equal(preprocess(file, SPEC), preprocess(upright, SPEC))


def test_damaged_exif_is_no_reason_to_refuse(tmp_path: Path) -> None:
    """The pixels are whole, so the photo counts as upright."""
    file = tmp_path / "odd.jpg"
    gradient(40, 40).save(file, exif=b"Exif\0\0MM\0*\xff\xff\xff\xff")
    assert preprocess(file, SPEC).shape == (32, 32, 3)


def test_transparency_is_laid_over_white() -> None:
    clear = Image.new("RGBA", (8, 8), (10, 20, 30, 0))
    assert (preprocess(clear, SPEC) == 255).all()


def test_transparent_palette_is_laid_over_white(tmp_path: Path) -> None:
    palette = Image.new("P", (8, 8), 1)
    palette.putpalette([0, 0, 0, 200, 0, 0])
    file = tmp_path / "palette.png"
    palette.save(file, transparency=1)
    assert (preprocess(file, SPEC) == 255).all()


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_sixteen_bit_grey_keeps_its_high_byte(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"deep{suffix}"
    Image.fromarray(np.full((8, 8), 0x80FF, np.uint16)).save(file)
    assert (preprocess(file, SPEC) == 0x80).all()


def test_cmyk_becomes_rgb(tmp_path: Path) -> None:
    """Full cyan absorbs red."""
    file = tmp_path / "print.jpg"
    Image.new("CMYK", (16, 16), (255, 0, 0, 0)).save(file, quality=100)
    red, green, blue = preprocess(file, SPEC)[16, 16]
    assert red < 10 and green > 245 and blue > 245


def test_grey_becomes_three_equal_channels() -> None:
    pixels = preprocess(gradient(40, 40).convert("L"), SPEC)
    assert (pixels[..., 0] == pixels[..., 1]).all() and (pixels[..., 0] == pixels[..., 2]).all()


@pytest.mark.parametrize("size", [(1, 1), (2000, 3), (3, 2000), (31, 33)])
@pytest.mark.parametrize("fit", PreprocessSpec.FITS)
def test_extreme_shapes(size: tuple[int, int], fit: str) -> None:
    spec = PreprocessSpec(32, 24, fit=fit)
    pixels = preprocess(Image.new("RGB", size, (9, 99, 199)), spec)
    assert pixels.shape == (24, 32, 3) and pixels.dtype == np.uint8
    assert (pixels == (9, 99, 199)).all(-1).any()
    assert fit == "pad" or (pixels == (9, 99, 199)).all()


def test_crop_sees_the_centre_and_stretch_sees_all() -> None:
    """Left and right thirds are black: the crop must not contain them."""
    picture = Image.new("RGB", (96, 32))
    picture.paste((255, 255, 255), (32, 0, 64, 32))
    assert (preprocess(picture, SPEC) == 255).all()
    assert (preprocess(picture, PreprocessSpec(32, 32, fit="stretch"))[:, 0] == 0).all()


def test_pad_shows_the_whole_photo_between_black_bars() -> None:
    pixels = preprocess(Image.new("RGB", (64, 32), "white"), PreprocessSpec(32, 32, fit="pad"))
    assert (pixels[:8] == 0).all() and (pixels[8:24] == 255).all() and (pixels[24:] == 0).all()


def test_visible_box_of_pad_reaches_beyond_the_photo() -> None:
    assert visible_box((64, 32), PreprocessSpec(32, 32, fit="pad")) == (0, -16, 64, 48)


def test_same_size_passes_through_unchanged() -> None:
    picture = gradient(32, 32)
    assert np.array_equal(preprocess(picture, SPEC), np.asarray(picture))


def test_large_jpeg_is_close_to_full_decoding(tmp_path: Path) -> None:
    """Reduced decoding may differ by a fraction of a grey level on average (0.18 measured)."""
    file = tmp_path / "large.jpg"
    gradient(1600, 1200).save(file, quality=95)
    reduced = preprocess(file, SPEC).astype(int)
    full = preprocess(Image.open(file).convert("RGB"), SPEC).astype(int)
    assert np.abs(reduced - full).mean() < 0.5


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("text.jpg", b"this is no photo", "not an image"),
        ("empty.jpg", b"", "an empty file"),
        ("missing.jpg", None, "no such file"),
    ],
)
def test_unreadable(tmp_path: Path, name: str, content: bytes | None, said: str) -> None:
    file = tmp_path / name
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ImageError, match=said) as caught:
        preprocess(file, SPEC)
    assert str(file) in str(caught.value)


def test_truncated_jpeg(tmp_path: Path) -> None:
    stream = io.BytesIO()
    gradient(64, 64).save(stream, "JPEG")
    file = tmp_path / "cut.jpg"
    file.write_bytes(stream.getvalue()[: len(stream.getvalue()) // 2])
    with pytest.raises(ImageError, match="damaged or cut off") as caught:
        preprocess(file, SPEC)
    assert "cut.jpg" in str(caught.value)


def test_folder_and_device_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path, "/dev/null"):
        with pytest.raises(ImageError, match="regular file"):
            preprocess(path, SPEC)


def test_gif_named_png_is_read_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "movie.png"
    gradient(40, 40).save(file, format="GIF")
    with caplog.at_level("WARNING", logger="edge_runtime"):
        pixels = preprocess(file, SPEC)
    assert np.array_equal(pixels, preprocess(file.read_bytes(), SPEC))
    assert "movie.png" in caplog.text and "GIF" in caplog.text


def test_bomb_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the header, before memory is allocated; the message names the way out."""
    monkeypatch.setenv("EDGE_CLASSIFY_MAX_MEGAPIXELS", "0.004")
    for fmt in ("PNG", "GIF", "TIFF", "WEBP", "BMP", "PPM"):
        stream = io.BytesIO()
        Image.new("L", (64, 64)).save(stream, fmt)
        with pytest.raises(ImageError, match=r"0\.004 megapixels .* EDGE_CLASSIFY_MAX_MEGAPIXELS"):
            preprocess(stream.getvalue(), SPEC)
    monkeypatch.setenv("EDGE_CLASSIFY_MAX_MEGAPIXELS", "many")
    with pytest.raises(ImageError, match="greater than 0"):
        preprocess(stream.getvalue(), SPEC)


def test_large_jpegs_that_are_reduced_may_have_more_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    """A progressive one, or one with a scan for each colour, is kept whole by libjpeg."""
    from edge_runtime.photos import decoding

    def jpeg(**options: object) -> bytes:
        stream = io.BytesIO()
        gradient(320, 240).save(stream, "JPEG", **options)
        return stream.getvalue()

    monkeypatch.setenv("EDGE_CLASSIFY_MAX_MEGAPIXELS", "0.02")
    monkeypatch.setattr(decoding, "_ANY_SCANS", 0)
    assert preprocess(jpeg(), SPEC).shape == (32, 32, 3)
    with pytest.raises(ImageError, match="320 x 240"):
        preprocess(jpeg(progressive=True), SPEC)
    start = jpeg().index(b"\xff\xda")
    scans = bytearray(jpeg())
    scans[start + 4] = 1  # one of three colours in the first scan
    with pytest.raises(ImageError, match="320 x 240"):
        preprocess(bytes(scans), SPEC)
    monkeypatch.setenv("EDGE_CLASSIFY_MAX_MEGAPIXELS", "0.01")
    with pytest.raises(ImageError, match="320 x 240"):
        preprocess(jpeg(), SPEC)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((4, 4), np.float32),
        np.zeros((4, 4, 2), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros(4, np.uint8),
    ],
    ids=["float", "two channels", "empty", "flat"],
)
def test_arrays_that_are_no_photo(array: np.ndarray) -> None:
    with pytest.raises(ImageError, match="expected uint8"):
        preprocess(array, SPEC)


def test_float_pixels_are_refused() -> None:
    with pytest.raises(ImageError, match="no defined range"):
        preprocess(Image.new("F", (4, 4)), SPEC)


@pytest.mark.parametrize(
    "wrong", [{"fit": "squash"}, {"kernel": "magic"}, {"width": 0}, {"height": True}]
)
def test_spec_refuses_what_it_does_not_know(wrong: dict[str, object]) -> None:
    with pytest.raises(ModelError, match=next(iter(wrong))):
        PreprocessSpec(**({"width": 32, "height": 32} | wrong))  # type: ignore[arg-type]
