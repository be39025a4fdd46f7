"""The peer: a transfer learning recipe as Keras's guides write it, without this toolkit.

``image_dataset_from_directory``, augmentation layers, a frozen base for 8 epochs, then
fine-tuning from layer 100 for 10 more. Prints one JSON object.

Run ``python -m benchmarks.perf.plain_recipe DATA WEIGHTS --seed 0``.
"""

from __future__ import annotations

import itertools
import json
import os
import time
from pathlib import Path
from typing import Any

import click


@click.command()
@click.argument("data", type=click.Path(path_type=Path))
@click.argument("weights")
@click.option("--seed", default=0, show_default=True)
@click.option("--batch-size", default=32, show_default=True)
@click.option("--head-epochs", default=8, show_default=True)
@click.option("--finetune-epochs", default=10, show_default=True)
@click.option("--fine-tune-at", default=100, show_default=True)
def main(
    data: Path,
    weights: str,
    seed: int,
    batch_size: int,
    head_epochs: int,
    finetune_epochs: int,
    fine_tune_at: int,
) -> None:
    """Train EfficientNetB0 on DATA/train with the backbone's WEIGHTS; test on DATA/test."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import keras

    keras.utils.set_random_seed(seed)
    train, val, test = (
        keras.utils.image_dataset_from_directory(
            data / part,
            label_mode="categorical",
            image_size=(224, 224),
            batch_size=batch_size,
            shuffle=part == "train",
            seed=seed,
            verbose=False,
        )
        for part in ("train", "val", "test")
    )
    count = len(train.file_paths)
    classes = len(train.class_names)
    train, val, test = (part.prefetch(2) for part in (train, val, test))
    base = keras.applications.EfficientNetB0(include_top=False, weights=None)
    base.load_weights(weights)
    base.trainable = False
    inputs = keras.Input((224, 224, 3))
    found: Any = inputs
    for layer in (
        keras.layers.RandomFlip("horizontal"),
        keras.layers.RandomRotation(0.1),
        keras.layers.RandomZoom(0.1),
        keras.layers.RandomContrast(0.1),
    ):
        found = layer(found)
    found = keras.layers.GlobalAveragePooling2D()(base(found, training=False))
    found = keras.layers.Dropout(0.2)(found)
    model = keras.Model(inputs, keras.layers.Dense(classes, activation="softmax")(found))

    def phase(rate: float, epochs: int) -> dict[str, Any]:
        model.compile(keras.optimizers.Adam(rate), "categorical_crossentropy", metrics=["accuracy"])
        ticks = [time.perf_counter()]
        tick = keras.callbacks.LambdaCallback(
            on_epoch_end=lambda epoch, logs: ticks.append(time.perf_counter())
        )
        logs = model.fit(train, validation_data=val, epochs=epochs, callbacks=[tick], verbose=0)
        epochs_seconds = [after - before for before, after in itertools.pairwise(ticks)]
        return {
            "seconds": ticks[-1] - ticks[0],
            "epoch_seconds": epochs_seconds,
            "val_accuracy": logs.history["val_accuracy"][-1],
        }

    head = phase(1e-3, head_epochs)
    finetune = None
    if finetune_epochs:
        base.trainable = True
        for layer in base.layers[:fine_tune_at]:
            layer.trainable = False
        finetune = phase(1e-5, finetune_epochs)
    accuracy = float(model.evaluate(test, verbose=0)[1])
    result = {"head": head, "finetune": finetune, "test_accuracy": accuracy, "photos": count}
    click.echo(json.dumps(result))


if __name__ == "__main__":
    main()
