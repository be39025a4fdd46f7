"""The picture of a heat map: what is drawn where, in which size, and what is written below."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFont

from edge_runtime.errors import OutputExists, UsageError
from edge_runtime.heat import lettering
from edge_runtime.heat.colormaps import COLORMAPS, colorize, table
from edge_runtime.heat.lettering import drawable, font, wrap
from edge_runtime.heatmap import (
    Explanation,
    _warn_of_one_place,
    blend,
    draw_overlay,
    normalize,
    save_overlay,
    seen_box,
)  # fmt: skip
from edge_runtime.manifest import PreprocessSpec

CROP = PreprocessSpec(32, 32)
GREY = (120, 120, 120)


def explained(heatmap: np.ndarray, label: str = "cat") -> Explanation:
    return Explanation(heatmap.astype(np.float32), 7, label, 0.5)


def grey(width: int, height: int) -> Image.Image:
    return Image.new("RGB", (width, height), GREY)


def brightness(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture.convert("L")).astype(int)


def test_normalize() -> None:
    assert normalize(np.zeros((2, 2), np.float32)).max() == 0
    assert normalize(np.array([[1.0, 4.0]])).tolist() == [[0.25, 1.0]]


@pytest.mark.parametrize("name", COLORMAPS)
def test_colour_maps_are_ordered_and_those_of_matplotlib(name: str) -> None:
    """Lightness (CIE 1976 L*) grows from cold to hot."""
    colors = table(name) / 255
    linear = np.where(colors <= 0.04045, colors / 12.92, ((colors + 0.055) / 1.055) ** 2.4)
    luminance = linear @ [0.2126, 0.7152, 0.0722]
    lightness = 116 * np.cbrt(np.maximum(luminance, 0.008856)) - 16
    assert (np.diff(lightness) > -0.1).all() and lightness[-1] - lightness[0] > 60
    colormaps = pytest.importorskip("matplotlib").colormaps
    reference = colormaps[name](np.linspace(0, 1, 256))[:, :3] * 255
    assert np.abs(table(name) - reference).max() < 12  # 17 stops; 10.6 was measured, of cividis
    assert np.array_equal(colorize(np.array([[0.0, 1.0]]), name)[0], table(name)[[0, -1]])


def test_unknown_colour_map_lists_the_known() -> None:
    with pytest.raises(UsageError, match="inferno, magma, viridis, cividis"):
        table("jet")


def test_what_the_network_did_not_see_is_dim_and_outlined() -> None:
    """Of a 128x64 photo a square network sees the middle: 32 to 96."""
    light = brightness(blend(grey(128, 64), np.ones((4, 4)), CROP))
    assert np.abs(light[:, :30] - 0.45 * 120).max() <= 1 and (light[:, 98:] == light[0, 0]).all()
    assert (light[:, 31] == 255).all() and (light[:, 96] == 255).all()
    assert (light[:, 32:96] > 150).all()  # inferno at its hottest, mixed with grey


@pytest.mark.parametrize("fit", ["stretch", "pad"])
def test_nothing_is_dim_where_all_is_seen(fit: str) -> None:
    light = brightness(blend(grey(128, 64), np.ones((4, 4)), PreprocessSpec(32, 32, fit=fit)))
    assert (light > 150).all()


def test_padded_map_shows_its_middle() -> None:
    """Of a map over a padded 2:1 photo the upper and lower quarter lie outside the photo."""
    heat = np.zeros((8, 8))
    heat[:2] = heat[6:] = 1
    light = brightness(blend(grey(128, 64), heat, PreprocessSpec(32, 32, fit="pad")))
    assert light[16:48].max() < light[0].min()
    heat = 1 - heat
    light = brightness(blend(grey(128, 64), heat, PreprocessSpec(32, 32, fit="pad")))
    assert light[16:48].min() > 150


def test_hot_spot_lies_where_the_region_is() -> None:
    """The lower right cell of the map of a region is the lower right part of that region."""
    roi = (0.5, 0.25, 1.0, 0.75)
    assert seen_box((200, 100), CROP, roi) == (125, 25, 175, 75)  # the middle of 100x50
    heat = np.zeros((4, 4))
    heat[3, 3] = 1
    picture = blend(grey(200, 100), heat, CROP, roi)
    light = brightness(picture)
    light[:, :125] = light[:, 175:] = light[:25] = light[75:] = 0  # outline and outside
    y, x = np.unravel_index(light.argmax(), light.shape)
    assert 162 <= x < 175 and 62 <= y < 75


def test_strips_fit_without_a_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    heat = np.random.default_rng(0).random((7, 7))
    whole = np.asarray(blend(grey(300, 200), heat, CROP)).astype(int)
    monkeypatch.setattr("edge_runtime.heatmap._STRIP", 1000)
    strips = np.asarray(blend(grey(300, 200), heat, CROP)).astype(int)
    # Float32 rounding moves a value by 5e-5 of 255 levels, and inferno by at most 4 a level.
    assert np.abs(whole - strips).max() <= 4 and (whole != strips).mean() < 1e-3


@pytest.mark.parametrize(
    ("size", "photo"),
    [((640, 480), (640, 480)), ((480, 640), (480, 640)), ((20, 20), (260, 260)),
     ((1, 1), (256, 256)), ((2, 900), (2, 900)), ((900, 2), (900, 2))],
)  # fmt: skip
def test_size_is_the_photos_own(size: tuple[int, int], photo: tuple[int, int]) -> None:
    """Its own pixels, enlarged by a whole factor where nobody could see the map."""
    sheet = draw_overlay(grey(*size), explained(np.eye(4)), CROP, caption="model.tflite")
    assert sheet.width == max(photo[0], 320)
    assert photo[1] + 50 < sheet.height < photo[1] + max(120, photo[1] // 3)
    legend = brightness(sheet)[photo[1] :]
    assert (legend == 255).mean() > 0.4 and (legend < 60).any(), "dark text on white"


def test_text_grows_with_the_photo() -> None:
    def share(side: int) -> float:
        return draw_overlay(grey(side, side), explained(np.eye(4)), CROP).height / side - 1

    assert share(4000) == pytest.approx(share(1000), rel=0.15)


@pytest.mark.parametrize("label", ["x" * 500, "a long name of many words " * 20, "", "a\nb\tc\x00"])
def test_any_label_fits(label: str) -> None:
    sheet = draw_overlay(grey(400, 300), explained(np.eye(4), label), CROP)
    legend = np.asarray(sheet)[300:]
    assert (legend[:, :4] == 255).all() and (legend[:, -4:] == 255).all(), "within the margins"


def test_empty_map_says_so() -> None:
    full = draw_overlay(grey(400, 300), explained(np.ones((4, 4))), CROP)
    empty = draw_overlay(grey(400, 300), explained(np.zeros((4, 4))), CROP)
    assert not np.array_equal(np.asarray(full)[300:], np.asarray(empty)[300:])


def test_lines() -> None:
    face = font(None, 20)
    assert wrap("one two three four", face, 1000, 2) == ["one two three four"]
    lines = wrap("one two three four five six", face, 90, 2)
    assert lines[0] == "one two" and lines[1].endswith("...") and len(lines) == 2
    assert all(face.getlength(line) <= 90 for line in lines)
    assert wrap("", face, 90, 2) == []


def test_other_scripts(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Pillow's own font where it can, without accents where it must, else the class's number."""
    monkeypatch.setattr(lettering, "_SYSTEM_FONTS", ())
    for cached in (lettering._font_with, lettering._say_once):
        cached.cache_clear()
    assert drawable("Banane", "class 1") == ("Banane", None)
    assert drawable("Café Grün", "class 1") == ("Cafe Grun", None)
    assert not caplog.records
    assert drawable("猫", "class 1") == ("class 1", None)
    assert drawable("犬", "class 2") == ("class 2", None)
    assert ["fonts-noto-cjk" in record.message for record in caplog.records] == [True]
    for cached in (lettering._font_with, lettering._say_once):
        cached.cache_clear()


@pytest.mark.parametrize("system", [True, False])
def test_older_pillow(monkeypatch: pytest.MonkeyPatch, system: bool) -> None:
    """Before Pillow 10.1 its own font has one size: a font of the system, else that one enlarged."""
    plain = ImageFont.load_default_imagefont()

    def load_default(*size: float) -> ImageFont.ImageFont:
        if size:
            raise TypeError("load_default() takes 0 positional arguments but 1 was given")
        return plain

    monkeypatch.setattr(ImageFont, "load_default", load_default)
    found = ("DejaVuSans.ttf",) if system else ()
    monkeypatch.setattr(lettering, "_SYSTEM_FONTS", found)
    if system:
        monkeypatch.setattr(ImageFont, "truetype", lambda name, size: (name, size))
        assert font(None, 24) == ("DejaVuSans.ttf", 24)
        return
    lettering._font_with.cache_clear()
    face = font(None, 24)
    assert face.getlength("ab") == 2 * 2 * 6  # letters of 6 pixels, twice as large
    mask, offset = face.getmask2("ab", anchor="rm")
    assert (mask.size, offset) == ((24, 22), (-24, -11))
    assert drawable("Café?", "class 1") == ("Café?", None)
    assert drawable("猫", "class 1") == ("class 1", None)
    picture = np.asarray(draw_overlay(grey(400, 300), explained(np.ones((4, 4))), CROP))
    assert (picture[300:].max(axis=-1) < 50).any()  # black letters
    lettering._font_with.cache_clear()


def test_font_of_the_users_choice(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lettering._font_with.cache_clear()
    (tmp_path / "no.ttf").write_text("no font")
    monkeypatch.setenv(lettering.FONT_VARIABLE, str(tmp_path / "no.ttf"))
    assert drawable("Apfel", "class 1") == ("Apfel", None)
    assert "not a font" in caplog.text


@pytest.mark.parametrize(
    ("name", "kind"), [("a.png", "PNG"), ("a.jpg", "JPEG"), ("a.JPEG", "JPEG")]
)
def test_files(tmp_path: Path, name: str, kind: str) -> None:
    """By the name's ending; turned as the EXIF block says; never over another file."""
    photo = tmp_path / "turned.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    grey(400, 300).save(photo, exif=exif)
    out = tmp_path / name
    save_overlay(photo, explained(np.eye(4)), CROP, out)
    with Image.open(out) as picture:
        assert picture.format == kind and picture.width == 320 and picture.height > 400
    with pytest.raises(OutputExists):
        save_overlay(photo, explained(np.eye(4)), CROP, out)
    save_overlay(photo, explained(np.zeros((4, 4))), CROP, out, overwrite=True)


def test_other_endings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"ends in \.png or \.jpg"):
        save_overlay(grey(9, 9), explained(np.eye(4)), CROP, tmp_path / "a.gif")
    assert not list(tmp_path.iterdir())


def test_memory_of_a_large_photo() -> None:
    """numpy holds no more than a strip; a float copy of 12 megapixels would be 144 MB."""
    tracemalloc.start()
    draw_overlay(grey(4000, 3000), explained(np.eye(7)), CROP)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8e6


def test_a_map_of_one_place_says_so_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The whole photo in one colour looks like a fault."""
    _warn_of_one_place.cache_clear()
    for name in ("a.png", "b.png"):
        save_overlay(grey(40, 30), explained(np.ones((1, 1))), CROP, tmp_path / name)
    assert [r.levelname for r in caplog.records] == ["WARNING"] and "1 x 1" in caplog.text
