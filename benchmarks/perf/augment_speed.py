"""What does the augmentation cost, compared with a chain of Keras's own layers?

Run ``python -m benchmarks.perf.augment_speed``. For each level the chain has the Keras layers that
people would take for the same ranges; both sides run as a compiled graph on the same uint8 batch,
one after the other and in turns first, ours with the drawing of its parameters. Printed: the time
of a batch on each side and the ratio Keras / ours of the pairs, as median and range. Exit code 4
if ours is the slower one anywhere. ``--pictures FILE`` also draws photos changed by both.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import click
import numpy as np

from benchmarks.perf.common import EXIT_CHECK_FAILED, print_machine, record, shared_option, spread
from benchmarks.perf.common import test_photos as find_test_photos
from edge_runtime.backends.full_model import import_keras, import_tensorflow
from edge_runtime.files import find_photos
from edge_runtime.manifest import PreprocessSpec
from edge_runtime.preprocess import preprocess
from trainer.augmentation.augment import Augmentation
from trainer.config.schema import AugmentConfig

_LEVELS: tuple[Literal["light", "medium", "heavy"], ...] = ("light", "medium", "heavy")


@click.command()
@shared_option()
@click.option("--batch", default=32, show_default=True, type=click.IntRange(1))
@click.option("--size", default=224, show_default=True, type=click.IntRange(32), help="Pixels.")
@click.option("--rounds", default=15, show_default=True, type=click.IntRange(1))
@click.option("--pictures", type=click.Path(path_type=Path), help="PNG file to write.")
def main(shared: Path, batch: int, size: int, rounds: int, pictures: Path | None) -> None:
    """Time both on batches of real photos."""
    print_machine()
    every = find_photos(find_test_photos(shared))
    chosen = every[:: max(1, len(every) // batch)][:batch]
    photos = np.stack([preprocess(file, PreprocessSpec(size, size)) for file in chosen])
    click.echo(f"{len(photos)} photos of {size}x{size}, {rounds} rounds, milliseconds a batch")
    click.echo(f"{'level':8}{'Keras':>9}{'ours':>9}{'drawing':>9}  ratio (range)")
    rows, quickest = [photos], []
    for level in _LEVELS:
        config = AugmentConfig(level=level)
        theirs, ours = keras_chain(config), our_layer(config)
        rows += [theirs(photos), ours(photos)]  # which compiles them
        pairs = [_pair(theirs, ours, photos, number % 2 == 1) for number in range(rounds)]
        ratios = [keras / own for keras, own in pairs]
        quickest.append(statistics.median(ratios))
        record(
            f"level {level}, {len(photos)} photos of {size} pixels: Keras's time over ours",
            ratios,
            least=1.0,
        )
        medians = [1000 * statistics.median(column) for column in zip(*pairs, strict=True)]
        drawing = 1000 * _seconds(lambda: _draw(config, len(photos)))  # noqa: B023 - called here
        click.echo(
            f"{level:8}{medians[0]:9.1f}{medians[1]:9.1f}{drawing:9.2f}  {spread(ratios, 2)}"
        )
    if pictures is not None:
        _draw_pictures(rows, pictures)
    if min(quickest) < 1:
        click.echo("Ours is the slower one.")
        raise click.exceptions.Exit(EXIT_CHECK_FAILED)


def keras_chain(config: AugmentConfig) -> Callable[[np.ndarray], np.ndarray]:
    """Keras's layers for the same ranges, as near as they come."""
    layers, turn = import_keras().layers, config.rotation / 360
    zoom = 1 - config.area[0] ** 0.5  # of each side
    chain = [
        layers.RandomFlip("horizontal"),
        layers.RandomRotation(turn),
        layers.RandomZoom((-zoom, 0.0)),
        layers.RandomTranslation(zoom / 2, zoom / 2),
        layers.RandomBrightness(config.brightness),
        layers.RandomContrast(config.contrast, value_range=(0, 255)),
    ]
    if config.randaugment_ops:
        chain.append(
            layers.RandAugment(
                num_ops=config.randaugment_ops, factor=config.randaugment_magnitude / 10
            )
        )
    if config.erasing:
        chain.append(layers.RandomErasing(config.erasing, scale=config.erasing_area))

    def change(photos: Any) -> Any:
        found = import_keras().ops.cast(photos, "float32")
        for layer in chain:
            found = layer(found, training=True)
        return found

    graph = import_tensorflow().function(change, autograph=False)
    return lambda photos: np.asarray(graph(photos))


def our_layer(config: AugmentConfig) -> Callable[[np.ndarray], np.ndarray]:
    """Our layer, with the drawing of its parameters."""
    layer = Augmentation(config).layer()

    def change(photos: Any, changes: Any) -> Any:
        return layer([photos, changes])

    graph = import_tensorflow().function(change, autograph=False)
    return lambda photos: np.asarray(graph(photos, _draw(config, len(photos))))


def _draw(config: AugmentConfig, count: int) -> np.ndarray:
    return Augmentation(config).draw(0, 0, 0, np.arange(count))


def _pair(
    theirs: Callable[[np.ndarray], np.ndarray],
    ours: Callable[[np.ndarray], np.ndarray],
    photos: np.ndarray,
    ours_first: bool,
) -> tuple[float, float]:
    """Seconds of both."""
    if ours_first:
        own = _seconds(lambda: ours(photos))
        return _seconds(lambda: theirs(photos)), own
    return _seconds(lambda: theirs(photos)), _seconds(lambda: ours(photos))


def _seconds(action: Callable[[], Any]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def _draw_pictures(rows: list[np.ndarray], file: Path) -> None:
    """The first photos: as they are, then for each level changed by Keras and by ours."""
    from PIL import Image

    count = min(8, len(rows[0]))
    lines = [np.concatenate(list(row[:count]), axis=1) for row in rows]
    sheet = np.concatenate(lines).clip(0, 255).round().astype(np.uint8)
    Image.fromarray(sheet).save(file)
    click.echo(f"{file}: rows: as it is, then Keras and ours for {', '.join(_LEVELS)}")


if __name__ == "__main__":
    main()
