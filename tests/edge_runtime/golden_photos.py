"""Write golden photos into a bundle of color_model, as edge-export does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from color_model import COLORS, INFO
from PIL import Image

from edge_runtime.bundle import Bundle
from edge_runtime.files import sha256_file
from edge_runtime.golden import FILE, FOLDER, pixels_digest
from edge_runtime.opening import open_backend
from edge_runtime.preprocess import preprocess


def write_golden(bundle: Path, formats: dict[str, float]) -> Path:
    """A turned JPEG and a large PNG, with the scores of some formats and their tolerances.

    Returns:
        The path of ``golden.json``.
    """
    home = bundle / FOLDER
    home.mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    picture(80, 60, "red").save(home / "golden-1.jpg", exif=exif, quality=90)
    picture(70, 90, "blue").save(home / "golden-2.png")
    backends = {fmt: open_backend(Bundle.open(bundle).file(fmt)[1]) for fmt in formats}
    photos = []
    for name, label in (("golden-1.jpg", "red"), ("golden-2.png", "blue")):
        pixels = preprocess(home / name, INFO.preprocess)
        exact = name.endswith(".png")
        entry: dict[str, Any] = {
            "file": name,
            "sha256": sha256_file(home / name),
            "label": label,
            "class_index": list(COLORS).index(label),
            "pixels": None if exact else "golden-1.pixels.png",
            "pixels_sha256": pixels_digest(pixels),
            "exact": exact,
            "scores": {
                fmt: [float(score) for score in backend.scores(pixels)]
                for fmt, backend in backends.items()
            },
        }
        if not exact:
            Image.fromarray(pixels).save(home / entry["pixels"])
        photos.append(entry)
    tolerances = {fmt: {"max_abs_diff": t, "reason": "a test"} for fmt, t in formats.items()}
    data = {"version": 2, "reference": "keras float32", "photos": photos, "tolerances": tolerances}
    (home / FILE).write_text(json.dumps(data))
    return home / FILE


def picture(width: int, height: int, color: str) -> Image.Image:
    """A colour over noise, without symmetry."""
    noise = np.random.default_rng(5).integers(0, 120, (height, width, 3))
    noise[..., list(COLORS).index(color)] += 60
    return Image.fromarray(noise.astype(np.uint8))
