"""A camera through picamera2."""

from __future__ import annotations

import threading
import time
from typing import Any

import numpy as np

from ...errors import MissingComponent, first_line
from ..base import Grabbed, SourceLost, SourceSettings, SourceStalled

#: Width and height where nothing is wished: enough for networks of a few hundred pixels.
_SIZE = (1280, 720)


class LibraryReader:
    """Keeps the newest frame; see :class:`~edge_runtime.sources.base.Reader`."""

    def __init__(self, number: int, settings: SourceSettings) -> None:
        """Start the camera.

        Raises:
            SourceLost: There is no such camera now, or another program uses it.
            MissingComponent: picamera2 is there and does not load.
        """
        self._changed = threading.Condition()
        self._newest: tuple[float, np.ndarray] | None = None
        self._failure: Exception | None = None
        self._closed = False
        self.fps: float | None = settings.fps
        try:
            import picamera2
        except Exception as error:  # built for another NumPy or Python, or without libcamera
            raise MissingComponent(
                f"picamera2 does not load ({first_line(error)}). Install the system's own with "
                "sudo apt install python3-picamera2, and make the virtual environment with "
                "--system-site-packages."
            ) from error
        try:
            self._camera: Any = picamera2.Picamera2(number)
        except (IndexError, RuntimeError) as error:
            raise SourceLost(
                f"camera {number} does not open ({first_line(error)}). Is it plugged in, and does "
                "no other program use it? rpicam-hello --list-cameras lists what there is."
            ) from error
        try:
            controls = {"FrameRate": settings.fps} if settings.fps else {}
            # The name of libcamera's format counts from the last byte: in memory it is RGB.
            main = {"size": settings.size or _SIZE, "format": "BGR888"}
            configured = self._camera.create_video_configuration(main=main, controls=controls)
            self._camera.configure(configured)
            self._camera.pre_callback = self._keep
            self._camera.start()
        except Exception as error:
            self.close()
            raise SourceLost(f"camera {number} does not start ({first_line(error)}).") from error

    def _keep(self, request: Any) -> None:
        """Take a frame over; on picamera2's own thread, which must not end."""
        captured = time.monotonic()
        try:
            pixels = np.ascontiguousarray(request.make_array("main")[:, :, :3])
        except Exception as error:
            with self._changed:
                self._failure = error
                self._changed.notify_all()
            return
        with self._changed:
            self._newest = captured, pixels
            self._changed.notify_all()

    def read(self, timeout: float) -> Grabbed | None:
        """Wait for the next frame; see :meth:`Reader.read`."""
        with self._changed:
            self._changed.wait_for(lambda: self._newest or self._failure or self._closed, timeout)
            if self._closed:
                raise SourceLost("closed.")
            if self._failure is not None:
                raise SourceLost(f"the camera failed ({first_line(self._failure)}).")
            if self._newest is None:
                raise SourceStalled(f"no frame for {timeout:g} s. Is the ribbon cable in place?")
            (captured, pixels), self._newest = self._newest, None
        return Grabbed(captured, lambda: pixels)

    def close(self) -> None:
        """Let go of the camera; its library is given a second."""
        with self._changed:
            if self._closed:
                return
            self._closed = True
            self._changed.notify_all()
        closer = threading.Thread(target=self._release, name="picamera-close", daemon=True)
        closer.start()
        closer.join(1)

    def _release(self) -> None:
        for let_go in (self._camera.stop, self._camera.close):
            try:
                let_go()
            except Exception:  # noqa: S112  # it is half open, or half gone
                continue
