"""Training speed on whatever accelerator there is: images a second, precision, share of the input.

Run ``python -m benchmarks.perf.train_speed``, with ``KERAS_BACKEND=jax`` on JAX. It fine-tunes a
backbone with random weights on random photos, all layers but BatchNorm, with the steps, the
augmentation, the precision and the feed of ``edge-train fit``. Needs neither photos nor weights.

The pipeline's share of a step is how much longer a step takes with the feed than with a batch
that is made already; what a step alone takes is printed beside it.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any, Literal, get_args

import click
import numpy as np

from benchmarks.perf.common import print_machine
from edge_runtime.backends.full_model import import_keras
from trainer.augmentation.augment import Augmentation
from trainer.config.schema import Config, ModelConfig
from trainer.data.batches import PhotoBatches
from trainer.data.dataset import Sample
from trainer.data.feeds import training_feed
from trainer.data.pixels import Photos
from trainer.devices import backend, gpus
from trainer.distribution import choose_distribution
from trainer.network.backbones import BACKBONES
from trainer.network.model import unfreeze_from
from trainer.network.network import build_network
from trainer.training.phase import compile_model, jit_compile
from trainer.training.precision import choose_policy, try_steps

Precision = Literal["auto", "off", "float16", "bfloat16"]

_CLASSES = 8


@click.command()
@click.option("--backbone", default="efficientnetb0", type=click.Choice(sorted(BACKBONES)))
@click.option("--batch", default=32, show_default=True, type=click.IntRange(1))
@click.option("--steps", default=30, show_default=True, type=click.IntRange(2), help="Of a round.")
@click.option("--rounds", default=3, show_default=True, type=click.IntRange(1))
@click.option(
    "--precision", default="auto", show_default=True, type=click.Choice(get_args(Precision))
)
def main(backbone: str, batch: int, steps: int, rounds: int, precision: Precision) -> None:
    """Train for a few rounds."""
    print_machine()
    config = Config(
        model=ModelConfig(backbone=backbone, weights="none"),
        batch_size=batch,
        mixed_precision=precision,
    )
    size = BACKBONES[backbone].size
    config = config.model_copy(update={"image": config.image.model_copy(update={"size": size})})
    devices = choose_distribution(config.strategy)
    photos = _random_photos(batch * steps, size)
    augmentation = Augmentation(config.augment)
    batches = PhotoBatches(photos, _CLASSES, batch, 0, augmentation, None, devices.division)

    policy = choose_policy(
        config,
        lambda policy, size: try_steps(
            build_network(config, _CLASSES, policy, devices), config, photos, size
        ),
    )
    network = build_network(config, _CLASSES, policy, devices)
    unfreeze_from(network.model, 0)
    model = network.for_training(augmentation)
    with network.scope():
        compile_model(model, config.finetune, config.loss, jit_compile())
    where = ", ".join(gpus()) or "CPU"
    click.echo(
        f"{backbone} at {size} pixels, batches of {batch}; Keras {import_keras().__version__} on "
        f"{backend()}, {devices.division.groups} x {where}; precision {network.policy}"
    )
    with_feed, alone, made = [], [], []
    feed = training_feed(batches, 2)
    ready = batches.batch(0, 0)
    with network.scope():
        _fit(model, feed, batches.steps)  # compiles
        for number in range(rounds):
            with_feed.append(_seconds(lambda: _fit(model, feed, batches.steps)) / batches.steps)
            alone.append(_seconds(lambda: _same(model, ready, batches.steps)) / batches.steps)
            drawn = (batches.batch(number, step) for step in range(batches.steps))
            made.append(_seconds(lambda: _exhaust(drawn)) / batches.steps)  # noqa: B023 - called here
    step, bare, host = map(statistics.median, (with_feed, alone, made))
    click.echo(f"{batch / step:.0f} images a second ({1000 * step:.1f} ms a step)")
    click.echo(
        f"input pipeline: {max(0.0, 1 - bare / step):.1%} of a step; the same step on a batch that "
        f"is made already {1000 * bare:.1f} ms, making a batch on the host {1000 * host:.2f} ms"
    )


def _random_photos(count: int, size: int) -> Photos:
    draw = np.random.default_rng(0)
    labels = draw.integers(0, _CLASSES, count, np.int32)
    pixels = draw.integers(0, 256, (count, size, size, 3), np.uint8)
    return Photos(pixels, labels, [Sample("", int(label)) for label in labels])  # type: ignore[arg-type]


def _fit(model: Any, feed: Any, steps: int) -> None:
    model.fit(feed, steps_per_epoch=steps, epochs=1, shuffle=False, verbose=0)


def _same(model: Any, ready: tuple[np.ndarray, ...], steps: int) -> None:
    """As many steps on one batch."""
    photos, changes, targets = ready
    for _ in range(steps):
        model.train_on_batch([photos, changes], targets)


def _exhaust(batches: Iterator[Any]) -> None:
    for _ in batches:
        pass


def _seconds(action: Callable[[], Any]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
