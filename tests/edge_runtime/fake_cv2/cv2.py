"""Stands for OpenCV in a source's child process: a camera that does what a plan says.

The plan is a JSON file that the variable FAKE_CV2 names: ``sizes`` (of the frames, in turn; the last
stays), ``period`` (seconds a frame), ``frames`` (then it gives no more), ``hang_at``, ``crash_at``
(numbers of frames), ``jpeg`` (pixels come as a JPEG), ``refuse``, ``hang_at_opening``,
``hang_at_release``, ``says`` (written to standard error). What it was asked for goes to the file of
the same name with ``.log``, the number of the last frame to ``.count``.
"""

import io
import json
import os
import signal
import sys
import time
from types import SimpleNamespace

import numpy as np

PLAN = os.environ["FAKE_CV2"]
with open(PLAN) as stream:
    plan = json.load(stream)
if plan.get("missing"):
    raise ImportError("no OpenCV here")

CAP_ANY, CAP_V4L2, CAP_FFMPEG = 0, 200, 1900
(
    CAP_PROP_POS_MSEC, CAP_PROP_FRAME_WIDTH, CAP_PROP_FRAME_HEIGHT, CAP_PROP_FPS, CAP_PROP_FOURCC,
    CAP_PROP_FRAME_COUNT, CAP_PROP_CONVERT_RGB, CAP_PROP_BUFFERSIZE, CAP_PROP_OPEN_TIMEOUT_MSEC,
    CAP_PROP_READ_TIMEOUT_MSEC,
) = range(10)  # fmt: skip
COLOR_BGR2RGB, COLOR_GRAY2BGR = 4, 8
videoio_registry = SimpleNamespace(getBackends=lambda: [CAP_V4L2, CAP_FFMPEG])


class error(Exception):
    pass


def setNumThreads(count: int) -> None:
    pass


def cvtColor(source, code, dst=None):
    if code == COLOR_GRAY2BGR:
        return np.repeat(source[:, :, None], 3, axis=2)
    dst[:] = source[:, :, ::-1]
    return dst


class VideoWriter:
    @staticmethod
    def fourcc(*characters: str) -> int:
        return int.from_bytes("".join(characters).encode(), "little")


def log(*words: object) -> None:
    with open(f"{PLAN}.log", "a") as stream:
        print(*words, file=stream)


class VideoCapture:
    def __init__(self, address, backend, parameters) -> None:
        log("open", address, backend, list(parameters))
        if plan.get("hang_at_opening"):
            time.sleep(3600)
        self.number, self.convert = -1, 1
        self.fourcc = VideoWriter.fourcc(*("MJPG" if plan.get("jpeg") else "YUYV"))
        sys.stderr.write(plan.get("says", ""))
        sys.stderr.flush()

    def isOpened(self) -> bool:
        return not plan.get("refuse")

    def set(self, key: int, value: float) -> bool:
        log("set", key, value)
        if key == CAP_PROP_CONVERT_RGB:
            self.convert = value
        return True

    def get(self, key: int) -> float:
        values = {
            CAP_PROP_FPS: plan.get("fps", 25),
            CAP_PROP_FOURCC: self.fourcc,
            CAP_PROP_FRAME_WIDTH: plan["sizes"][0][0],
            CAP_PROP_FRAME_HEIGHT: plan["sizes"][0][1],
            CAP_PROP_FRAME_COUNT: plan.get("count", -1),
            CAP_PROP_POS_MSEC: self.number * 40,
        }
        return values.get(key, 0)

    def grab(self) -> bool:
        time.sleep(plan.get("period", 0.005))
        number = self.number + 1
        if number == plan.get("hang_at"):
            time.sleep(3600)
        if number == plan.get("crash_at"):
            os.kill(os.getpid(), signal.SIGSEGV)
        if number >= plan.get("frames", 1 << 24):
            return False
        self.number = number
        with open(f"{PLAN}.new", "w") as stream:
            stream.write(str(number))
        os.replace(f"{PLAN}.new", f"{PLAN}.count")
        return True

    def retrieve(self, into=None):
        width, height = plan["sizes"][min(self.number, len(plan["sizes"]) - 1)]
        color = [self.number >> shift & 0xFF for shift in (0, 8, 16)]  # blue, green, red
        if plan.get("jpeg") and not self.convert:
            from PIL import Image

            stream = io.BytesIO()
            Image.new("RGB", (width, height), (255, 0, 0)).save(stream, "JPEG")
            content = stream.getvalue()
            if self.number in plan.get("damaged", ()):
                content = b"\0" * len(content)
            return True, np.frombuffer(content, np.uint8)[None]
        if into is None or into.shape != (height, width, 3):
            into = np.empty((height, width, 3), np.uint8)
        into[:] = color
        return True, into

    def release(self) -> None:
        log("release")
        if plan.get("hang_at_release"):
            time.sleep(3600)
