"""A video file, through OpenCV: every frame, in order."""

from __future__ import annotations

import os

from ..errors import DataError, SystemFailure
from .base import Reader, Source, SourceSettings

#: FFmpeg reads all that OpenCV's other backends do, and tells where a file is damaged.
_BACKENDS = ("FFMPEG",)


def open_reader(source: Source, settings: SourceSettings) -> Reader:
    """Open a video file.

    Raises:
        DataError: It is no video.
        SystemFailure: It may not be read.
        MissingComponent: OpenCV is not installed.
    """
    from .opencv.job import Job
    from .opencv.reader import OpenCVReader

    del settings
    # FFmpeg takes what stands in front of a colon for a protocol, unless the path is absolute.
    path = os.path.abspath(source.address)
    try:
        with open(path, "rb"):
            pass
    except FileNotFoundError as error:
        raise DataError(f"{source.name}: the file is gone.") from error
    except OSError as error:
        raise SystemFailure(f"{source.name}: {error.strerror}. Check its permissions.") from error

    def refusal(words: str) -> DataError:
        reason = f" ({words})" if words else ""
        return DataError(f"{source.name}: not a video that OpenCV can read{reason}.")

    return OpenCVReader(source, Job(path, _BACKENDS, environment=_environment()), refusal)


def _environment() -> dict[str, str]:
    """What FFmpeg is told: to say what is damaged, and how many threads it has.

    It would take one for each core, and while they decode ahead the interpreter would be interrupted.
    """
    from ..backends.base import default_threads

    return {
        "OPENCV_FFMPEG_LOGLEVEL": "16",
        "OPENCV_LOG_LEVEL": "ERROR",
        "OPENCV_FFMPEG_THREADS": str(max(default_threads() // 2, 1)),
    }
