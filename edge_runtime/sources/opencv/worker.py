"""The child: opens a source with OpenCV and puts its frames into shared memory.

Started by :mod:`.reader` as ``python -m edge_runtime.sources.opencv.worker DESCRIPTOR``.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import threading
import time
from typing import IO, Any

from ...errors import MissingComponent, first_line
from ..base import import_cv2
from .capture import Capture, take_words
from .job import Job
from .outbox import Outbox, write_bytes

#: Seconds that the source has to be let go of, once the parent is gone.
_FAREWELL = 0.4

#: Frames in a row that a file may not give, where it does not say how many it has.
_ATTEMPTS = 50

#: Frames that the count in a file may be wrong by.
_SLACK = 2


class Work:
    """One source, from opening it to its end."""

    def __init__(self, channel: socket.socket) -> None:
        """Read the job, and listen to the parent from now on."""
        lines = channel.makefile("rb")
        self._job = Job.from_line(lines.readline())
        self._outbox = Outbox(channel, self._job.live)
        self._closing = threading.Event()
        threading.Thread(target=self._listen, args=(lines,), daemon=True).start()

    def run(self) -> None:
        """Open, read, and say how it ended."""
        for name, value in self._job.environment.items():
            os.environ.setdefault(name, value)
        try:
            cv2 = import_cv2()
        except MissingComponent as error:
            self._outbox.say({"failed": str(error), "missing": True})
            return
        cv2.setNumThreads(1)  # what is left to do on a frame is too little to share
        take_words()
        self._outbox.say({"ready": True})
        try:
            capture = Capture(cv2, self._job)
        except OSError as error:
            self._outbox.say({"failed": str(error)})
            return
        except cv2.error as error:
            self._outbox.say({"failed": first_line(error)})
            return
        try:
            size, pixel_format = capture.size, capture.pixel_format
            take_words()
            self._outbox.say({"open": capture.fps, "size": size, "pixel_format": pixel_format})
            self._outbox.say(self._read_live(capture) if self._job.live else self._read(capture))
        except cv2.error as error:
            self._outbox.say({"lost": first_line(error)})
        finally:
            capture.release()

    def _listen(self, lines: IO[bytes]) -> None:
        """Do as the parent says; without a parent, end."""
        with contextlib.suppress(OSError):
            for line in lines:
                word, *numbers = line.split()
                if word == b"want":
                    self._outbox.want()
                elif word == b"cancel":
                    self._outbox.cancel()
                else:
                    self._outbox.free(int(numbers[0]), int(numbers[1]))
        self._closing.set()
        self._outbox.close()
        time.sleep(_FAREWELL)
        os._exit(0)  # the driver hangs

    def _read_live(self, capture: Capture) -> dict[str, Any]:
        """Put the newest frame out, for as long as there are frames."""
        begun = time.monotonic()
        while not self._closing.is_set():
            captured = capture.grab()
            if captured is None:
                return {"lost": take_words() or "it gives no more frames"}
            seconds = None
            if self._job.paced and capture.count:
                seconds = capture.position()
                self._closing.wait(begun + (seconds or 0) - captured)
                captured = time.monotonic()
            self._put(capture, {"captured": captured, "seconds": seconds})
            take_words()  # a decoder in the middle of a stream complains until it has a whole frame
        return {"lost": "closed"}

    def _read(self, capture: Capture) -> dict[str, Any]:
        """Put all frames of a file out, and tell its end from a failure."""
        index, missed, skipped, seconds = 0, 0, 0, 0.0
        words = ""
        while not self._closing.is_set():
            captured = capture.grab()
            said = take_words()
            if captured is None:
                words, missed = said or words, missed + 1
                left = capture.count - index - skipped
                if missed > (left if capture.count else _ATTEMPTS):
                    break
                continue
            if missed:
                self._outbox.say({"bad": words, "frames": missed, "seconds": seconds})
                skipped, missed = skipped + missed, 0
            seconds = capture.position() or 0.0
            if said:
                self._outbox.say({"note": said, "seconds": seconds})
            words = said
            self._put(capture, {"captured": captured, "seconds": seconds, "index": index})
            index += 1
        return {"end": index, "words": words, "missing": max(0, capture.count - index - skipped)}

    def _put(self, capture: Capture, message: dict[str, Any]) -> None:
        found = capture.retrieve()
        if found is None:
            self._outbox.say({"bad": take_words(), "frames": 1, "seconds": message["seconds"]})
            return
        taken = self._outbox.slot(found.size)
        if taken is None:
            return
        pool, slot = taken
        if found.ndim == 3:
            capture.to_rgb(found, pool.view(slot, found.size).reshape(found.shape))
            message["shape"] = found.shape
        else:
            write_bytes(pool, slot, found)
        self._outbox.put(
            slot, {"frame": slot, "pool": pool.number, "bytes": int(found.size), **message}
        )


def main() -> None:
    """Work for the parent at the other end of the socket."""
    # The parent decides when it ends; a terminal and a service manager tell all processes.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    with contextlib.suppress(BrokenPipeError, ConnectionError):
        Work(socket.socket(fileno=int(sys.argv[1]))).run()
    sys.stderr.flush()
    os._exit(0)  # the listening thread waits for a word that need not come


if __name__ == "__main__":
    main()
