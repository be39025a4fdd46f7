"""Does a folder of photos cost no more than the inference alone, and a large photo no long decode?

Run ``python -m benchmarks.perf.folder_speed BUNDLE``. Two checks, with exit code 4 where one fails:

1. The test photos: photos a second of ``edge-classify image --json FOLDER`` over those of the
   interpreter alone, which is given the same tensors, ready in memory, one after the other. At
   least ``--least`` with one interpreter thread; two threads are reported.
2. Photos of 12 megapixels, made from a test photo: photos a second of the command over those of a
   plain loop (Pillow opens, converts and resizes; the interpreter answers), at least ``--large``.

Every side is a process of its own, in turns. What starting a process and loading a model take is in
neither figure: photos are counted from the ninth answer to the last, by when their lines arrive at
this process (the command) or by a clock around the calls (the others).
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from benchmarks.perf.common import (
    EXIT_CHECK_FAILED,
    command,
    print_machine,
    record,
    shared_option,
    spread,
    test_photos,
)
from edge_runtime.files import find_photos

#: Answers before the clock starts: the first inferences are slow, and photos decoded ahead are
#: not yet owed.
_SKIP = 8

_MEGAPIXELS_12 = (4000, 3000)


@click.command()
@click.argument("bundle")
@click.option("--formats", default="tflite-fp32,tflite-int8,onnx-fp32", show_default=True)
@click.option("--rounds", default=5, show_default=True, type=click.IntRange(1), help="Pairs.")
@click.option("--photos", type=click.IntRange(_SKIP + 2), help="Of the test part. Default: all.")
@click.option("--camera-photos", default=36, show_default=True, type=click.IntRange(_SKIP + 2))
@click.option("--least", default=0.95, show_default=True, help="Of the inference's throughput.")
@click.option("--large", default=3.0, show_default=True, help="Times as fast as a plain loop.")
@click.option("--child", hidden=True, type=click.Choice(["tensors", "plain"]))
@shared_option()
def main(
    bundle: str,
    formats: str,
    rounds: int,
    photos: int | None,
    camera_photos: int,
    least: float,
    large: float,
    child: str | None,
    shared: Path,
) -> None:
    """Measure the command against the inference alone, and against a plain loop."""
    if child is not None:
        click.echo(answer_request(child, json.load(sys.stdin)))
        return
    print_machine()
    paths = find_photos(test_photos(shared))[:photos]
    failed = False
    for fmt in formats.split(","):
        for threads in (1, 2):
            ours, alone = _turns(bundle, fmt, threads, paths, "tensors", rounds)
            ratio = _print(
                f"`{fmt}`, {threads} threads, {len(paths)} photos",
                ours,
                alone,
                "inference alone",
                least if threads == 1 else None,
            )
            failed |= threads == 1 and ratio < least
    with tempfile.TemporaryDirectory() as folder:
        camera = camera_like(Path(paths[0]), Path(folder), camera_photos)
        for fmt in formats.split(","):
            ours, plain = _turns(bundle, fmt, 1, camera, "plain", max(1, rounds // 2))
            title = f"`{fmt}`, 1 thread, {len(camera)} photos of 12 megapixels"
            ratio = _print(title, ours, plain, "plain loop", large)
            failed |= ratio < large
    if failed:
        raise SystemExit(EXIT_CHECK_FAILED)


def camera_like(photo: Path, folder: Path, count: int) -> list[str]:
    """Write JPEGs as a camera does: 4000 x 3000, quality 90, with the noise of a sensor.

    Args:
        photo: What they show.
        folder: Where to write them.
        count: How many; the last are further names of the first few.
    """
    import numpy as np
    from PIL import Image

    enlarged = Image.open(photo).convert("RGB").resize(_MEGAPIXELS_12, Image.Resampling.BICUBIC)
    pixels = np.asarray(enlarged).astype(np.int16)
    draw = np.random.default_rng(0)
    files = [folder / f"{number:03}.jpg" for number in range(count)]
    for number, file in enumerate(files):
        if number >= 4:
            os.link(files[number % 4], file)
            continue
        noise = draw.normal(0, 9, pixels.shape).astype(np.int16)
        noisy = np.clip(pixels + noise, 0, 255).astype(np.uint8)
        Image.fromarray(noisy).save(file, quality=90)
    size = files[0].stat().st_size
    click.echo(f"photos of 12 MP: {size / 1e6:.1f} MB each")
    return [os.fspath(file) for file in files]


def _turns(
    bundle: str, fmt: str, threads: int, paths: Sequence[str], peer: str, rounds: int
) -> tuple[list[float], list[float]]:
    """Photos a second of the command and of a peer, in turns."""
    ours, other = [], []
    for number in range(rounds):
        for side in (0, 1) if number % 2 else (1, 0):
            if side == 0:
                ours.append(_command_rate(bundle, fmt, threads, paths))
            else:
                other.append(_child_rate(peer, bundle, fmt, threads, paths))
    return ours, other


def _command_rate(bundle: str, fmt: str, threads: int, paths: Sequence[str]) -> float:
    arguments = [command("edge-classify"), "image", "--model", bundle, "--format", fmt]
    arguments += ["--threads", str(threads), "--json", *paths]
    arrived = []
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        for _ in process.stdout:
            arrived.append(time.perf_counter())
    if process.returncode or len(arrived) != len(paths):
        raise click.ClickException(f"edge-classify image ended with {process.returncode}.")
    return rate(arrived)


def _child_rate(peer: str, bundle: str, fmt: str, threads: int, paths: Sequence[str]) -> float:
    request = {"format": fmt, "threads": threads, "paths": list(paths)}
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.perf.folder_speed", bundle, "--child", peer],
        input=json.dumps(request | {"bundle": bundle}).encode(),
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True,
    )  # fmt: skip
    return float(done.stdout)


def rate(times: Sequence[float]) -> float:
    """Photos a second after the first :data:`_SKIP`, from when each was done."""
    return (len(times) - 1 - _SKIP) / (times[-1] - times[_SKIP])


def answer_request(peer: str, request: dict[str, object]) -> float:
    """The side of a child process: photos a second of the interpreter alone, or of a plain loop."""
    from edge_runtime.bundle import Bundle
    from edge_runtime.opening import open_backend
    from edge_runtime.preprocess import preprocess

    opened = Bundle.open(str(request["bundle"]))
    artifact, file = opened.file(str(request["format"]))
    backend = open_backend(file, int(str(request["threads"])))
    spec = opened.manifest.info_of(artifact).preprocess
    paths = [str(path) for path in request["paths"]]  # type: ignore[attr-defined]
    if peer == "tensors":
        tensors = [backend.prepare(preprocess(path, spec)) for path in paths]
        return rate(_clock(backend.infer, tensors))

    import numpy as np
    from PIL import Image

    def plain(path: str) -> object:
        image = Image.open(path).convert("RGB").resize((spec.width, spec.height))
        return backend.infer(backend.prepare(np.asarray(image)))

    return rate(_clock(plain, paths))


def _clock(work: Callable[[Any], object], items: Sequence[Any]) -> list[float]:
    times = []
    for item in items:
        work(item)
        times.append(time.perf_counter())
    return times


def _print(
    title: str, ours: Sequence[float], other: Sequence[float], name: str, least: float | None
) -> float:
    """Print the figures of both sides; the median of the pairs' ratios."""
    ratios = [a / b for a, b in zip(ours, other, strict=True)]
    click.echo(
        f"{title}: edge-classify {spread(ours, 1)} photos/s, {name} {spread(other, 1)}, "
        f"ratio {spread(ratios)}"
    )
    record(f"{title}: photos/s over {name}", ratios, least=least)
    return statistics.median(ratios)


if __name__ == "__main__":
    main()
