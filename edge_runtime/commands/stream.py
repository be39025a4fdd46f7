"""``edge-classify stream``."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import click

from ..console import EdgeCommand, Terminated, json_option, print_json
from .options import format_answer, model_options

if TYPE_CHECKING:
    from ..engine import Engine

_log = logging.getLogger("edge_runtime")


@click.command(
    cls=EdgeCommand,
    example="edge-classify stream --model bundle --source 0 --max-frames 100 --json",
)
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
    engine: Engine,
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
    from ..classifier import Classifier
    from ..sources import FrameSource
    from ..stream import Window, classify_frames

    classifier = Classifier.open(model, fmt, engine=engine, probe=True)
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
