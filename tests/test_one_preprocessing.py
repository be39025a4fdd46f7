"""The same odd photos through every entrance of the toolkit give the same tensor."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from edge_runtime.backends.base import Backend
from edge_runtime.classifier import Classifier
from edge_runtime.files import sha256_file
from edge_runtime.manifest import ModelInfo, PreprocessSpec
from edge_runtime.preprocess import load_upright, preprocess
from edge_runtime.rundir import SplitRow
from exporter.photos import load_photos
from trainer.data.dataset import Sample
from trainer.data.pixels import load_part

SPEC = PreprocessSpec(40, 32)


class Recorder(Backend):
    """A model that keeps what it was given."""

    name, input_size, classes = "recorder", (SPEC.width, SPEC.height), 2

    def prepare(self, pixels: np.ndarray) -> np.ndarray:
        return pixels[None]

    def run(self, tensor: np.ndarray) -> np.ndarray:
        self.seen = tensor[0]
        return np.array([[0.25, 0.75]], np.float32)


def picture(width: int = 60, height: int = 50) -> Image.Image:
    """A photo without symmetry, so that a turn or a flip shows."""
    random = np.random.default_rng(7).integers(0, 256, (height // 5, width // 5, 3), np.uint8)
    return Image.fromarray(random).resize((width, height), Image.Resampling.BICUBIC)


def exif_rotated(file: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    picture().save(file, exif=exif)


def sixteen_bit(file: Path) -> None:
    grey = np.asarray(picture().convert("L")).astype(np.uint16) * 257 + 3
    Image.fromarray(grey).save(file)


def see_through() -> Image.Image:
    image = picture().convert("RGBA")
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    return image


def transparent(file: Path) -> None:
    see_through().save(file)


def profiled(file: Path) -> None:
    """sRGB in whose tag table red and blue have changed names."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for old, new in ((b"rXYZ", b"...."), (b"bXYZ", b"rXYZ"), (b"....", b"bXYZ")):
        profile = profile.replace(old, new, 1)
    picture().save(file, icc_profile=profile)


def heic(file: Path) -> None:
    heif = pytest.importorskip("pillow_heif", reason="the extra heic is not installed")
    heif.register_heif_opener()  # for the entrance that opens with Pillow alone
    heif.from_pillow(picture()).save(file)


def palette(file: Path) -> None:
    picture().quantize(16).save(file, transparency=3)


ODD: dict[str, Callable[[Path], None]] = {
    "rotated.jpg": exif_rotated,
    "palette.png": palette,
    "rgba.png": transparent,
    "grey.jpg": lambda file: picture().convert("L").save(file),
    "sixteen.png": sixteen_bit,
    "cmyk.jpg": lambda file: picture().convert("CMYK").save(file),
    "dot.png": lambda file: Image.new("RGB", (1, 1), (200, 100, 50)).save(file),
    "wide.png": lambda file: picture(2000, 10).save(file),
    "bilevel.gif": lambda file: picture().convert("1").save(file),
    "plain.webp": lambda file: picture().save(file, lossless=True),
    "plain.tif": lambda file: picture().save(file),
    "plain.bmp": lambda file: picture().save(file),
    "profiled.jpg": profiled,
    "profiled.png": profiled,
    "print.tif": lambda file: picture().convert("CMYK").save(file),
    "movie.gif": lambda file: picture().save(file, save_all=True, append_images=[picture(30, 30)]),
    "lab.tif": lambda file: Image.new("LAB", (60, 50), (138, 209, 198)).save(file),
    "alpha.webp": lambda file: see_through().save(file, lossless=True),
    "phone.heic": heic,
}


def by_classifier(file: Path) -> np.ndarray:
    """`edge-classify image`, `edge-bench run --data`."""
    recorder = Recorder()
    Classifier(recorder, ModelInfo(("a", "b"), SPEC), "test", "test").classify(file)
    return recorder.seen


def by_training_cache(file: Path) -> np.ndarray:
    """`edge-train fit` and `evaluate`."""
    photos, _ = load_part([Sample(str(file), 0)], SPEC, "val")
    return photos.images[:1][0]


def by_exporter(file: Path) -> np.ndarray:
    """Calibration, parity and golden photos of `edge-export bundle`."""
    row = SplitRow(str(file), sha256_file(file), "a", "train")
    return np.array(load_photos([row], SPEC, file.parent / "calibration.npy").pixels[0])


def by_frame(file: Path) -> np.ndarray:
    """`edge-classify stream`, whose frames are upright RGB arrays."""
    recorder = Recorder()
    classifier = Classifier(recorder, ModelInfo(("a", "b"), SPEC), "test", "test")
    classifier.classify(np.asarray(load_upright(file)))
    return recorder.seen


ENTRANCES: dict[str, Callable[[Path], np.ndarray]] = {
    "text path": lambda file: preprocess(str(file), SPEC),
    "bytes": lambda file: preprocess(file.read_bytes(), SPEC),
    "memory": lambda file: preprocess(memoryview(file.read_bytes()), SPEC),
    "PIL": lambda file: preprocess(Image.open(file), SPEC),
    "classifier": by_classifier,
    "training": by_training_cache,
    "exporter": by_exporter,
    "frame": by_frame,
}


@pytest.mark.parametrize("entrance", list(ENTRANCES))
@pytest.mark.parametrize("name", list(ODD))
def test_same_tensor(tmp_path: Path, name: str, entrance: str) -> None:
    file = tmp_path / name
    ODD[name](file)
    expected = preprocess(file, SPEC)
    assert expected.shape == (32, 40, 3) and expected.dtype == np.uint8
    np.testing.assert_array_equal(ENTRANCES[entrance](file), expected)
