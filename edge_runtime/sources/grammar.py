"""One grammar for every source: what the user typed, told apart.

::

    0, /dev/video0            a camera
    rtsp://HOST/PATH          a network camera (rtsps:// too)
    http://HOST/PATH          MJPEG over HTTP, or a video that OpenCV reads (https:// too)
    FILE                      a video, or one picture
    FOLDER, frames/*.jpg      pictures, in the order of their names
    picamera, picamera:1      a camera of the Raspberry Pi on its ribbon cable
    screen:, screen:1         what a screen shows
    test:, test:red,blue      a moving pattern of known colours
"""

from __future__ import annotations

import os
import re

from ..errors import UsageError
from .base import Source
from .credentials import hide_credentials as hide_credentials  # it was defined here
from .credentials import shown_source

_HELP = (
    "A source is a camera (0, /dev/video0, picamera), a URL (rtsp://, http://), a video file, "
    "a folder or pattern of pictures, screen: or test:."
)

#: Kind of a URL by its scheme.
_SCHEMES = {"rtsp": "rtsp", "rtsps": "rtsp", "http": "http", "https": "http"}

#: Kinds of the sources that are a word, with something behind a colon or not.
_WORDS = {"picamera": "picamera", "screen": "screen", "test": "pattern"}


def parse_source(text: str) -> Source:
    """Tell the kinds of sources apart.

    Args:
        text: What the user typed.

    Raises:
        UsageError: It is none, or a path that does not exist.
    """
    name = shown_source(text)
    scheme, url, _ = text.partition("://")
    if url:
        kind = _SCHEMES.get(scheme.lower())
        if kind is None:
            raise UsageError(f"{name}: no source begins with {scheme}://. {_HELP}")
        return Source(kind, text, name, live=True)
    word, _, rest = text.partition(":")
    if word in _WORDS and not os.path.exists(text):
        return Source(_WORDS[word], rest, name, live=True)
    if text.isdecimal() or text.startswith("/dev/"):
        return Source("camera", text, name, live=True)
    from ..photos.patterns import has_magic

    if os.path.isdir(text) or (has_magic(text) and not os.path.exists(text)):
        return Source("pictures", text, name, live=False)
    if not os.path.isfile(text):
        raise UsageError(f"{name}: no such video file. {_HELP}")
    return Source("video", text, name, live=False)
