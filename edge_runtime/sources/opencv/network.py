"""URLs, read by OpenCV's FFmpeg in a child process."""

from __future__ import annotations

from collections.abc import Mapping

from ..base import Reader, Source, SourceLost, SourceSettings
from ..credentials import with_quoted_user
from .job import Job
from .reader import OpenCVReader

#: Seconds that a server has to answer.
_OPENING = 10.0

#: What FFmpeg's words mean, in the order in which they are looked for, and what to do.
_MEANINGS = (
    ("401", "the camera refuses the login (401). Check user and password"),
    ("403", "the camera forbids this address (403). Check user, password and path"),
    ("404", "the camera has nothing at this address (404). Check the path"),
    ("461", "the camera does not send by this transport (461). Try --rtsp-transport udp or tcp"),
    ("453", "the camera has no room for another viewer (453)"),
    ("503", "the camera is busy (503); it may allow few viewers"),
    ("refused", "connection refused. Check host and port, and whether the camera is on"),
    ("resolve", "the host name is not known. Check the address and the network"),
    ("timed out", "no answer in time. Check host, port and the network"),
    ("unreachable", "the host cannot be reached. Check the network"),
    ("No route", "the host cannot be reached. Check the network"),
    ("Protocol not found", "this build of OpenCV knows no such address"),
    ("Invalid data", "what comes from there is no video"),
)


def open_network(source: Source, settings: SourceSettings, options: Mapping[str, str]) -> Reader:
    """Start to open a URL.

    Args:
        source: The URL.
        settings: How long it may be silent.
        options: Options of FFmpeg for it.
    """
    environment = {
        # Each further thread of a decoder holds one more frame back: 100 ms with four of them.
        "OPENCV_FFMPEG_THREADS": "1",
        "OPENCV_FFMPEG_LOGLEVEL": "16",
        "OPENCV_LOG_LEVEL": "ERROR",
    }
    if options:
        words = "|".join(f"{name};{value}" for name, value in options.items())
        environment["OPENCV_FFMPEG_CAPTURE_OPTIONS"] = words
    job = Job(
        with_quoted_user(source.address),
        backends=("FFMPEG",),
        live=True,
        paced=source.kind == "http",
        open_ms=round(_OPENING * 1000),
        read_ms=round(settings.stall_after * 1000),
        environment=environment,
    )
    return OpenCVReader(source, job, _refusal)


def _refusal(words: str) -> SourceLost:
    meaning = next((meaning for part, meaning in _MEANINGS if part in words), None)
    if meaning is not None:
        return SourceLost(f"{meaning}.")
    return SourceLost(f"it does not open{f': {words}' if words else ''}. Check the address.")
