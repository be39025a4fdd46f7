"""How many quantisation steps do an int8 file's scores move when next to nothing changes?

Run ``python -m benchmarks.perf.rounding_noise BUNDLE``. On the pixels of each golden photo, one
value of one pixel is changed by one grey level, at random places; printed is by how many steps the
score moves that moves most. Then the same photo with two threads, and with the interpreter's other
kernels (without XNNPACK). This is what two right processors may differ by once a float sum rounds
otherwise in one of them, and a neighbouring 8-bit value is taken.
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np

from benchmarks.perf.common import print_machine
from edge_runtime.backends.base import Backend
from edge_runtime.classifier import Classifier
from edge_runtime.engine import Engine
from edge_runtime.preprocess import preprocess


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--format", "fmt", default="tflite-int8", show_default=True)
@click.option("--changes", default=250, show_default=True, type=click.IntRange(1), help="A photo.")
@click.option("--seed", default=0, show_default=True)
def main(bundle: Path, fmt: str, changes: int, seed: int) -> None:
    """Print by how many steps the scores of BUNDLE's int8 file move."""
    print_machine()
    random = np.random.default_rng(seed)
    with Classifier.open(bundle, fmt, engine=Engine(threads=1)) as classifier:
        backend, spec = classifier.backend, classifier.info.preprocess
        if not backend.step:
            raise click.UsageError(f"{fmt}: its scores are not quantised.")
        files = sorted(bundle.glob("golden/golden-*.pixels.png"))
        photos = [preprocess(file, spec) for file in files]
        scores = [backend.scores(pixels) for pixels in photos]
        moved = [
            [
                _steps(backend, backend.scores(_one_level(pixels, random)), known)
                for _ in range(changes)
            ]
            for pixels, known in zip(photos, scores, strict=True)
        ]
    found = np.array(moved)
    middle, high = np.percentile(found, [50, 95])
    click.echo(
        f"one grey level of one value, {found.size} times: median {middle:.0f}, 95 % within "
        f"{high:.0f}, at most {found.max()} steps; more than one in {(found > 1).mean():.0%}; "
        f"most of each photo {found.max(axis=1).tolist()}"
    )
    for name, engine in {
        "two threads": Engine(threads=2),
        "without XNNPACK": Engine(threads=1, delegate="none"),
    }.items():
        with Classifier.open(bundle, fmt, engine=engine) as other:
            steps = [
                _steps(backend, other.backend.scores(pixels), known)
                for pixels, known in zip(photos, scores, strict=True)
            ]
        click.echo(f"{name}: {steps} steps")


def _one_level(pixels: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """A copy with one value of one pixel changed by one."""
    changed = pixels.copy()
    place = tuple(random.integers(0, size) for size in pixels.shape)
    changed[place] = changed[place] + 1 if changed[place] < 255 else 254
    return changed


def _steps(backend: Backend, scores: np.ndarray, known: np.ndarray) -> int:
    return round(float(np.abs(scores - known).max()) / backend.step)


if __name__ == "__main__":
    main()
