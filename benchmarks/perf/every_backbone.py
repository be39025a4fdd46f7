"""Does every backbone train, export to TFLite and answer there as in Keras?

Run ``python -m benchmarks.perf.every_backbone [DATA]``. For each backbone the installed
``edge-train fit`` trains two epochs, one of the head and one of fine-tuning; ``edge-export bundle``
writes the float32 TFLite file and compares it with Keras on the validation photos. The photos are
few and small: this shows that the road is open for every network, not how good it gets. Exit code
4 unless all arrive.

The weights to start from are Keras's (``--weights imagenet``), or random kernels with BatchNorm
statistics measured on the photos: after two epochs from scratch these would still be so wrong that
every photo gets the same answer. The column "range" tells whether the comparison means anything:
how far apart Keras's probabilities of one class are from photo to photo, at most.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.perf.common import (
    EXIT_CHECK_FAILED,
    command,
    print_machine,
    shared_option,
    test_photos,
)
from edge_runtime.backends.full_model import import_keras, load_keras_model
from edge_runtime.files import find_photos
from edge_runtime.manifest import PreprocessSpec
from edge_runtime.preprocess import preprocess
from edge_runtime.rundir import RunDir
from exporter.photos import load_photos
from exporter.reference import reference_scores
from trainer.network.backbones import BACKBONES, build_base, get_backbone

_FORMAT = "tflite-fp32"

#: Photos that BatchNorm's statistics are measured on.
_MEASURED = 24


@click.command()
@click.argument("data", required=False, type=click.Path(path_type=Path))
@click.option("--backbones", help="With commas. Default: all.")
@click.option("--photos", default=10, show_default=True, help="Of each class in each part.")
@click.option("--size", default=96, show_default=True, help="Width and height of the input.")
@click.option(
    "--weights", type=click.Choice(["random", "imagenet"]), default="random", show_default=True
)
@shared_option()
def main(
    data: Path | None, backbones: str | None, photos: int, size: int, weights: str, shared: Path
) -> None:
    """Train, export and compare every backbone; DATA has train/ and val/ (default: groceries)."""
    print_machine()
    names = backbones.split(",") if backbones else list(BACKBONES)
    click.echo(
        f"{'backbone':18}{'fit s':>8}{'export s':>10}{'photos':>8}{'range':>9}"
        f"{'difference':>12}{'agreement':>11}"
    )
    failed = []
    with tempfile.TemporaryDirectory() as name:
        os.environ["EDGE_CLASSIFY_CACHE"] = os.path.join(name, "cache")
        chosen = copy_some(data or test_photos(shared).parent, Path(name) / "photos", photos)
        for backbone in names:
            try:
                row = try_backbone(backbone, chosen, Path(name) / backbone, size, weights)
            except subprocess.CalledProcessError as error:
                failed.append(backbone)
                click.echo(f"{backbone:18}FAILED: {error.stderr.strip().splitlines()[-1]}")
                continue
            finally:
                shutil.rmtree(Path(name) / backbone, ignore_errors=True)
            click.echo(
                f"{backbone:18}{row['fit_s']:8.0f}{row['export_s']:10.0f}{row['n']:8}"
                f"{row['range']:9.3f}{row['max_abs_diff']:12.1e}{row['agreement']:11.1%}"
            )
    click.echo(f"FAILED: {', '.join(failed)}" if failed else "all of them arrive")
    if failed:
        raise click.exceptions.Exit(EXIT_CHECK_FAILED)


def copy_some(source: Path, target: Path, count: int) -> Path:
    """Copy the first photos of each class of train/ and val/."""
    for part in ("train", "val"):
        for folder in sorted(path for path in (source / part).iterdir() if path.is_dir()):
            (target / part / folder.name).mkdir(parents=True)
            for photo in sorted(folder.iterdir())[:count]:
                shutil.copy(photo, target / part / folder.name)
    return target


def try_backbone(name: str, data: Path, folder: Path, size: int, weights: str) -> dict[str, Any]:
    """Train, export, compare.

    Returns:
        The row of ``parity.json``, and ``fit_s``, ``export_s`` and ``range``.

    Raises:
        CalledProcessError: A command failed, or the file does not agree.
    """
    folder.mkdir()
    if weights == "random":
        weights = os.fspath(write_random(name, data, folder / "random.keras", size))
    start = time.perf_counter()
    network = ["--backbone", name, "--image-size", str(size), "--weights", weights]
    epochs = ["--batch-size", "16", "--head-epochs", "1", "--finetune-epochs", "1"]
    run([command("edge-train"), "fit", data, "--out", folder / "run", *network, *epochs])
    trained = time.perf_counter()
    bundle = folder / "bundle"
    run([command("edge-export"), "bundle", folder / "run", "--out", bundle, "--formats", _FORMAT])
    exported = time.perf_counter()
    rows = json.loads((bundle / "parity.json").read_text(encoding="utf-8"))["artifacts"]
    row = next(row for row in rows if row["format"] == _FORMAT)
    return {
        **row,
        "fit_s": trained - start,
        "export_s": exported - trained,
        "range": score_range(folder / "run"),
    }


def write_random(name: str, data: Path, file: Path, size: int) -> Path:
    """Save a backbone with random kernels that lets photos through."""
    keras = import_keras()
    keras.utils.set_random_seed(0)
    base = build_base(get_backbone(name), size)
    spec = PreprocessSpec(size, size)
    photos = find_photos(os.fspath(data / "val"))[::2][:_MEASURED]
    pixels = np.stack([preprocess(photo, spec) for photo in photos]).astype(np.float32)
    for layer in base.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0  # the statistics become those of the one batch
        elif layer.name.endswith("layer_scale"):
            layer.set_weights([np.ones_like(value) for value in layer.get_weights()])
    base(pixels, training=True)
    base.save(file)
    keras.backend.clear_session()
    return file


def run(arguments: Sequence[str | Path]) -> None:
    """Run a command that must succeed."""
    subprocess.run(
        [os.fspath(argument) for argument in arguments], check=True, capture_output=True, text=True
    )


def score_range(path: Path) -> float:
    """Largest difference of one class's probability between two validation photos, in Keras."""
    opened = RunDir.open(path)
    pixels = load_photos(opened.split("val"), opened.info.preprocess).pixels
    scores = reference_scores(load_keras_model(opened.model_path), pixels)
    import_keras().backend.clear_session()
    return float((scores.max(axis=0) - scores.min(axis=0)).max())


if __name__ == "__main__":
    main()
