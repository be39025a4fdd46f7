"""Options that say how often frames are classified, and how answers are smoothed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from .packing import packed

if TYPE_CHECKING:
    from ...stream.loop import LoopSettings


@dataclass(frozen=True)
class LoopChoice:
    """What was said about the loop."""

    values: dict[str, Any]

    def settings(self) -> LoopSettings:
        """How long and how often."""
        from ...stream.loop import LoopSettings

        return LoopSettings(**self.values)


def _make(**values: Any) -> LoopChoice:
    return LoopChoice(values)


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
            "--max-frames", "loop_max_frames", type=click.IntRange(1), help="Stop after so many."
        ),
    ),
    _make,
)
