"""``--video``: the frames with their answers, as a video that is as long as what it shows.

Encoded by :mod:`.video_process`. A frame of another size is fitted into the size of the file's
first frame, with black around it. When no frame came for a while, the file ends and the next frame
begins another one, so that nothing is shown that nobody saw.
"""

from __future__ import annotations

import logging
import os
import shutil
import time
from typing import TYPE_CHECKING

from ...errors import SystemFailure, UsageError
from ..results import FrameResult
from .annotate import annotated
from .base import Output
from .frame_times import Places, rate_of
from .picture_pipe import PictureProcess
from .video_parts import Parts

if TYPE_CHECKING:
    from PIL import Image

_log = logging.getLogger("edge_runtime")

#: Frames a second of a live source's video, and of pictures that come without times.
DEFAULT_FPS = 15.0

#: Seconds without a frame after which a live source's file ends.
_GAP = 10.0

#: Bytes that stay free, so that the file can be finished: a share of a small disk, but more than
#: FFmpeg keeps in memory before it writes them, which is half a megabyte.
_RESERVE, _RESERVE_SHARE, _BUFFERED = 32 << 20, 0.05, 1 << 20

#: Bytes that the end of a file takes for each frame: MP4 has its index there.
_INDEX = 40

#: Seconds between looks at the space, and before another process takes the place of one that died or hangs.
_LOOK, _REST = 1.0, 30.0

#: Seconds to start, to open a file, and to finish it.
_START, _FINISH = 60.0, 20.0

_MODULE = "edge_runtime.stream.outputs.video_process"


class Video(Output):
    """Writes a video, or a series of them."""

    name = "video"
    lossless = True
    capacity = 4  # a frame of 4K is 25 MB
    farewell = _FINISH

    def __init__(
        self,
        file: str,
        live: bool,
        *,
        fps: float | None = None,
        codec: str | None = None,
        minutes: float | None = None,
        most_bytes: int | None = None,
        overwrite: bool = False,
        heatmap: bool = False,
    ) -> None:
        """Check the name, and try the codec.

        Args:
            file: Ends in ``.mp4``, ``.mkv``, ``.avi`` or ``.webm``.
            live: Whether frames have the time of their arrival; else their place in the source.
            fps: Pictures a second; None for 15 of a live source, and a recorded one's own.
            codec: Four characters that OpenCV knows it by; None for one that suits the ending.
            minutes: Length of each file of a series; None for one file.
            most_bytes: Bytes at most of the series; the oldest files go.
            overwrite: Whether a file that is there is replaced.
            heatmap: Whether the heat map is drawn over the frame.

        Raises:
            UsageError: Another ending, or a codec that is not there.
            OutputExists: The file is there.
            MissingComponent: OpenCV is not installed.
            SystemFailure: The folder cannot be written.
        """
        self.wants_heatmaps = heatmap
        self._parts = Parts(file, minutes is not None, most_bytes, overwrite)
        self._codec = codec or self._parts.codec
        if len(self._codec) != 4 or not self._codec.isascii():
            raise UsageError(
                f"--video-codec {codec}: four characters, such as mp4v, were expected."
            )
        self._live, self._fps, self._shown_fps = live, fps, fps or DEFAULT_FPS
        self._seconds = None if minutes is None else minutes * 60
        self._process: PictureProcess | None = self._start()
        self._again_at = float("-inf")
        self._held: FrameResult | None = None
        self._part: str | None = None
        self._size = (0, 0)
        self._places = Places(self._shown_fps)
        self._frames = self._part_begun = 0  # pictures of all files, and before this one
        self._looked = self._part_since = float("-inf")

    def result(self, result: FrameResult) -> None:
        """Write a frame at its place.

        Raises:
            SystemFailure: The disk is full, and nothing more is written; or the process died.
        """
        if not self.wants_results:  # what still waited when the disk was full
            return
        if not self._live and self._fps is None:
            if self._held is None:  # the rate is known with the second frame
                self._held = result
                return
            first = self._held
            self._fps = rate_of(first.frame.seconds, result.frame.seconds, DEFAULT_FPS)
            self._shown_fps = self._fps
            self._write(first)
        self._write(result)

    def close(self) -> None:
        """Finish the file."""
        if self._held is not None and self._fps is None and self.wants_results:
            self._write(self._held)  # the only one
        self._end_part()
        if self._process is not None and not self._process.close(_FINISH):
            raise SystemFailure("the last file was not finished in time.")

    def _write(self, result: FrameResult) -> None:
        seconds = self._time(result)
        if self._part is not None and self._is_over(seconds):
            self._end_part()
        if self._part is None:
            self._places = Places(self._shown_fps)
        again = self._places.place(seconds)
        if again is None or time.monotonic() < self._again_at:
            return
        picture = annotated(result, self.wants_heatmaps)
        try:
            self._check_space()
            if self._part is None:
                self._begin_part(picture.size)
            data = _fitted(picture, self._size).tobytes()
            self._running().send({"do": "frame", "again": again}, data)
        except SystemFailure:
            if self.wants_results:  # the process is gone; another one gets another file
                part, self._part = self._part, None
                self._drop_process()
                if part is not None:
                    self._parts.done(part)
            raise
        self._frames += again + 1

    def _time(self, result: FrameResult) -> float:
        """When a frame was, in seconds on a clock that does not jump."""
        frame = result.frame
        if self._live:
            return frame.captured
        return self._frames / self._shown_fps if frame.seconds is None else frame.seconds

    def _is_over(self, seconds: float) -> bool:
        if self._live and self._places.gap(seconds) > _GAP:
            return True
        if self._seconds is not None and self._places.length(seconds) >= self._seconds:
            return True
        most = self._parts.most_part
        return most is not None and self._part is not None and _size(self._part) > most

    def _begin_part(self, size: tuple[int, int]) -> None:
        self._size = (size[0] + size[0] % 2, size[1] + size[1] % 2)  # chroma is of half the size
        file = self._parts.next()
        process = self._running()
        told = {"file": file, "codec": self._codec, "fps": self._shown_fps, "size": self._size}
        process.send({"do": "open", **told})
        process.answer(_START)
        self._part, self._part_begun = file, self._frames
        self._part_since = time.monotonic()
        _log.debug("video: %s", file)

    def _end_part(self) -> None:
        part, self._part = self._part, None
        if part is None or self._process is None:
            return
        try:
            self._process.send({"do": "close"})
            self._process.answer(_FINISH)
        except SystemFailure:
            self._drop_process()  # a late answer would be taken for that to the next question
            raise
        finally:
            self._parts.done(part)  # it takes its space, whole or not

    def _drop_process(self) -> None:
        """Go on without it; another one is started after a while."""
        process, self._process = self._process, None
        if process is not None:
            process.close(_FINISH)
        self._again_at = time.monotonic() + _REST

    def _check_space(self) -> None:
        """Stop while there is room to finish the file: OpenCV tells nobody of a full disk."""
        now = time.monotonic()
        if now - self._looked < _LOOK:
            return
        self._looked = now
        file = self._part or self._parts.folder
        free, total = _room(file)
        index = (self._frames - self._part_begun) * _INDEX
        # Twice what is written until the next look, since what is free comes in steps.
        growth = (
            2 * _LOOK * _size(file) / max(now - self._part_since, _LOOK, 0.1) if self._part else 0
        )
        if free > max(_BUFFERED, min(_RESERVE, total * _RESERVE_SHARE)) + index + growth:
            return
        self.wants_results = False
        self._end_part()
        raise SystemFailure(
            f"{file}: no space left, so the video ends here. What was written can be played."
        )

    def _running(self) -> PictureProcess:
        if self._process is None:
            self._process = self._start()
        return self._process

    def _start(self) -> PictureProcess:
        process = PictureProcess(_MODULE, "--video")
        try:
            process.send({"do": "try", "ending": self._parts.ending, "codec": self._codec})
            process.answer(_START)
        except BaseException:
            process.close(1.0)
            raise
        return process


def _fitted(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    """A picture in the middle of a black one of another size, as large as it fits."""
    from PIL import Image, ImageOps

    if picture.size == size:
        return picture
    sheet = Image.new("RGB", size)
    if (
        picture.width > size[0]
        or picture.height > size[1]
        or (picture.width < size[0] - 1 and picture.height < size[1] - 1)
    ):
        picture = ImageOps.contain(picture, size, Image.Resampling.BILINEAR)
    sheet.paste(picture, ((size[0] - picture.width) // 2, (size[1] - picture.height) // 2))
    return sheet


def _room(file: str) -> tuple[float, float]:
    """Bytes that a file may still grow by, and those that there are in all."""
    usage = shutil.disk_usage(file)
    free, total = float(usage.free), float(usage.total)
    if os.path.isfile(file):
        try:
            import resource

            limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
        except ImportError:  # not POSIX
            return free, total
        if limit != resource.RLIM_INFINITY and limit - _size(file) < free:
            return float(limit - _size(file)), float(limit)
    return free, total


def _size(file: str) -> int:
    try:
        return os.path.getsize(file)
    except OSError:
        return 0
