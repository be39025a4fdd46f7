"""How fast training batches come out of the store of decoded photos, through tf.data.

Run ``python -m benchmarks.perf.cache_speed``. It fills a store of its own with as many photos of
224x224 as asked for (the real ones of SHARED, each several times with another last byte), in an
empty cache, then reads them as phase 2 does: shuffled batches of 32 with the numbers of their
augmentation, as tensors, with no network behind. Exit code 4 below ``--at-least``.
"""

from __future__ import annotations

import itertools
import os
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from benchmarks.perf.common import EXIT_CHECK_FAILED, print_machine, shared_option, spread
from benchmarks.perf.common import test_photos as find_test_photos
from edge_runtime.files import find_photos
from edge_runtime.manifest import PreprocessSpec


@click.command()
@shared_option()
@click.option("--photos", default=4000, show_default=True, type=click.IntRange(32))
@click.option("--size", default=224, show_default=True, type=click.IntRange(32), help="Pixels.")
@click.option("--batch", default=32, show_default=True, type=click.IntRange(1))
@click.option("--rounds", default=5, show_default=True, type=click.IntRange(1), help="Epochs.")
@click.option("--at-least", default=5000.0, show_default=True, help="Images a second.")
def main(shared: Path, photos: int, size: int, batch: int, rounds: int, at_least: float) -> None:
    """Fill a store with PHOTOS and read it."""
    print_machine()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["EDGE_CLASSIFY_CACHE"] = f"{folder}/cache"
        paths = _copies(find_photos(find_test_photos(shared)), photos, Path(folder))
        from trainer.augmentation.augment import Augmentation
        from trainer.config.schema import AugmentConfig
        from trainer.data.batches import PhotoBatches
        from trainer.data.dataset import Sample
        from trainer.data.feeds import training_feed
        from trainer.data.pixels import load_part

        samples = [Sample(path, index % 2) for index, path in enumerate(paths)]
        start = time.perf_counter()
        part, _ = load_part(samples, PreprocessSpec(size, size), "train")
        seconds = time.perf_counter() - start
        click.echo(f"decoding and storing {photos} photos: {photos / seconds:.0f} a second")
        start = time.perf_counter()
        load_part(samples, PreprocessSpec(size, size), "train")
        seconds = time.perf_counter() - start
        click.echo(f"finding them there again: {photos / seconds:.0f} a second")
        batches = PhotoBatches(part, 2, batch, 0, Augmentation(AugmentConfig()))
        steps = range(batches.steps)
        epochs = itertools.count()
        plain = [
            _rate(photos, (batches.batch(epoch, step) for step in steps))
            for epoch in itertools.islice(epochs, rounds)
        ]
        click.echo(f"batches as numpy arrays: {spread(plain, 0)} images a second")
        feed = iter(training_feed(batches, 2))
        _rate(photos, itertools.islice(feed, batches.steps))
        found = [_rate(photos, itertools.islice(feed, batches.steps)) for _ in range(rounds)]
        click.echo(f"batches through the training's feed: {spread(found, 0)} images a second")
        if min(found) < at_least:
            raise SystemExit(EXIT_CHECK_FAILED)


def _copies(photos: list[str], count: int, folder: Path) -> list[str]:
    """Files that differ, so that each is decoded; what follows a JPEG's end does not matter."""
    found = []
    for number, photo in zip(range(count), itertools.cycle(photos), strict=False):
        copy = folder / f"{number:06}{Path(photo).suffix}"
        copy.write_bytes(Path(photo).read_bytes() + number.to_bytes(4, "big"))
        found.append(str(copy))
    return found


def _rate(photos: int, batches: Iterable[Any]) -> float:
    """Images a second, when each batch is dropped at once."""
    start = time.perf_counter()
    for _ in batches:
        pass
    return photos / (time.perf_counter() - start)


if __name__ == "__main__":
    main()
