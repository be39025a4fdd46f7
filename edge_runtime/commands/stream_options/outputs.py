"""Options that say who is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from .packing import packed

if TYPE_CHECKING:
    from ...classifier import Classifier
    from ...stream.outputs.base import Output
    from ...stream.status import Status

#: As in :mod:`edge_runtime.stream.outputs.lines`, which the help does not load.
_PRINTED = ("frames", "events", "all")


@dataclass(frozen=True)
class OutputChoice:
    """What was said about outputs."""

    values: dict[str, Any]

    def open(self, classifier: Classifier, status: Status, live: bool) -> list[Output]:
        """Make the outputs that were asked for; what is open is closed if a later one fails.

        Args:
            classifier: The model.
            status: What the run counts.
            live: Whether the source is live.

        Raises:
            UsageError: An option that makes no sense.
            MissingComponent: A package that an output needs is not installed.
            SystemFailure: A file or port cannot be opened.
        """
        from ...stream.outputs.lines import Lines

        del status, live
        threshold = classifier.info.output.unknown_threshold
        return [Lines(self.values["json"], self.values["print"], threshold)]


def _make(*, as_json: bool = False, **values: Any) -> OutputChoice:
    return OutputChoice(values | {"json": as_json})


output_options = packed(
    "output",
    (
        click.option(
            "--json",
            "output_as_json",
            is_flag=True,
            help="Print JSON objects, one a line, on stdout, and nothing else there.",
        ),
        click.option(
            "--print",
            "output_print",
            type=click.Choice(_PRINTED),
            default="frames",
            show_default=True,
            help="What is printed: answers of frames, changes of the steady label, or both.",
        ),
    ),
    _make,
)
