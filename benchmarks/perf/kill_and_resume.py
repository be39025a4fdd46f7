"""Kill a training at random moments, resume it each time, and compare with an undisturbed one.

Run ``python -m benchmarks.perf.kill_and_resume [DATA] [--kills 20]``. Without DATA it trains on a
few of the digits that scikit-learn ships.
"""

from __future__ import annotations

import contextlib
import csv
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import click
import numpy as np

from .common import EXIT_CHECK_FAILED, command, print_machine

_COLUMNS = ("loss", "accuracy", "val_loss", "val_accuracy", "learning_rate")

_HEAD_EPOCHS, _FINETUNE_EPOCHS = 4, 30

#: Two trainings of one seed in two processes differ by the order in which threads add up.
_TOLERANCE = 1e-4


def read_history(run: Path) -> list[dict[str, str]]:
    """Rows of a run's ``history.csv``."""
    with open(run / "history.csv", newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def largest_difference(first: Path, second: Path) -> float:
    """Largest difference between two histories, relative to 1 or the value; inf if lengths differ."""
    one, two = read_history(first), read_history(second)
    if [(row["epoch"], row["phase"]) for row in one] != [
        (row["epoch"], row["phase"]) for row in two
    ]:
        return float("inf")
    return max(
        abs(float(a[key]) - float(b[key])) / max(1.0, abs(float(a[key])))
        for a, b in zip(one, two, strict=True)
        for key in _COLUMNS
    )


@click.command()
@click.argument("data", required=False)
@click.option("--kills", default=20, show_default=True, help="How often the training is killed.")
@click.option("--seed", default=0, show_default=True, help="Of the moments.")
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
def main(data: str | None, kills: int, seed: int, options: tuple[str, ...]) -> None:
    """Compare a training with KILLS random kills to one without; OPTIONS go to edge-train fit."""
    print_machine()
    train = command("edge-train")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        if data is None:
            data = str(root / "digits")
            subprocess.run([train, "sample", "digits", data, "-q"], check=True)
        weights = root / "start.weights.h5"
        _random_weights(weights)
        fit = [
            train, "fit", data, "--backbone", "mobilenetv3small", "--weights", str(weights),
            "--image-size", "32", "--head-epochs", str(_HEAD_EPOCHS), "--finetune-epochs", str(_FINETUNE_EPOCHS),
            "--set", "finetune.ema=0.9", "--set", "callbacks.plateau_patience=2",
            "--set", "callbacks.early_stopping_patience=0", *options,
        ]  # fmt: skip
        begun, whole = _undisturbed([*fit, "-q"], root / "whole")
        click.echo(f"undisturbed: {whole:.0f} s, of which {begun:.0f} before fine-tuning")
        draw = np.random.default_rng(seed)
        epoch = (whole - begun) / _FINETUNE_EPOCHS
        run, unfinished = root / "killed", root / "killed.unfinished"
        epochs: list[int] = []
        while len(epochs) < kills:
            goes_on = [train, "fit", "--resume", str(run)]
            arguments = goes_on if unfinished.is_dir() else [*fit, "--out", str(run)]
            process = subprocess.Popen(
                arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            if draw.random() < 0.5:  # while it starts, reads, or computes features
                _wait(process, draw.uniform(0.0, begun))
            else:  # in the epoch after the next one, or while that is written
                before = _epochs(unfinished)
                while process.poll() is None and _epochs(unfinished) == before:
                    time.sleep(0.01)
                _wait(process, draw.uniform(0.0, epoch))
            process.send_signal(signal.SIGKILL)
            process.wait()
            if run.is_dir():
                break
            epochs.append(_epochs(unfinished))
        click.echo(f"killed {len(epochs)} times, after these whole epochs: {epochs}")
        if not run.is_dir():
            subprocess.run([train, "fit", "--resume", str(run), "-q"], check=True)
        left = sorted(path.name for path in root.glob("killed*") if path != run)
        difference = largest_difference(root / "whole", run)
        same = (root / "whole/metrics.json").read_bytes() == (run / "metrics.json").read_bytes()
        click.echo(f"largest difference of the histories: {difference:.2e}")
        click.echo(f"metrics.json equal to the byte: {same}; left behind: {left or 'nothing'}")
        shutil.rmtree(run)
    if difference > _TOLERANCE or left or len(epochs) < kills:
        raise SystemExit(EXIT_CHECK_FAILED)


def _wait(process: subprocess.Popen[bytes], seconds: float) -> None:
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(seconds)


def _epochs(unfinished: Path) -> int:
    """Whole epochs that are noted."""
    with contextlib.suppress(FileNotFoundError):
        return len(read_history(unfinished))
    return 0


def _undisturbed(fit: list[str], run: Path) -> tuple[float, float]:
    """Seconds until the second phase has an epoch, and until the end."""
    start, begun = time.monotonic(), 0.0
    process = subprocess.Popen([*fit, "--out", str(run)])
    history = run.with_name(f"{run.name}.unfinished") / "history.csv"
    while process.poll() is None:
        if (
            not begun
            and history.is_file()
            and len(history.read_text().splitlines()) > _HEAD_EPOCHS + 1
        ):
            begun = time.monotonic() - start
        time.sleep(0.05)
    if process.returncode:
        raise click.ClickException(f"the training ended with {process.returncode}")
    return begun, time.monotonic() - start


def _random_weights(file: Path) -> None:
    """A backbone's weights to start with; what they are does not matter here."""
    import keras

    keras.utils.set_random_seed(0)
    base = keras.applications.MobileNetV3Small(
        include_top=False, weights=None, input_shape=(32, 32, 3)
    )
    base.save_weights(file)


if __name__ == "__main__":
    main()
