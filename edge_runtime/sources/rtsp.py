"""``rtsp://`` a network camera (RFC 2326, RFC 7826), through OpenCV's FFmpeg in a child process."""

from __future__ import annotations

from .base import Reader, Source, SourceSettings


def open_reader(source: Source, settings: SourceSettings) -> Reader:
    """Start to open a camera.

    Over TCP nothing gets lost and firewalls are passed; over UDP a late packet holds nothing up.

    Raises:
        SystemFailure: The system gives no process or memory.
    """
    from .opencv.network import open_network

    options = {
        "rtsp_transport": settings.transport,
    }
    return open_network(source, settings, options)
