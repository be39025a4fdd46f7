"""Options that say where frames come from and how they are read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from .packing import packed

if TYPE_CHECKING:
    from ...sources.base import Source, SourceSettings


@dataclass(frozen=True)
class SourceChoice:
    """What was said about the source; nothing is imported or opened yet."""

    values: dict[str, Any]

    def parse(self) -> tuple[Source, SourceSettings]:
        """The source and how it is read.

        Raises:
            UsageError: None was named, or it is no source.
        """
        from ...errors import UsageError
        from ...sources.base import SourceSettings
        from ...sources.grammar import parse_source

        values = dict(self.values)
        address = values.pop("address")
        if address is None:
            raise UsageError("--source: missing.")
        return parse_source(address), SourceSettings(**values)


def _make(**values: Any) -> SourceChoice:
    return SourceChoice(values)


source_options = packed(
    "source",
    (
        click.option(
            "--source",
            "source_address",
            metavar="SOURCE",
            help="Camera (0, /dev/video0, picamera), rtsp:// or http:// URL, video, folder or "
            "pattern of pictures, screen: or test:.",
        ),
        click.option("--realtime", "source_realtime", is_flag=True, help="Play a file as if live."),
    ),
    _make,
)
