"""Listing and caching a large data set: seconds a photo, and peak memory, as the set grows.

Run ``python -m benchmarks.perf.many_photos``. It generates small JPEG files, in ten classes,
and for a tenth of them and for all does what ``edge-train fit`` does before it trains, in a process
of its own with an empty cache: list, split, check, decode into the store; then again with the
store full. Exit code 4 if a photo costs more than ``--growth`` times as much in the large set, or
the memory that a photo adds is above ``--bytes-each``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.memory import peak_bytes
from benchmarks.perf.common import EXIT_CHECK_FAILED, print_machine

_CLASSES = 10


@click.command()
@click.option("--photos", default=100_000, show_default=True, type=click.IntRange(1000))
@click.option("--size", default=32, show_default=True, type=click.IntRange(32), help="Pixels.")
@click.option("--growth", default=1.25, show_default=True)
@click.option(
    "--bytes-each", default=3000, show_default=True, help="Path, checksum, label, index, row."
)
@click.option("--child", hidden=True, type=click.Path(path_type=Path))
def main(photos: int, size: int, growth: float, bytes_each: int, child: Path | None) -> None:
    """Measure with PHOTOS files."""
    if child is not None:
        click.echo(json.dumps(prepare(child, size)))
        return
    print_machine()
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for count in (photos // 10, photos):
            root = Path(folder) / str(count)
            generate(root / "photos", count)
            for state in ("empty", "full"):
                found[count, state] = _measure(root, size)
                facts = found[count, state]
                click.echo(
                    f"{count} photos, {state} store: "
                    + ", ".join(
                        f"{what} {1e6 * facts[what] / count:.0f} us"
                        for what in ("list and split", "check", "store")
                    )
                    + f" a photo; {facts['total']:.0f} s; peak {facts['peak'] / 1e6:.0f} MB"
                )
    failed = False
    for state in ("empty", "full"):
        small, large = found[photos // 10, state], found[photos, state]
        ratio = large["total"] / small["total"] / 10
        each = (large["peak"] - small["peak"]) / (photos - photos // 10)
        click.echo(
            f"{state} store: a photo costs {ratio:.2f} times as much in the large set, "
            f"and {each:.0f} bytes of memory (its pixels alone are {size * size * 3})"
        )
        failed |= ratio > growth or each > bytes_each
    if failed:
        raise SystemExit(EXIT_CHECK_FAILED)


def prepare(folder: Path, size: int) -> dict[str, float]:
    """What ``fit`` does before it trains; seconds of each step and peak memory in bytes."""
    # Once a process, and seconds: they would make a photo of the small set look dear.
    import sklearn.model_selection  # noqa: F401

    from edge_runtime.manifest import PreprocessSpec
    from trainer.data.dataset import index_dataset
    from trainer.data.pixels import load_parts
    from trainer.doctor import quick_findings, resolve_duplicates

    ticks = [time.perf_counter()]
    dataset = index_dataset(folder)
    ticks.append(time.perf_counter())
    quick_findings(dataset, folder)
    ticks.append(time.perf_counter())
    parts = load_parts(dataset.parts, PreprocessSpec(size, size))
    resolve_duplicates({part: photos.samples for part, (photos, _) in parts.items()})
    ticks.append(time.perf_counter())
    listed, checked, stored = np.diff(ticks)
    return {
        "list and split": listed,
        "check": checked,
        "store": stored,
        "total": ticks[-1] - ticks[0],
        "peak": float(peak_bytes() or 0),
    }


def generate(folder: Path, count: int) -> None:
    """Small JPEG files, no two the same."""
    from PIL import Image

    draw = np.random.default_rng(0)
    for number in range(_CLASSES):
        (folder / f"class-{number}").mkdir(parents=True)
    for number in range(count):
        pixels = draw.integers(0, 256, (4, 4, 3), np.uint8)
        file = folder / f"class-{number % _CLASSES}" / f"{number:06}.jpg"
        Image.fromarray(pixels).resize((40, 40)).save(file, quality=80)


def _measure(root: Path, size: int) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.perf.many_photos", "--size", str(size),
         "--child", str(root / "photos")],
        stdout=subprocess.PIPE, check=True,
        env=os.environ | {"EDGE_CLASSIFY_CACHE": str(root / "cache")},
    )  # fmt: skip
    facts: dict[str, Any] = json.loads(done.stdout)
    return facts


if __name__ == "__main__":
    main()
