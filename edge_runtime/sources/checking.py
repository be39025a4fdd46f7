"""Which wishes make sense of which kind of source."""

from __future__ import annotations

from collections.abc import Collection

from ..errors import UsageError, missing_package
from .base import Source

_CAMERAS = ("camera", "picamera")
_NETWORK = ("rtsp", "http")
_FILES = ("video", "pictures")
_LIVE = (*_CAMERAS, *_NETWORK, "screen", "pattern")

#: What a kind of source is called in a message.
_NAMES = {
    "camera": "a camera",
    "picamera": "a camera of the Raspberry Pi",
    "rtsp": "an RTSP camera",
    "http": "a URL",
    "screen": "a screen",
    "pattern": "the test pattern",
    "video": "a video file",
    "pictures": "pictures in files",
}

#: By the field of SourceSettings: the option, the kinds of sources that it is for, and the remedy.
_RULES: dict[str, tuple[str, tuple[str, ...], str]] = {
    "size": (
        "--size",
        (*_CAMERAS, "pattern"),
        "its size is what it sends; --roi chooses a part of it",
    ),
    "fps": (
        "--fps",
        (*_CAMERAS, "http", "screen", "pattern", "pictures"),
        "its rate is what it sends; --max-fps limits the answers",
    ),
    "pixel_format": ("--pixel-format", ("camera",), "only cameras of Video4Linux have a choice"),
    "transport": ("--rtsp-transport", ("rtsp",), "it is for rtsp:// alone"),
    "realtime": ("--realtime", _FILES, "it is live already"),
    "stall_after": ("--stall-after", _LIVE, "a file is not waited for"),
    "max_reconnects": ("--max-reconnects", _LIVE, "a file is opened once"),
}


#: What OpenCV reads; of URLs only those that give no MJPEG.
_BY_OPENCV = ("camera", "rtsp", "video")


def check_packages(source: Source) -> None:
    """Refuse what cannot be read here before a model is loaded for it.

    Raises:
        MissingComponent: OpenCV is not installed.
    """
    from importlib.util import find_spec

    if source.kind in _BY_OPENCV and find_spec("cv2") is None:
        raise missing_package("OpenCV", "camera", "read cameras and videos")


def check_wishes(source: Source, given: Collection[str]) -> None:
    """Refuse what a source cannot be asked for, rather than to ignore it.

    Args:
        source: What is read.
        given: Names of the fields of :class:`~edge_runtime.sources.base.SourceSettings` that the
            user has set.

    Raises:
        UsageError: One of them makes no sense here.
    """
    for field, (option, kinds, reason) in _RULES.items():
        if field in given and source.kind not in kinds:
            raise UsageError(
                f"{option} does not go with {source.name}, {_NAMES[source.kind]}: {reason}."
            )
