"""What converts: every backbone times the main formats, EfficientNetB0 times all of them.

Run ``python -m benchmarks.perf.every_format [--backbones NAME,...] [--out FILE]``. Each network has
random kernels with BatchNorm statistics measured on the photos (random ones would give every photo
the same answer), two classes, and is converted by the converting process of ``edge-export``; the
file answers some photos through ``edge_runtime``. The table says the largest difference of a
probability from Keras, and the size; where a format does not convert, why. Exit code 4 unless all
do. The input has the backbone's own size, or ``--size``; the heading says which.
"""

from __future__ import annotations

import gc
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.perf.common import EXIT_CHECK_FAILED, print_machine, shared_option, test_photos
from edge_runtime.backends.full_model import import_keras
from edge_runtime.errors import EdgeError
from edge_runtime.files import find_photos, size_of
from edge_runtime.manifest import ModelInfo, PreprocessSpec, artifact_name
from edge_runtime.preprocess import preprocess
from edge_runtime.rundir import CONFIG, METRICS, RunDir, write_info, write_json, write_split
from exporter.contents import Origin
from exporter.conversion import Converter
from exporter.formats.registry import FORMATS
from exporter.heatmaps import heatmap_spec
from exporter.metadata.describe import describe
from exporter.options import ExportOptions
from exporter.scoring import answers
from trainer.network.backbones import BACKBONES, build_base, get_backbone
from trainer.network.model import build_classifier

_MAIN = ("saved_model", "tflite-fp32", "tflite-int8", "onnx-fp32")
_ALL_OF = "efficientnetb0"
_CLASSES = ("first", "second")

#: Photos that are compared; as many more are calibrated on.
_PHOTOS = 4


@click.command()
@click.option("--backbones", help="With commas. Default: all.")
@click.option("--size", type=click.IntRange(32), help="Of the input. Default: the backbone's own.")
@click.option("--out", type=click.Path(path_type=Path), help="Write the table to this file, too.")
@shared_option()
def main(backbones: str | None, size: int | None, out: Path | None, shared: Path) -> None:
    """Convert every backbone to every main format, and compare each file with Keras."""
    print_machine()
    photos = find_photos(os.fspath(test_photos(shared)))[:: 375 // (2 * _PHOTOS)][: 2 * _PHOTOS]
    cells: dict[str, dict[str, str]] = {}
    for name in backbones.split(",") if backbones else BACKBONES:
        side = size or get_backbone(name).size
        formats = list(FORMATS) if name == _ALL_OF else list(_MAIN)
        with tempfile.TemporaryDirectory() as folder:
            cells[f"{name}, {side} px"] = convert_all(name, side, formats, photos, Path(folder))
        click.echo(f"{name}: {cells[f'{name}, {side} px']}", err=True)
    text = table(cells)
    click.echo(text)
    if out is not None:
        out.write_text(text + "\n", encoding="utf-8")
    if any("fails" in cell for row in cells.values() for cell in row.values()):
        raise click.exceptions.Exit(EXIT_CHECK_FAILED)


def convert_all(
    name: str, side: int, formats: Sequence[str], photos: Sequence[str], work: Path
) -> dict[str, str]:
    """Convert one backbone.

    Returns:
        For each format: largest difference and size, or why it does not convert.
    """
    spec = PreprocessSpec(side, side)
    pixels = np.stack([preprocess(photo, spec) for photo in photos])
    compared, calibration = work / "compared.npy", work / "calibration.npy"
    np.save(compared, pixels[:_PHOTOS])
    np.save(calibration, pixels[_PHOTOS:])
    run = write_run(name, side, pixels, work / name)
    options = ExportOptions()
    origin, found = Origin.of(run, options), {}
    scratch = work / "scratch"
    scratch.mkdir()
    with Converter(run, options, scratch) as converter:
        expected = converter.scores(compared, _PHOTOS)
        for fmt in sorted(formats, key=lambda fmt: not fmt.startswith("onnx")):  # memory first
            try:
                plain = converter.convert(fmt, calibration).file
                info = origin.info(fmt, heatmap_spec(fmt, plain, converter.heatmap))
                file = work / artifact_name(fmt)
                describe(plain, file, info, origin.name)
                scores = answers(file, compared, _PHOTOS, info).scores
            except EdgeError as error:
                found[fmt] = f"fails: {error}".replace("|", "/")
                continue
            difference = float(np.abs(scores - expected).max())
            found[fmt] = f"{difference:.0e}, {size_of(file) / 1e6:.1f} MB"
    return found


def write_run(name: str, side: int, pixels: np.ndarray, folder: Path) -> RunDir:
    """Save a run directory with a network of random kernels that tells photos apart."""
    keras = import_keras()
    keras.utils.set_random_seed(0)
    base = build_base(get_backbone(name), side)
    for layer in base.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0  # the statistics become those of the one batch
        elif layer.name.endswith("layer_scale"):
            layer.set_weights([np.ones_like(value) for value in layer.get_weights()])
    base(pixels.astype(np.float32), training=True)
    model: Any = build_classifier(base, len(_CLASSES), 0.2)
    folder.mkdir()
    model.save(folder / "model.keras")
    write_info(folder, ModelInfo(_CLASSES, PreprocessSpec(side, side)))
    write_split(folder, [])
    write_json(folder / METRICS, {"val": None, "test": None})
    (folder / CONFIG).write_text(f"backbone: {name}\n", encoding="utf-8")
    del base, model
    keras.backend.clear_session()
    gc.collect()
    return RunDir.open(folder)


def table(cells: dict[str, dict[str, str]]) -> str:
    """The Markdown tables: main formats of all backbones, then all formats of one."""
    lines = [f"| network | {' | '.join(f'`{fmt}`' for fmt in _MAIN)} |", "|---" * 5 + "|"]
    for name, row in cells.items():
        lines.append(f"| {name} | {' | '.join(row[fmt] for fmt in _MAIN)} |")
    for name, row in cells.items():
        if name.startswith(f"{_ALL_OF},"):
            lines += ["", f"| format | {name} |", "|---|---|"]
            lines += [f"| `{fmt}` | {row[fmt]} |" for fmt in FORMATS]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
