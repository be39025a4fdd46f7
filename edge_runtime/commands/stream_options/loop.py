"""Options that say how often frames are classified, and how answers are smoothed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from .packing import Choice, packed

if TYPE_CHECKING:
    from ...classifier import Classifier
    from ...stream.loop import LoopSettings
    from ...stream.steady import Smoothing

#: As in :mod:`edge_runtime.stream.steady`, which the help does not load.
_METHODS = ("exponential", "majority", "none")

#: Options of the smoothing; the others are fields of LoopSettings.
_SMOOTHING = {"smooth": "method", "window": "window", "hold": "hold", "margin": "margin"}


class LoopChoice(Choice):
    """What was said about the loop."""

    def settings(self) -> LoopSettings:
        """How long and how often.

        Raises:
            UsageError: ``--roi`` is no region.
        """
        from ...stream.loop import LoopSettings

        values = {
            name: value
            for name, value in self.values.items()
            if name not in _SMOOTHING and name != "threshold"
        }
        if values["roi"] is not None:
            from ...photos.roi import parse_roi

            values["roi"] = parse_roi(values["roi"])
        return LoopSettings(**values)

    def smoothing(self) -> Smoothing:
        """How answers are smoothed."""
        from ...stream.steady import Smoothing

        return Smoothing(**{field: self.values[name] for name, field in _SMOOTHING.items()})

    def apply_threshold(self, classifier: Classifier) -> Classifier:
        """The classifier, with ``--threshold`` in place of its own threshold."""
        threshold = self.values["threshold"]
        if threshold is not None:
            from dataclasses import replace

            info = classifier.info
            output = replace(info.output, unknown_threshold=threshold)
            classifier.info = replace(info, output=output)
        return classifier


def _positive(highest: float | None = None) -> click.FloatRange:
    return click.FloatRange(0, highest, min_open=True)


loop_options = packed(
    "loop",
    (
        click.option(
            "--top-k",
            "loop_k",
            type=click.IntRange(1),
            default=5,
            show_default=True,
            help="Classes listed.",
        ),
        click.option(
            "--threshold",
            "loop_threshold",
            type=click.FloatRange(0, 1),
            metavar="SCORE",
            help="Calibrated score under which an answer is unknown. Default: the model's own.",
        ),
        click.option(
            "--roi",
            "loop_roi",
            metavar="L,T,R,B",
            help="Look only at this part of each frame: left, top, right, bottom as fractions "
            "(0.25,0,0.75,1) or percent.",
        ),
        click.option(
            "--every",
            "loop_every",
            type=click.IntRange(1),
            default=1,
            metavar="N",
            help="Classify one frame of N.",
        ),
        click.option(
            "--max-fps",
            "loop_max_fps",
            type=_positive(),
            metavar="FPS",
            help="Classify at most so many frames a second; a recording waits, of a camera frames "
            "are left out.",
        ),
        click.option(
            "--max-frames",
            "loop_max_frames",
            type=click.IntRange(1),
            metavar="N",
            help="Stop after so many answers.",
        ),
        click.option(
            "--duration",
            "loop_duration",
            type=_positive(),
            metavar="SECONDS",
            help="Stop after so long.",
        ),
        click.option(
            "--smooth",
            "loop_smooth",
            type=click.Choice(_METHODS),
            default="exponential",
            show_default=True,
            help="How the steady label is made of answers: weighted mean, vote, or the last one.",
        ),
        click.option(
            "--smooth-window",
            "loop_window",
            type=_positive(60),
            default=1.0,
            show_default=True,
            metavar="SECONDS",
            help="How far it looks back, whatever the frame rate; at most 60.",
        ),
        click.option(
            "--hold",
            "loop_hold",
            type=click.IntRange(1),
            default=3,
            show_default=True,
            metavar="N",
            help="Answers in a row that another label has to lead before it becomes the steady one.",
        ),
        click.option(
            "--margin",
            "loop_margin",
            type=click.FloatRange(0, 1),
            default=0.1,
            show_default=True,
            metavar="FRACTION",
            help="By how much it has to lead, of the score that both have; also how much surer than "
            "the threshold it has to be to end unknown.",
        ),
    ),
    LoopChoice,
)
