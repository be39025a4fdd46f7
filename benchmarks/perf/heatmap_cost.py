"""Are the heat maps of exported files those of Grad-CAM, and what do they cost?

Run ``python -m benchmarks.perf.heatmap_cost RUN BUNDLE [--photos N] [--formats a,b]``. Test photos are
classified alone, and classified and explained, by turns (which of the two comes first changes from
photo to photo), with one interpreter thread, each file in a process of its own. The maps are
compared with Grad-CAM of the run's Keras model, with real gradients, for the class that the file
itself answered. Exit code 4 unless all of this holds:

- the maps correlate by 0.999 (float) or 0.95 (int8) on average;
- explaining costs at most 0.2 s once (the file is opened a second time, with its feature map as an
  output; imports included);
- and at most 5 % a photo, the median over all pairs, from the file on disk to the answer.

The share of the inference alone is printed beside it, and so is the drawing of the picture, which is
no part of it: 12 megapixels are drawn and written, too. An ONNX file of edge-export has the map as
a second output, which every run computes whether it is asked for or not: what that costs is in
both sides.
"""

from __future__ import annotations

import multiprocessing
import os
import statistics
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.perf.common import (
    EXIT_CHECK_FAILED,
    print_machine,
    record,
    shared_option,
    spread,
    test_photos,
)
from edge_runtime.bundle import Bundle
from edge_runtime.errors import EdgeError
from edge_runtime.files import find_photos, sha256_file
from edge_runtime.rundir import RunDir
from exporter.parity import correlate
from exporter.thresholds import is_float

#: Seconds once, and share a photo.
_ONCE, _EACH = 0.2, 0.05

_CORRELATION = {True: 0.999, False: 0.95}

#: Sides of the large photo that is drawn: 12 megapixels.
_LARGE = (4032, 3024)


@dataclass(frozen=True)
class Measured:
    """What one file took."""

    once: float  #: seconds
    photo: list[float]  #: classified and explained / classified alone, of the same photo
    inference: list[float]  #: likewise, from pixels on
    plain_ms: float  #: classified alone, median
    draw_ms: float  #: one picture, its own photo decoded in full, median
    draw_large_ms: float  #: 12 megapixels
    answers: list[int]
    maps: list[np.ndarray]


@click.command()
@click.argument("run")
@click.argument("bundle")
@click.option("--photos", "count", default=40, show_default=True, type=click.IntRange(2))
@click.option("--rounds", default=3, show_default=True, type=click.IntRange(1))
@click.option("--formats", help="Comma-separated. Default: all of the bundle that explain.")
@shared_option()
def main(run: str, bundle: str, count: int, rounds: int, formats: str | None, shared: Path) -> None:
    """Compare the heat maps of BUNDLE with Grad-CAM of RUN, and time them."""
    print_machine()
    every = find_photos(test_photos(shared))
    photos = [every[i] for i in np.linspace(0, len(every) - 1, min(count, len(every))).astype(int)]
    try:
        opened, source = Bundle.open(bundle), RunDir.open(run)
        if opened.manifest.source["weights_sha256"] != sha256_file(source.model_path):
            raise click.ClickException(f"{bundle}: was not made from {run}.")
        names = formats.split(",") if formats else _explaining(opened)
        found = {name: _alone(bundle, name, photos, rounds) for name in names}
        failures = _report(found, source, photos)
    except EdgeError as error:
        raise click.ClickException(str(error)) from error
    for failure in failures:
        click.echo(failure, err=True)
    if failures:
        raise click.exceptions.Exit(EXIT_CHECK_FAILED)


def _explaining(bundle: Bundle) -> list[str]:
    return [
        a.format for a in bundle.manifest.artifacts if a.format.startswith(("tflite-", "onnx-"))
    ]


def _alone(bundle: str, fmt: str, photos: list[str], rounds: int) -> Measured:
    """Measure in a fresh process, whose memory and imports are those of this file only."""
    click.echo(f"{fmt}: {len(photos)} photos, {rounds} rounds", err=True)
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(measure, bundle, fmt, photos, rounds).result()


def measure(bundle: str, fmt: str, photos: list[str], rounds: int) -> Measured:
    """Time a file of a bundle, and keep what it answers and explains."""
    from edge_runtime import Classifier

    classifier = Classifier.open(bundle, fmt, threads=1)
    pixels = [classifier.pixels(photo) for photo in photos]
    for picture in pixels[:5]:  # the caches and the clock of the processor
        classifier.classify_pixels(picture, "", 0.0)
    first = _seconds(lambda: classifier.explain_pixels(pixels[0]))
    once = first - min(_seconds(lambda: classifier.explain_pixels(pixels[0])) for _ in range(5))
    whole, inference, plain = [], [], []
    for number in range(rounds):
        for place, photo in enumerate(photos):
            turned = bool((number + place) % 2)
            a, b = _pair(
                lambda p=photo: classifier.classify(p),
                lambda p=photo: classifier.explain_pixels(classifier.pixels(p)),
                turned,
            )
            whole.append(b / a)
            plain.append(a * 1000)
            a, b = _pair(
                lambda p=pixels[place]: classifier.backend.scores(p),
                lambda p=pixels[place]: classifier.explain_pixels(p),
                turned,
            )
            inference.append(b / a)
    found = [classifier.explain_pixels(picture) for picture in pixels]
    draw_ms, draw_large_ms = _drawing(classifier, photos, found)
    return Measured(
        once,
        whole,
        inference,
        statistics.median(plain),
        draw_ms,
        draw_large_ms,
        [f.index for f in found],
        [f.heatmap for f in found],
    )


def _drawing(classifier: Any, photos: list[str], found: list[Any]) -> tuple[float, float]:
    """Milliseconds to draw and write a picture of these photos, and of a large one."""
    from PIL import Image

    from edge_runtime.heatmap import save_overlay

    spec = classifier.info.preprocess
    with tempfile.TemporaryDirectory() as folder:
        out, large = os.path.join(folder, "out.jpg"), os.path.join(folder, "large.jpg")
        with Image.open(photos[0]) as photo:
            photo.convert("RGB").resize(_LARGE).save(large, quality=90)

        def draw(photo: str, explanation: Any) -> float:
            return 1000 * _seconds(
                lambda: save_overlay(photo, explanation, spec, out, overwrite=True)
            )

        small = [draw(photo, one) for photo, one in zip(photos, found, strict=True)]
        return statistics.median(small), min(draw(large, found[0]) for _ in range(3))


def _pair(first: Any, second: Any, turned: bool) -> tuple[float, float]:
    if turned:
        b = _seconds(second)
        return _seconds(first), b
    return _seconds(first), _seconds(second)


def _seconds(function: Any) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def _report(found: dict[str, Measured], run: RunDir, photos: list[str]) -> list[str]:
    """Print the table; what does not hold."""
    from edge_runtime.backends.full_model import load_keras_model
    from edge_runtime.preprocess import preprocess
    from exporter.reference import Reference

    reference = Reference(load_keras_model(run.model_path))
    pixels = [preprocess(photo, run.info.preprocess) for photo in photos]
    known: dict[tuple[int, int], np.ndarray] = {}
    failures = []
    click.echo(
        "| format | correlation, mean (smallest) | once s | a photo | inference alone "
        "| classified ms | drawn ms | 12 megapixels drawn ms |\n" + "|---" * 8 + "|"
    )
    for fmt, measured in found.items():
        for key in enumerate(measured.answers):
            if key not in known:
                known[key] = reference.heatmap(pixels[key[0]], key[1])
        expected = [known[key] for key in enumerate(measured.answers)]
        agreed = correlate(expected, measured.maps)
        each = statistics.median(measured.photo) - 1
        inference = statistics.median(measured.inference) - 1
        click.echo(
            f"| `{fmt}` | {agreed['mean']:.6f} ({agreed['min']:.6f}) | {measured.once:.3f} "
            f"| {each:+.1%} | {inference:+.1%} | {measured.plain_ms:.1f} "
            f"| {measured.draw_ms:.0f} | {measured.draw_large_ms:.0f} |"
        )
        click.echo(f"{fmt}: ratio a photo {spread(measured.photo)}", err=True)
        limit = _CORRELATION[is_float(fmt)]
        record(f"`{fmt}`: correlation, mean of photos", [agreed["mean"] or 0.0], "", least=limit)
        record(f"`{fmt}`: a map's cost, once", [measured.once], "s", most=_ONCE)
        record(f"`{fmt}`: a photo with its map over one without", measured.photo, most=1 + _EACH)
        if not (agreed["mean"] or 0) >= limit:
            failures.append(f"{fmt}: heat maps correlate by {agreed['mean']}, not {limit}")
        if measured.once > _ONCE:
            failures.append(f"{fmt}: {measured.once:.3f} s once, not {_ONCE}")
        if each > _EACH:
            failures.append(f"{fmt}: {each:.1%} a photo, not {_EACH:.0%}")
    return failures


if __name__ == "__main__":
    main()
