"""The folder that frames are kept in: a folder a label, an index beside them, a limit of size."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import time
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from typing import Any

import numpy as np

from ...errors import SystemFailure, UsageError
from ...files import system_failures
from ...sorting.moving import give_name, numbered, sync_folder
from ..results import FrameResult
from .fingerprint import SIZE, Remembered

_log = logging.getLogger("edge_runtime")

INDEX = "collected.jsonl"

#: JPEG quality of frames that do not come as a file.
QUALITY = 95

#: Pictures that are kept as they came, by their first bytes.
_AS_IT_CAME = {b"\xff\xd8\xff": ".jpg", b"\x89PNG\r\n\x1a\n": ".png"}

#: Bytes at the end of an index that fingerprints are read back from: some ten thousand lines.
_READ_BACK = 8 << 20

#: Seconds after which a full folder is measured again: somebody may have taken frames out.
_MEASURE_AGAIN = 60.0


class Store:
    """Writes frames and what is known of them; replaces and removes nothing.

    Attributes:
        remembered: Fingerprints of what is in the folder already.
    """

    def __init__(self, folder: str, limit: float) -> None:
        """Make the folder, and read back what earlier runs kept.

        Args:
            folder: Where.
            limit: Bytes that all files in it may have.

        Raises:
            UsageError: There is something that is no folder.
            SystemFailure: It cannot be made, or not be written to.
        """
        self._folder, self._index, self._limit = folder, os.path.join(folder, INDEX), limit
        if os.path.lexists(folder) and not os.path.isdir(folder):
            raise UsageError(f"--collect {folder}: is no folder. Choose another name.")
        with system_failures(folder):
            os.makedirs(folder, exist_ok=True)
            os.close(os.open(self._index, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o666))
        self.remembered = Remembered()
        for found in _fingerprints(self._index):
            self.remembered.add(found)
        self._size = _size_below(folder)
        self._full_until = 0.0
        self._said_full = False

    @property
    def full(self) -> bool:
        """Whether the limit is reached, and nobody has made room since."""
        return time.monotonic() < self._full_until

    def save(
        self,
        result: FrameResult,
        folder: str,
        reason: str,
        found: np.ndarray,
        facts: Mapping[str, Any],
    ) -> str | None:
        """Write a frame and its line of the index; both or neither.

        Args:
            result: The frame.
            folder: Name of the folder for it.
            reason: For the file's name.
            found: Its fingerprint.
            facts: JSON values for the index.

        Returns:
            The file's name below the folder, with forward slashes; None if it has no room.

        Raises:
            BadFrame: The frame is damaged.
            SystemFailure: Disk full or no permission; nothing is left of it.
        """
        content, suffix = _encoded(result)
        if not self._has_room(len(content)):
            return None
        moment = datetime.fromtimestamp(result.frame.time, timezone.utc)
        name = f"{moment:%Y%m%dT%H%M%S}.{moment.microsecond // 1000:03}Z_{reason}{suffix}"
        with system_failures(self._folder):
            path = self._written(os.path.join(self._folder, folder), name, content)
            try:
                file = f"{folder}/{os.path.basename(path)}"
                line = {"file": file, **facts, "fingerprint": found.tobytes().hex()}
                self._size += len(content) + _append(self._index, json.dumps(line) + "\n")
            except BaseException:
                os.unlink(path)
                raise
        self.remembered.add(found)
        return file

    def _written(self, folder: str, name: str, content: bytes) -> str:
        os.makedirs(folder, exist_ok=True)
        part = os.path.join(folder, f".{os.urandom(6).hex()}.part")
        try:
            with open(part, "xb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())  # a box that loses power shall not keep an empty file
            for target in numbered(os.path.join(folder, name)):
                with contextlib.suppress(FileExistsError):
                    give_name(part, target, keep=False)
                    break
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(part)
        sync_folder(folder)
        return target

    def _has_room(self, size: int) -> bool:
        if self._size + size <= self._limit:
            return True
        self._size = _size_below(self._folder)
        if self._size + size <= self._limit:
            self._said_full = False
            return True
        self._full_until = time.monotonic() + _MEASURE_AGAIN
        if not self._said_full:
            self._said_full = True
            _log.warning(
                "--collect %s: holds %.1f MB of the %.1f MB that --collect-max-mb allows; nothing "
                "more is kept until there is room.",
                self._folder,
                self._size / 1e6,
                self._limit / 1e6,
            )
        return False


def _encoded(result: FrameResult) -> tuple[bytes, str]:
    """The picture as it came, where it came as a file, else as JPEG; and the ending of its name."""
    photo, roi = result.frame.photo, result.roi
    if isinstance(photo, bytes) and roi is None:
        for start, suffix in _AS_IT_CAME.items():
            if photo.startswith(start):
                return photo, suffix
    from PIL import Image

    picture = Image.fromarray(np.asarray(result.frame.pixels))
    if roi is not None:  # a label belongs to what was looked at
        from ...photos.decoding import pixel_box

        picture = picture.crop(pixel_box(picture.size, roi))
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=QUALITY)
    return stream.getvalue(), ".jpg"


def _append(path: str, text: str) -> int:
    """Add a whole line to a file; on failure the file is as it was."""
    data = text.encode()
    handle = os.open(path, os.O_CREAT | os.O_APPEND | os.O_RDWR, 0o666)
    try:
        before = os.fstat(handle).st_size
        if before and os.pread(handle, 1, before - 1) != b"\n":
            data = b"\n" + data  # power was lost in the middle of a line
        try:
            if os.write(handle, data) != len(data):
                raise SystemFailure(f"{path}: the disk is full. Free some space.")
        except BaseException:
            with contextlib.suppress(OSError):
                os.ftruncate(handle, before)
            raise
        os.fsync(handle)
    finally:
        os.close(handle)
    return len(data)


def _fingerprints(path: str) -> Iterator[np.ndarray]:
    """Of the latest frames of an index, oldest first; lines that are no such are left out."""
    with system_failures(path), open(path, "rb") as stream:
        stream.seek(max(0, os.fstat(stream.fileno()).st_size - _READ_BACK))
        for line in stream:
            with contextlib.suppress(ValueError, KeyError, TypeError):
                found = np.frombuffer(bytes.fromhex(json.loads(line)["fingerprint"]), np.uint8)
                if found.size == SIZE:
                    yield found


def _size_below(folder: str) -> int:
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):  # moved away meanwhile
                total += os.lstat(os.path.join(parent, name)).st_size
    return total
