"""``edge-classify stream``."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import click

from ..console import EdgeCommand, Terminated
from .options import model_options
from .stream_options.collect import collect_options
from .stream_options.loop import loop_options
from .stream_options.outputs import output_options
from .stream_options.preview import preview_options
from .stream_options.source import source_options

if TYPE_CHECKING:
    from ..engine import Engine
    from ..settings import ModelSettings
    from .stream_options.collect import CollectChoice
    from .stream_options.loop import LoopChoice
    from .stream_options.outputs import OutputChoice
    from .stream_options.preview import PreviewChoice
    from .stream_options.source import SourceChoice

_log = logging.getLogger("edge_runtime")


@click.command(
    cls=EdgeCommand,
    example="edge-classify stream --model bundle --source 0 --max-frames 100 --json",
)
@model_options
@source_options
@loop_options
@output_options
@preview_options
@collect_options
def stream(
    model: str,
    fmt: str | None,
    engine: Engine,
    settings: ModelSettings | None,
    source: SourceChoice,
    loop: LoopChoice,
    output: OutputChoice,
    preview: PreviewChoice,
    collect: CollectChoice,
) -> None:
    """Classify a camera, a stream or a video file.

    A live source skips to its newest frame; a file gives every frame, in order. Ctrl-C ends it
    with exit code 0.
    """
    from ..classifier import Classifier
    from ..stream.loop import Loop
    from ..stream.outputs.base import Outlet, StopStream, close_all, losses
    from ..stream.status import Status
    from ..stream.steady import Smoothing, SteadyLabel

    parsed, source_settings = source.parse()
    classifier = Classifier.open(model, fmt, engine=engine, settings=settings, probe=True)
    live = parsed.live or source_settings.realtime
    status = Status(parsed.name, model)
    outlets: list[Outlet] = []
    steady = SteadyLabel(Smoothing(), classifier.info, classifier.info.output.unknown_threshold)
    try:
        for choice in (output, preview, collect):
            outlets += [Outlet(o, status, live) for o in choice.open(classifier, status, live)]
        run = Loop(classifier, parsed, source_settings, loop.settings(), steady, outlets, status)
        for _ in run.run():
            pass
    except (KeyboardInterrupt, Terminated, StopStream):
        _log.info("stopped.")
    finally:
        for name in close_all(outlets):
            _log.warning("%s: did not finish in time; what waited for it is lost.", name)
        counts = status.snapshot()
        for line in losses(counts, outlets):
            _log.warning("%s", line)
        _log.info(
            "%d frames classified, %d skipped.", counts.get("results", 0), counts.get("dropped", 0)
        )
