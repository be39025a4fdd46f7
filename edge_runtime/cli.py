"""``edge-classify``: classify photos and camera streams, explain an answer.

Run ``edge-classify image --model bundle photo.jpg``.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from .console import (
    EdgeGroup,
    Terminated,
    json_option,
    overwrite_option,
    print_json,
    threads_option,
    version_option,
)
from .errors import InputsFailed, UsageError

if TYPE_CHECKING:
    from .classifier import Prediction

_log = logging.getLogger("edge_runtime")


def model_options(function: click.decorators.FC) -> click.decorators.FC:
    """``--model``, ``--format`` and ``--threads``."""
    function = threads_option()(function)
    function = click.option(
        "--format", "fmt", metavar="FMT", help="Artifact of the bundle. Default: the bundle's own."
    )(function)
    return click.option(
        "--model",
        required=True,
        metavar="MODEL",
        help="Bundle, .tflite or .onnx file; or (with TensorFlow) SavedModel or run directory.",
    )(function)


@click.group(cls=EdgeGroup)
@version_option("edge-classify")
def cli() -> None:
    """Classify photos and camera streams on a small board."""


@cli.command(example="edge-classify image --model bundle photo.jpg holiday/ --top-k 3 --json")
@model_options
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option(
    "--top-k", type=click.IntRange(1), default=5, show_default=True, help="Classes listed."
)
@json_option("Print one JSON object a photo (JSON Lines) on stdout, and nothing else there.")
def image(
    model: str,
    fmt: str | None,
    threads: int | None,
    paths: tuple[str, ...],
    top_k: int,
    as_json: bool,
) -> None:
    """Classify photos, and all photos below folders.

    One line a photo. An unreadable photo has an error instead of a label; the others go on,
    and the exit code is 1.
    """
    photos = list(expand(paths))
    from .classifier import Classifier

    classifier = Classifier.open(model, fmt, threads)
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


@cli.command(
    example="edge-classify gradcam --model runs/groceries photo.jpg --out why.png --class banana"
)
@click.option(
    "--model",
    required=True,
    metavar="MODEL",
    help="Run directory, SavedModel of edge-export, or bundle with one.",
)
@click.argument("photo", metavar="PHOTO")
@click.option("--out", required=True, type=click.Path(dir_okay=False), help="PNG file to write.")
@click.option(
    "--class", "class_name", metavar="NAME", help="Class to explain. Default: the answer."
)
@click.option("--layer", metavar="LAYER", help="Feature-map layer. Default: the last readable one.")
@overwrite_option("an existing file")
@json_option()
def gradcam(
    model: str,
    photo: str,
    out: str,
    class_name: str | None,
    layer: str | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Show where the full model looked (Grad-CAM, needs TensorFlow)."""
    from .files import atomic_file, refuse_existing
    from .gradcam import GradCam
    from .heatmap import overlay
    from .preprocess import load_upright

    if not out.lower().endswith(".png"):
        raise UsageError(f"--out {out}: a file name that ends in .png was expected.")
    if not os.path.lexists(photo):
        raise UsageError(f"{photo}: no such file.")
    if os.path.isdir(photo):
        raise UsageError(f"{photo}: is a folder; one photo was expected.")
    refuse_existing(out, overwrite)
    camera = GradCam.open(model, layer)
    found = camera.explain(photo, class_name)
    with open(photo, "rb") as stream:  # as bytes: what its name says was warned of already
        picture = load_upright(stream.read())
    caption = f"{found.label} {found.score:.3f}"
    sheet = overlay(picture, found.heatmap, camera.info.preprocess, caption)
    with atomic_file(out, overwrite) as temporary:
        sheet.save(temporary, "PNG")
    if as_json:
        fields = {"path": photo, "out": out, "label": found.label, "index": found.index}
        print_json(fields | {"score": found.score})
    else:
        click.echo(f"{out}: {caption}")


@cli.command(example="edge-classify stream --model bundle --source 0 --max-frames 100 --json")
@model_options
@click.option(
    "--source", required=True, metavar="SOURCE", help="Camera number, video file, or stream URL."
)
@click.option("--max-frames", type=click.IntRange(1), help="Stop after so many results.")
@click.option(
    "--top-k", type=click.IntRange(1), default=5, show_default=True, help="Classes listed."
)
@click.option("--window", is_flag=True, help="Show the frames (needs the extra `window`).")
@json_option("Print one JSON object a frame (JSON Lines) on stdout, and nothing else there.")
def stream(
    model: str,
    fmt: str | None,
    threads: int | None,
    source: str,
    max_frames: int | None,
    top_k: int,
    window: bool,
    as_json: bool,
) -> None:
    """Classify a camera, a stream or a video file.

    A live source skips to its newest frame; a file gives every frame, in order. Ctrl-C ends it
    with exit code 0.
    """
    from .classifier import Classifier
    from .sources import FrameSource
    from .stream import Window, classify_frames

    classifier = Classifier.open(model, fmt, threads)
    view = Window() if window else None
    count = 0
    try:
        with FrameSource(source) as frames:
            for result in classify_frames(classifier, frames, max_frames, top_k):
                count += 1
                if as_json:
                    print_json(result.to_dict())
                else:
                    click.echo(
                        f"frame {result.frame.number}: {format_answer(result.prediction)}"
                        f"  age {result.age_ms:.0f} ms"
                    )
                if view is not None and not view.show(result):
                    break
            _log.info("%d frames classified, %d skipped.", count, frames.dropped)
    except (KeyboardInterrupt, Terminated):
        _log.info("stopped after %d frames.", count)
    finally:
        if view is not None:
            view.close()


def expand(paths: tuple[str, ...]) -> Iterator[str]:
    """Photos that the command line names: files as they are, folders recursively and sorted.

    Raises:
        UsageError: A path does not exist, or a folder holds no photo.
    """
    from .files import PHOTO_EXTENSIONS, find_photos

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


def format_answer(prediction: Prediction) -> str:
    """Label and score, then the runners-up in brackets."""
    others = ", ".join(f"{label} {score:.3f}" for label, _, score in prediction.top[1:])
    doubt = " (unknown)" if prediction.unknown else ""
    tail = f"  [{others}]" if others else ""
    return f"{prediction.label} {prediction.score:.3f}{doubt}{tail}"


if __name__ == "__main__":
    cli()
