"""``edge-classify image``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from ..console import EdgeCommand, json_option, print_json
from ..errors import InputsFailed, UsageError
from .options import format_answer, model_options

if TYPE_CHECKING:
    from ..engine import Engine
    from ..prediction import Prediction


@click.command(
    cls=EdgeCommand,
    example="edge-classify image --model bundle photo.jpg holiday/ --top-k 3 --json",
)
@model_options
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option(
    "--top-k", type=click.IntRange(1), default=5, show_default=True, help="Classes listed."
)
@json_option("Print one JSON object a photo (JSON Lines) on stdout, and nothing else there.")
def image(
    model: str,
    fmt: str | None,
    engine: Engine,
    paths: tuple[str, ...],
    top_k: int,
    as_json: bool,
) -> None:
    """Classify photos, and all photos below folders.

    One line a photo. An unreadable photo has an error instead of a label; the others go on,
    and the exit code is 1.
    """
    photos = list(expand(paths))
    from ..classifier import Classifier

    classifier = Classifier.open(model, fmt, engine=engine, probe=True)
    failed = 0
    for path in photos:
        prediction = classifier.try_classify(path, top_k)
        failed += prediction.error is not None
        if as_json:
            print_json(prediction.to_dict())
        else:
            click.echo(format_line(prediction))
    if failed:
        raise InputsFailed(f"{failed} of {len(photos)} photos could not be classified.")


def expand(paths: tuple[str, ...]) -> Iterator[str]:
    """Photos that the command line names: files as they are, folders recursively and sorted.

    Raises:
        UsageError: A path does not exist, or a folder holds no photo.
    """
    from ..files import PHOTO_EXTENSIONS, find_photos

    for path in paths:
        if os.path.isdir(path):
            found = find_photos(path)
            if not found:
                raise UsageError(
                    f"{path}: no photo in this folder "
                    f"(looked for {', '.join(sorted(PHOTO_EXTENSIONS))})."
                )
            yield from found
        elif os.path.lexists(path):
            yield path
        else:
            raise UsageError(f"{path}: no such file or folder.")


def format_line(prediction: Prediction) -> str:
    """One readable line: path, label, score, runners-up; or the error."""
    if prediction.error is not None:
        return f"{prediction.path}: error: {prediction.error.removeprefix(prediction.path + ': ')}"
    return f"{prediction.path}: {format_answer(prediction)}"
