"""A camera through ``rpicam-vid``, which writes JPEGs to a pipe."""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import threading
import time
from collections import deque

from ...errors import MissingComponent, first_line
from ..base import BadFrame, Grabbed, SourceLost, SourceSettings, SourceStalled
from ..mjpeg.parts import NoPictures, Pictures, Piece
from ..opencv.memory import nameless_log

_SIZE = (1280, 720)

#: Bytes of one picture: 64 megapixels, the largest camera there is, at any quality.
_MOST = 64 << 20

_CHUNK = 1 << 20

#: Reads in a row, so that a program which writes without end does not hold a picture up.
_READS = 256

#: Seconds for the program to let go of the camera, and for the kernel to end it.
_FAREWELL, _BURIAL = 0.5, 0.3

#: Bytes of what the program says that are looked at, and kept.
_WORDS = 1 << 14


class ProgramReader:
    """Reads the pipe; see :class:`~edge_runtime.sources.base.Reader`."""

    def __init__(self, program: str, number: int, settings: SourceSettings) -> None:
        """Start the program.

        Args:
            program: ``rpicam-vid``, or what takes the same options.
            number: Of the camera.
            settings: Size and rate.

        Raises:
            MissingComponent: The program does not start.
        """
        width, height = settings.size or _SIZE
        command = [program, "--codec", "mjpeg", "--camera", str(number), "--timeout", "0"]
        command += ["--nopreview", "--flush", "--width", str(width), "--height", str(height)]
        if settings.fps:
            command += ["--framerate", f"{settings.fps:g}"]
        self.fps: float | None = settings.fps
        self._pictures, self._jpegs = deque[tuple[float, Piece]](), Pictures(_MOST)
        self._reading, self._closed = threading.Lock(), False
        self._words = nameless_log()
        try:
            self._process = subprocess.Popen(
                [*command, "--output", "-"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=self._words,
                bufsize=0,
                start_new_session=True,  # Ctrl-C is ours to act upon
            )
        except OSError as error:
            os.close(self._words)
            raise MissingComponent(f"{program} does not start ({first_line(error)}).") from error
        self._program = os.path.basename(program)
        self._pipe = self._process.stdout.fileno() if self._process.stdout else -1
        os.set_blocking(self._pipe, False)
        self._wake, self._waker = os.pipe()

    def read(self, timeout: float) -> Grabbed | None:
        """Wait for the next picture; see :meth:`Reader.read`."""
        end = time.monotonic() + timeout
        with self._reading:
            while not self._closed:
                self._drain()
                if self._pictures:
                    return self._newest()
                left = end - time.monotonic()
                if left <= 0:
                    raise SourceStalled(f"no picture for {timeout:g} s.")
                poll = select.poll()
                poll.register(self._pipe, select.POLLIN)
                poll.register(self._wake, select.POLLIN)
                poll.poll(left * 1000)
            raise SourceLost("closed.")

    def _drain(self) -> None:
        """Take what the pipe holds, so that what stays is newer than all of it."""
        ended = False
        with contextlib.suppress(BlockingIOError):
            for _ in range(_READS):
                data = os.read(self._pipe, _CHUNK)
                ended = not data
                if ended:
                    break
                captured = time.monotonic()
                self._pictures.extend((captured, picture) for picture in self._cut(data))
        if ended and not self._pictures:
            raise SourceLost(self._death())
        if os.fstat(self._words).st_size > _WORDS:
            os.ftruncate(self._words, 0)  # a line a frame, for months

    def _cut(self, data: bytes) -> list[Piece]:
        try:
            return self._jpegs.feed(data)
        except NoPictures as error:
            raise SourceLost(f"{self._program}: {error}") from error

    def _newest(self) -> Grabbed:
        captured, picture = self._pictures.pop()
        self._pictures.clear()
        if isinstance(picture, BadFrame):
            raise picture
        return Grabbed(captured, lambda: picture)

    def close(self) -> None:
        """End the program, and let go of the camera."""
        if self._closed:
            return
        self._closed = True
        os.write(self._waker, b"x")
        self._process.terminate()
        try:
            self._process.wait(_FAREWELL)
        except subprocess.TimeoutExpired:
            self._process.kill()
            try:
                self._process.wait(_BURIAL)
            except subprocess.TimeoutExpired:  # in the kernel, where no signal reaches it
                threading.Thread(target=self._process.wait, daemon=True).start()
        if self._reading.acquire(timeout=1):
            try:
                for descriptor in (self._words, self._wake, self._waker):
                    os.close(descriptor)
                if self._process.stdout is not None:
                    self._process.stdout.close()
            finally:
                self._reading.release()

    def _death(self) -> str:
        try:
            code = self._process.wait(_FAREWELL)
        except subprocess.TimeoutExpired:
            return "the program has closed its pipe."
        size = os.fstat(self._words).st_size
        text = os.pread(self._words, _WORDS, max(0, size - _WORDS)).decode(errors="replace")
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        telling = [line for line in lines if "error" in line.lower() or "no camera" in line.lower()]
        said = (telling or lines or ["it said nothing"])[-1].strip(" *.")
        how = f"exit code {code}" if code >= 0 else f"signal {-code}"
        return f"{self._program} ended with {how} ({said}). Is the camera plugged in and free?"
