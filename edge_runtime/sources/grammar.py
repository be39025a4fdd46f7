"""One grammar for every source: what the user typed, told apart.

::

    0, /dev/video0            a camera
    rtsp://HOST/PATH          a network camera (rtsps:// too)
    http://HOST/PATH          MJPEG over HTTP, or a video that OpenCV reads (https:// too)
    FILE                      a video, or one picture
    FOLDER, frames/*.jpg      pictures, in the order of their names
    frames/f_%04d.jpg         pictures, in the order of their numbers
    picamera, picamera:1      a camera of the Raspberry Pi on its ribbon cable
    screen:, screen:1         what a screen shows
    test:, test:red,blue      a moving pattern of known colours

A file with a name like one of these is meant by its path: ``./0``.
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

#: The number in the name of a picture of a sequence, as printf(3) writes it: %d, %04d.
SEQUENCE = re.compile(r"%(0?\d*)d")

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
        if word != "test" and rest and not rest.isdecimal():
            raise UsageError(f"{name}: expected a number behind the colon, such as {word}:1.")
        return Source(_WORDS[word], rest, name, live=True)
    if text.isdecimal() or text.startswith("/dev/"):
        return Source("camera", text, name, live=True)
    if _is_pictures(text):
        return Source("pictures", text, name, live=False)
    if not os.path.exists(text):
        raise UsageError(f"{name}: no such video file. {_HELP}")
    if not os.path.isfile(text):  # to open a pipe would wait for ever
        raise UsageError(f"{name}: not a regular file. {_HELP}")
    return Source("video", text, name, live=False)


def _is_pictures(text: str) -> bool:
    """Whether it names a folder, a picture, a pattern or a numbered sequence of pictures."""
    if os.path.isdir(text):
        return True
    if os.path.exists(text):
        from ..files import PHOTO_EXTENSIONS

        return os.path.splitext(text)[1].lower() in PHOTO_EXTENSIONS
    from ..photos.patterns import has_magic

    return has_magic(text) or SEQUENCE.search(os.path.basename(text)) is not None
