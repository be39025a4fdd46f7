"""A camera that shows a video round and round, each frame with its time in the picture.

Run by :mod:`benchmarks.perf.stream_lag`, in a process of its own::

    python -m benchmarks.perf.stream_camera http VIDEO FPS    # MJPEG; prints the URL
    python -m benchmarks.perf.stream_camera raw VIDEO FPS     # BGR frames on standard output

It ends with its standard input.
"""

from __future__ import annotations

import socketserver
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np

from benchmarks.perf.stream_stamp import stamp

_QUALITY = 85


def frames(video: str, fps: float) -> Iterator[np.ndarray]:
    """Frames at their times, without end; one that would be late is left out.

    Args:
        video: Path.
        fps: Frames a second, whatever the file says.
    """
    import cv2

    capture = cv2.VideoCapture(video)
    begun, count = time.monotonic(), 0
    while True:
        ok, picture = capture.read()
        if not ok:
            capture.set(cv2.CAP_PROP_POS_FRAMES, 0)
            continue
        wait = begun + count / fps - time.monotonic()
        count += 1
        if wait < -1:
            begun, count = time.monotonic(), 0
        if wait > 0:
            time.sleep(wait)
        stamp(picture)
        yield picture


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        import cv2

        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        try:
            for picture in frames(self.server.video, self.server.fps):
                data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1]
                head = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n"
                self.wfile.write(head % len(data) + data.tobytes() + b"\r\n")
        except OSError:  # the viewer has gone
            return

    def log_message(self, *_: Any) -> None:
        return


class _Server(ThreadingHTTPServer, socketserver.TCPServer):
    daemon_threads = True

    def __init__(self, video: str, fps: float) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.video, self.fps = video, fps


def _serve(video: str, fps: float) -> None:
    server = _Server(video, fps)
    sys.stdout.write(f"http://127.0.0.1:{server.server_address[1]}/\n")
    sys.stdout.flush()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()


def _write(video: str, fps: float) -> None:
    for picture in frames(video, fps):
        try:
            sys.stdout.buffer.write(picture.tobytes())
            sys.stdout.buffer.flush()
        except OSError:
            return


def main(how: str, video: str, fps: str) -> None:
    """Serve until standard input, or whoever reads, has gone."""
    {"http": _serve, "raw": _write}[how](video, float(fps))


if __name__ == "__main__":
    main(*sys.argv[1:])
