"""Does ``edge-classify`` answer as MediaPipe Tasks does with a classifier that it did not make?

Run ``python -m benchmarks.perf.foreign_model`` in an environment of its own, with MediaPipe
(README.md beside this file). Coral's MobileNetV2 out of the shared folder is opened with nothing but
its own metadata, by both; both get the same pixels, those that ``edge_runtime`` resized. The photos
are the two that lie beside the model, whose labels are known, and others spread over a folder. Exit
code 4 where a label is not the expected or the other program's, or a score differs by more than
--tolerance.
"""

from __future__ import annotations

import importlib.metadata
import os
from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np

from benchmarks.perf.common import EXIT_CHECK_FAILED, print_machine, record, shared_option
from edge_runtime.classifier import Classifier
from edge_runtime.files import find_photos

_MODEL = "mobilenet_v2_1.0_224_quant.tflite"

#: What lies beside the model, and what it shows.
_KNOWN = {"parrot.jpg": "macaw", "cat.bmp": "Egyptian cat"}


@click.command()
@click.option("--model", type=click.Path(exists=True, dir_okay=False), help="Another .tflite file.")
@click.option("--photos", type=click.IntRange(0), default=40, show_default=True)
@click.option("--tolerance", type=click.FloatRange(0, 1), default=0.02, show_default=True)
@shared_option()
def main(model: str | None, photos: int, tolerance: float, shared: Path) -> None:
    """Compare edge-classify with MediaPipe Tasks."""
    print_machine()
    folder = shared / "models"
    file = model or str(folder / _MODEL)
    known = {str(folder / name): label for name, label in _KNOWN.items()}
    if not os.path.isfile(file) or not all(map(os.path.isfile, known)):
        raise click.UsageError(f"{folder} does not hold the model and its photos. Give --shared.")
    others = find_photos(shared / "data" / "groceries")
    count = min(photos, len(others))
    paths = [*known, *(others[k * len(others) // count] for k in range(count))]
    classifier = Classifier.open(file)
    pixels = np.stack([classifier.pixels(path) for path in paths])
    ours = np.stack([classifier.scores(image) for image in pixels])
    theirs = mediapipe_scores(file, pixels, ours.shape[1])
    version = importlib.metadata.version("mediapipe")
    click.echo(f"{file}, {ours.shape[1]} classes, {len(paths)} photos, MediaPipe {version}")
    names = classifier.info.class_names
    right = compare(paths, ours, theirs, names, {} if model else known)
    difference = float(np.abs(ours - theirs).max())
    record(f"largest difference of a score, {len(paths)} photos", [difference], "", most=tolerance)
    click.echo(f"largest difference of a score {difference:.2g}, at most {tolerance:g} is allowed")
    if not right or difference > tolerance:
        click.echo("NOT EQUAL")
        raise click.exceptions.Exit(EXIT_CHECK_FAILED)
    click.echo("equal")


def compare(
    paths: Sequence[str],
    ours: np.ndarray,
    theirs: np.ndarray,
    names: Sequence[str],
    known: dict[str, str],
) -> bool:
    """Print the answers for known photos and for those that differ; whether all are right.

    Args:
        paths: The photos.
        ours: Scores (photos, classes).
        theirs: Likewise.
        names: Of the classes.
        known: Right answers, by path.
    """
    right, equal = True, 0
    for path, own, other in zip(paths, ours, theirs, strict=True):
        label, answer = names[own.argmax()], names[other.argmax()]
        # Equal scores are no difference: each takes one of the two.
        same = own.argmax() == other.argmax() or own[other.argmax()] == own.max()
        wanted = known.get(path, label)
        if path in known or not same:
            scores = f"edge-classify {label} {own.max():.4f}, MediaPipe {answer} {other.max():.4f}"
            click.echo(f"{os.path.basename(path)}: {scores}")
        right = right and same and label == wanted
        equal += same and label == wanted
    record("share of photos with the label of both", [equal / len(paths)], "", least=1.0)
    return right


def mediapipe_scores(file: str, pixels: np.ndarray, classes: int) -> np.ndarray:
    """Scores of MediaPipe Tasks' ``ImageClassifier`` by class index, float32 (photos, classes)."""
    import mediapipe as mp

    options = mp.tasks.vision.ImageClassifierOptions(
        base_options=mp.tasks.BaseOptions(model_asset_path=file)
    )
    scores = np.zeros((len(pixels), classes), np.float32)
    with mp.tasks.vision.ImageClassifier.create_from_options(options) as classifier:
        for row, image in zip(scores, pixels, strict=True):
            answer = classifier.classify(mp.Image(mp.ImageFormat.SRGB, np.ascontiguousarray(image)))
            for category in answer.classifications[0].categories:
                row[category.index] = category.score
    return scores


if __name__ == "__main__":
    main()
