"""The process that encodes a video, so that it is whole even when the stream is killed.

Run by :class:`edge_runtime.stream.outputs.picture_pipe.PictureProcess`. Messages:

- ``{"do": "try", "ending": ".mp4", "codec": "mp4v"}`` is answered;
- ``{"do": "open", "file": PATH, "codec": ..., "fps": ..., "size": [w, h]}`` is answered;
- ``{"do": "frame", "again": N}`` and a picture: the last one N times more, then this one;
- ``{"do": "close"}`` is answered when the file is whole. So is the end of the input.
"""

from __future__ import annotations

import os
import tempfile
from typing import Any

from .picture_pipe import ignore_signals, messages, own_streams, say


def main() -> None:
    """Work until nothing more is told."""
    ignore_signals()
    given, told = own_streams()
    try:
        from ...sources.base import import_cv2

        cv2 = import_cv2()
    except Exception as error:
        say(told, {"error": str(error), "class": type(error).__name__})
        return
    encoder = _Encoder(cv2)
    try:
        for message, picture in messages(given):
            if message["do"] == "frame":
                encoder.write(picture, message["again"])
                continue
            try:
                say(told, encoder.answer(message))
            except Exception as error:
                say(told, {"error": str(error), "class": type(error).__name__})
    finally:
        encoder.close()


class _Encoder:
    """OpenCV's writer of one file at a time."""

    def __init__(self, cv2: Any) -> None:
        self._cv2 = cv2
        self._writer: Any = None
        self._size = (0, 0)
        self._last: Any = None

    def answer(self, message: dict[str, Any]) -> dict[str, Any]:
        """Do what is no frame."""
        if message["do"] == "try":
            with tempfile.TemporaryDirectory() as folder:
                file = os.path.join(folder, f"try{message['ending']}")
                self._open(file, message["codec"], 10.0, (64, 64)).release()
        elif message["do"] == "open":
            self._size = (message["size"][0], message["size"][1])
            self._writer = self._open(message["file"], message["codec"], message["fps"], self._size)
        else:
            self.close()
        return {"done": message["do"]}

    def write(self, picture: bytes, again: int) -> None:
        """Encode a frame, behind repetitions of the last one."""
        import numpy as np

        if self._writer is None:
            return
        for _ in range(again if self._last is not None else 0):
            self._writer.write(self._last)
        width, height = self._size
        rgb = np.frombuffer(picture, np.uint8).reshape(height, width, 3)
        self._last = self._cv2.cvtColor(rgb, self._cv2.COLOR_RGB2BGR)
        self._writer.write(self._last)

    def close(self) -> None:
        """Finish the file."""
        writer, self._writer, self._last = self._writer, None, None
        if writer is not None:
            writer.release()

    def _open(self, file: str, codec: str, fps: float, size: tuple[int, int]) -> Any:
        from ...errors import SystemFailure, UsageError

        cv2 = self._cv2
        kind = cv2.VideoWriter_fourcc(*codec)
        writer = cv2.VideoWriter(file, cv2.CAP_FFMPEG, kind, fps, size)
        if writer.isOpened():
            return writer
        if not os.access(os.path.dirname(file) or ".", os.W_OK):
            raise SystemFailure(f"{file}: cannot be written. Check its folder.")
        raise UsageError(
            f"--video-codec {codec}: this OpenCV cannot write it into "
            f"{os.path.splitext(file)[1]}. Leave the option out, or try mp4v, XVID, MJPG or VP80."
        )


if __name__ == "__main__":
    main()
