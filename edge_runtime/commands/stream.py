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
from .stream_options.state import state_options

if TYPE_CHECKING:
    from ..engine import Engine
    from ..settings import ModelSettings
    from .stream_options.collect import CollectChoice
    from .stream_options.loop import LoopChoice
    from .stream_options.outputs import OutputChoice
    from .stream_options.preview import PreviewChoice
    from .stream_options.source import SourceChoice
    from .stream_options.state import StateChoice

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
@state_options
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
    state: StateChoice,
) -> None:
    """Classify a camera, a stream or a video file.

    A live source skips to its newest frame; a file gives every frame, in order. Ctrl-C and SIGTERM
    end it with exit code 0, a second Ctrl-C at once; SIGHUP loads the model anew.
    """
    from ..stream.signals import Signals

    with Signals() as signals:
        try:
            from ..classifier import Classifier
            from ..stream.service import Service

            def open_classifier() -> Classifier:
                opened = Classifier.open(model, fmt, engine=engine, settings=settings, probe=True)
                return loop.apply_threshold(opened)

            parsed, source_settings = source.parse()
            loop_settings, smoothing = loop.settings(), loop.smoothing()
            with Service(parsed, source_settings, model, signals, state.open) as service:
                classifier = open_classifier()
                for choice in (output, preview, collect):
                    service.add(choice.open(classifier, service.status, service.live))
                service.run(classifier, loop_settings, smoothing, open_classifier)
        except (KeyboardInterrupt, Terminated):
            _log.info("stopped before it began.")
