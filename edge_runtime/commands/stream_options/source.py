"""Options that say where frames come from and how they are read."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from .packing import Choice, packed

if TYPE_CHECKING:
    from ...sources.base import Source, SourceSettings

#: Names a source where neither of the options does.
VARIABLE = "EDGE_CLASSIFY_SOURCE"


#: What pixel formats are called by others than Video4Linux.
_FORMATS = {"MJPEG": "MJPG", "YUY2": "YUYV", "GRAY": "GREY", "Y8": "GREY"}


def _size(_: click.Context, __: click.Parameter, value: str | None) -> tuple[int, int] | None:
    """``WIDTHxHEIGHT`` in pixels, as a pair."""
    if value is None:
        return None
    match = re.fullmatch(r"([1-9]\d{0,4})\s*[xX*]\s*([1-9]\d{0,4})", value.strip())
    if match is None:
        raise click.BadParameter(f"{value!r}: expected WIDTHxHEIGHT, such as 1280x720.")
    return int(match[1]), int(match[2])


def _pixel_format(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    """Four characters of Video4Linux; what they are called otherwise is understood, too."""
    if value is None:
        return None
    code = _FORMATS.get(value.upper(), value.upper())
    if not re.fullmatch(r"[A-Z0-9 _-]{4}", code):
        raise click.BadParameter(f"{value!r}: expected four characters, such as MJPG or YUYV.")
    return code


class _ListSources(click.Option):
    """Prints the sources, and ends the command, whatever else is missing."""

    def handle_parse_result(
        self, ctx: click.Context, opts: Mapping[str, Any], args: list[str]
    ) -> tuple[Any, list[str]]:
        """Before other options are looked at; whether ``--json`` is among them can be seen."""
        if self.name in opts and not ctx.resilient_parsing:
            json = [param.name for param in ctx.command.params if "--json" in param.opts]
            _print_sources(any(opts.get(name or "") for name in json))
            ctx.exit()
        return super().handle_parse_result(ctx, opts, args)


def _print_sources(as_json: bool) -> None:
    from ...sources.listing import format_sources, list_sources

    listed = list_sources()
    if as_json:
        from ...console import print_json

        print_json({"sources": listed})
    else:
        click.echo(format_sources(listed))


class SourceChoice(Choice):
    """What was said about the source; nothing is imported or opened yet."""

    def parse(self) -> tuple[Source, SourceSettings]:
        """The source and how it is read.

        Raises:
            UsageError: None was named, it is no source, or options do not go with it.
            MissingComponent: What reads it is not installed.
        """
        from ...sources.base import SourceSettings
        from ...sources.checking import check_packages, check_wishes
        from ...sources.grammar import parse_source

        # What was not given; 0 is a number of attempts.
        values = {k: v for k, v in self.values.items() if v is not None and v is not False}
        source = parse_source(_address(values.pop("address", None), values.pop("file", None)))
        check_wishes(source, values)
        check_packages(source)
        if "rotate" in values:
            values["rotate"] = int(values["rotate"])
        return source, SourceSettings(**values)


def _address(option: str | None, file: str | None) -> str:
    """The option, what stands in the file, or the environment variable, in this order."""
    from ...errors import UsageError

    if option is not None:
        return option
    if file is not None:
        return _only_line(file)
    found = os.environ.get(VARIABLE, "").strip()
    if not found:
        raise UsageError(
            f"--source: missing. Name a source with --source, --source-file or {VARIABLE}; "
            "edge-classify stream --list-sources lists what is here."
        )
    return found


def _only_line(file: str) -> str:
    from ...errors import UsageError

    try:
        with open(file, encoding="utf-8", errors="surrogateescape") as stream:
            lines = [line.strip() for line in stream.read(1 << 16).splitlines() if line.strip()]
    except OSError as error:
        raise UsageError(f"--source-file {file}: {error.strerror}.") from error
    if len(lines) != 1:
        raise UsageError(
            f"--source-file {file}: expected one line with a source, found {len(lines)}."
        )
    return lines[0]


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
        click.option(
            "--source-file",
            metavar="FILE",
            help="File whose only line is the source: keeps a password out of the list of "
            f"processes. So does the environment variable {VARIABLE}.",
        ),
        click.option(
            "--list-sources",
            "source_list_sources",
            cls=_ListSources,
            is_flag=True,
            is_eager=True,
            expose_value=False,
            help="List cameras with their formats, screens and the test pattern, and exit; with "
            "--json as JSON.",
        ),
        click.option(
            "--size",
            "source_size",
            callback=_size,
            metavar="WxH",
            help="Ask a camera for pictures of this size, such as 1280x720.",
        ),
        click.option(
            "--fps",
            "source_fps",
            type=click.FloatRange(0, 1000, min_open=True),
            help="Ask a camera for so many frames a second; of pictures, with --realtime, how fast "
            "they follow each other.",
        ),
        click.option(
            "--pixel-format",
            "source_pixel_format",
            callback=_pixel_format,
            metavar="FORMAT",
            help="Ask a camera for this format, such as MJPG (fast over USB) or YUYV.",
        ),
        click.option(
            "--rotate",
            "source_rotate",
            type=click.Choice(["0", "90", "180", "270"]),
            help="Turn frames clockwise by so many degrees.",
        ),
        click.option(
            "--flip",
            "source_flip",
            type=click.Choice(["h", "v", "hv"]),
            help="Mirror frames: left and right, top and bottom, or both; after turning.",
        ),
        click.option(
            "--rtsp-transport",
            "source_transport",
            type=click.Choice(["tcp", "udp"]),
            help="How an RTSP camera sends. Default: tcp.",
        ),
        click.option("--realtime", "source_realtime", is_flag=True, help="Play a file as if live."),
        click.option(
            "--stall-after",
            "source_stall_after",
            type=click.FloatRange(0, min_open=True),
            metavar="SECONDS",
            help="Open a live source anew after so many seconds without a frame. Default: 10.",
        ),
        click.option(
            "--max-reconnects",
            "source_max_reconnects",
            type=click.IntRange(0),
            metavar="COUNT",
            help="Give a live source up after so many attempts in a row. Default: never.",
        ),
    ),
    SourceChoice,
)
