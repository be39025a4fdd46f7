"""``edge-train fit`` against a plain Keras recipe: time of each phase, and accuracy, over seeds.

Run ``python -m benchmarks.perf.against_plain --preset balanced --preset best --seeds 3``. Plain
and ours run in turns, each in processes of its own. What is printed for phase 1 includes, on our
side, decoding the photos into the cache and the features; on the plain side, what Keras reads.
"""

from __future__ import annotations

import csv
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from .common import command, print_machine, record, shared_option, spread


def plain(data: Path, weights: Path, seed: int, finetune: int) -> dict[str, Any]:
    """What the plain recipe gave."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.perf.plain_recipe", str(data), str(weights),
         "--seed", str(seed), "--finetune-epochs", str(finetune)],
        stdout=subprocess.PIPE, text=True, check=True, env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"},
    )  # fmt: skip
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def ours(data: Path, weights: Path, seed: int, options: Sequence[str]) -> dict[str, Any]:
    """What ``edge-train fit`` gave, with an empty cache."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        subprocess.run(
            [command("edge-train"), "fit", str(data), "-q", "--weights", str(weights),
             "--seed", str(seed), "--out", str(run), *options],
            stdout=subprocess.DEVNULL, check=True,
            env=os.environ | {"EDGE_CLASSIFY_CACHE": f"{folder}/cache"},
        )  # fmt: skip
        environment = json.loads((run / "environment.json").read_text())
        metrics = json.loads((run / "metrics.json").read_text())
        with open(run / "history.csv", newline="") as stream:
            rows = list(csv.DictReader(stream))
    seconds = environment["phase_seconds"]
    head = [row for row in rows if row["phase"] == "head"]
    tuned = [float(row["seconds"]) for row in rows if row["phase"] == "finetune"]
    return {
        "head_seconds": seconds.get("photos", 0.0) + seconds.get("head", 0.0),
        "head_val": float(head[-1]["val_accuracy"]) if head else math.nan,
        "epoch_seconds": tuned,
        "test_accuracy": metrics["test"]["accuracy"],
    }


def _rate(photos: int, epochs: Sequence[float]) -> float:
    """Images a second of the epochs after the first, in which graphs are made."""
    return photos / statistics.median(epochs[1:])


@click.command()
@shared_option()
@click.option("--preset", "presets", multiple=True, help="Preset to measure; repeatable.")
@click.option("--seeds", default=3, show_default=True)
@click.option(
    "--finetune-epochs",
    type=click.IntRange(0),
    help="Epochs of phase 2 on both sides, to time it; else 10 and what the preset has.",
)
@click.option(
    "--from-layer-100", is_flag=True, help="Fine-tune from layer 100, too, for equal work."
)
def main(
    shared: Path,
    presets: tuple[str, ...],
    seeds: int,
    finetune_epochs: int | None,
    from_layer_100: bool,
) -> None:
    """Compare on the groceries photos with the ImageNet weights of SHARED."""
    print_machine()
    data = shared / "data" / "groceries"
    weights = shared / "weights" / "efficientnetb0_notop.weights.h5"
    peers, found = [], {preset: [] for preset in presets or ("balanced",)}  # type: ignore[var-annotated]
    for seed in range(seeds):
        epochs = 10 if finetune_epochs is None else finetune_epochs
        peers.append(plain(data, weights, seed, epochs))
        for preset, results in found.items():
            options = ["--preset", preset]
            if finetune_epochs is not None:
                options += ["--finetune-epochs", str(finetune_epochs)]
            if from_layer_100:
                options += ["--fine-tune-at", "100"]
            results.append(ours(data, weights, seed, options))
            click.echo(f"seed {seed}, {preset}: {json.dumps(results[-1])}", err=True)
        click.echo(f"seed {seed}, plain: {json.dumps(peers[-1])}", err=True)
    for preset, results in found.items():
        ratios = [
            mine["head_seconds"] / peer["head"]["seconds"]
            for mine, peer in zip(results, peers, strict=True)
            if mine["head_seconds"]
        ]
        record(f"preset {preset}: time of phase 1 over the plain recipe's", ratios)
        for side, answers in (("ours", results), ("plain recipe", peers)):
            percent = [100 * answer["test_accuracy"] for answer in answers]
            record(f"preset {preset}: test accuracy, {side}", percent, "%")
        click.echo(f"{preset}: phase 1 takes {spread(ratios)} of the plain recipe's time")
        click.echo(
            f"  validation accuracy after the last epoch of phase 1: {_mean(r['head_val'] for r in results)}, "
            f"plain {_mean(p['head']['val_accuracy'] for p in peers)}"
        )
        if epochs:
            rates = [
                _rate(peer["photos"], mine["epoch_seconds"])
                / _rate(peer["photos"], peer["finetune"]["epoch_seconds"])
                for mine, peer in zip(results, peers, strict=True)
                if len(mine["epoch_seconds"]) > 1
            ]
            if rates:
                click.echo(f"  phase 2: {spread(rates)} times the plain recipe's images a second")
            click.echo(
                f"  test accuracy: {_mean(r['test_accuracy'] for r in results)}, "
                f"plain {_mean(p['test_accuracy'] for p in peers)}"
            )


def _mean(values: Any) -> str:
    found = [100 * value for value in values]
    spread_of = statistics.stdev(found) if len(found) > 1 else 0.0
    return f"{statistics.mean(found):.2f} % (standard deviation {spread_of:.2f})"


if __name__ == "__main__":
    main()
