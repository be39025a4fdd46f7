"""Serve raw frames from standard input as H.264 over RTSP, with GStreamer's RTSP server.

Run by :mod:`benchmarks.perf.stream_lag` with the system's Python, which has GStreamer's bindings
(Debian: ``python3-gi gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-ugly``); prints the URL::

    /usr/bin/python3 stream_rtsp.py WIDTH HEIGHT FPS < BGR-FRAMES
"""

from __future__ import annotations

import os
import sys
import threading
from typing import Any

import gi  # type: ignore[import-not-found]

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # type: ignore[import-not-found]  # noqa: E402

_ENCODER = (
    "videoconvert ! video/x-raw,format=I420 ! x264enc tune=zerolatency speed-preset=ultrafast "
    "bitrate=3000 key-int-max=30 ! rtph264pay name=pay0 pt=96 config-interval=1"
)


class Camera:
    """The newest frame for whoever looks."""

    def __init__(self, width: int, height: int, fps: int) -> None:
        """Prepare the pipeline."""
        self._size = width * height * 3
        self._sources: list[Any] = []
        caps = f"video/x-raw,format=BGR,width={width},height={height},framerate={fps}/1"
        self.factory = GstRtspServer.RTSPMediaFactory()
        self.factory.set_shared(True)
        self.factory.set_launch(
            f"( appsrc name=src is-live=true format=time do-timestamp=true max-buffers=2 "
            f"leaky-type=downstream caps={caps} ! {_ENCODER} )"
        )
        self.factory.connect("media-configure", self._configure)

    def _configure(self, _: Any, media: Any) -> None:
        self._sources = [media.get_element().get_child_by_name("src")]

    def pump(self, loop: Any) -> None:
        """Hand frames on until there are no more."""
        while True:
            data = sys.stdin.buffer.read(self._size)
            if len(data) < self._size:
                break
            for source in self._sources:
                source.emit("push-buffer", Gst.Buffer.new_wrapped(data))
        loop.quit()


def main() -> None:
    """Serve until standard input ends."""
    Gst.init(None)
    width, height, fps = map(int, sys.argv[1:])
    camera, loop = Camera(width, height, fps), GLib.MainLoop()
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service("0")
    server.get_mount_points().add_factory("/video", camera.factory)
    server.attach(None)
    sys.stdout.write(f"rtsp://127.0.0.1:{server.get_bound_port()}/video\n")
    sys.stdout.flush()
    threading.Thread(target=camera.pump, args=(loop,), daemon=True).start()
    loop.run()
    os._exit(0)  # its threads do not end by themselves


if __name__ == "__main__":
    main()
